"""`hfdm service` where no service manager runs: what it writes, what it refuses, whose files it leaves alone."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from hfdmd_client.service import Options, Scope, ServiceError, actions, install, program, uninstall, unit_files
from hfdmd_client.service.installer import unfinished
from hfdmd_client.service.layout import Manager, layout_of

PROGRAM = Path("/opt/hfdmd/bin/hfdmd")
ROOT = Path(__file__).parents[2]


def heard() -> list[str]:
    return []


@pytest.mark.parametrize("scope", list(Scope))
def test_stages_for_packagers(tmp_path: Path, scope: Scope) -> None:
    said = heard()
    install(Options(scope=scope, root=tmp_path, program=PROGRAM), said.append)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    units = f"usr/lib/systemd/{scope}"
    expected = {f"{units}/hfdmd.service", f"{units}/hfdmd.socket"}
    if scope is Scope.SYSTEM:
        expected |= {"usr/lib/sysusers.d/hfdmd.conf", "usr/lib/tmpfiles.d/hfdmd.conf"}
    assert written == expected
    assert f"\nExecStart={PROGRAM}\n" in (tmp_path / units / "hfdmd.service").read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*.service")} == {0o644}
    assert len(said) == len(expected)
    install(Options(scope=scope, root=tmp_path, program=PROGRAM), said.append)
    assert len(said) == len(expected), "the same again changed something"


def test_a_new_program_changes_only_the_service(tmp_path: Path) -> None:
    install(Options(scope=Scope.USER, root=tmp_path, program=PROGRAM), lambda _: None)
    said = heard()
    install(Options(scope=Scope.USER, root=tmp_path, program=Path("/opt/other/hfdmd")), said.append)
    assert [line.rpartition("/")[2] for line in said] == ["hfdmd.service"]


def test_leaves_a_foreign_unit_alone(tmp_path: Path) -> None:
    unit = tmp_path / "usr/lib/systemd/user/hfdmd.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/my/own\n")
    with pytest.raises(ServiceError, match="not written by"):
        install(Options(scope=Scope.USER, root=tmp_path, program=PROGRAM), lambda _: None)
    assert unit.read_text() == "[Service]\nExecStart=/my/own\n"
    assert list(unit.parent.iterdir()) == [unit]


def test_removes_only_its_own(tmp_path: Path) -> None:
    own, foreign = tmp_path / "hfdmd.service.d" / "own.conf", tmp_path / "foreign.conf"
    unit_files.write({own: f"# {unit_files.MARK}\n"})
    foreign.write_text("[Service]\n")
    assert unit_files.remove([own, foreign, tmp_path / "missing"]) == [own]
    assert list(tmp_path.iterdir()) == [foreign]


def test_leaves_no_empty_folder(tmp_path: Path) -> None:
    config = tmp_path / ".config"
    unit, drop_in = config / "systemd/user/hfdmd.service", config / "systemd/user/hfdmd.service.d/own.conf"
    unit_files.write({unit: f"# {unit_files.MARK}\n", drop_in: f"# {unit_files.MARK}\n"})
    unit_files.remove([unit, drop_in])
    assert list(config.iterdir()) == []


def test_says_why_a_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="cannot be written"):
        unit_files.write({tmp_path / "file" / "x": "text"})


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_system_service_never_runs_code_from_scratch_folders_or_homes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = executable(tmp_path / "alice" / "hfdmd")
    monkeypatch.setattr(program, "_SCRATCH", (tmp_path,))
    with pytest.raises(ServiceError, match="emptied"):
        program.check_system(chosen)
    monkeypatch.setattr(program, "_SCRATCH", ())
    monkeypatch.setattr(program, "_homes", lambda: [tmp_path / "alice"])
    with pytest.raises(ServiceError, match="a home folder"):
        program.check_system(chosen)


def test_a_system_service_never_runs_what_others_can_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(program, "_SCRATCH", ())
    chosen = executable(tmp_path / "hfdmd")
    chosen.chmod(0o757)
    with pytest.raises(ServiceError, match="changed by others"):
        program.check_system(chosen)
    chosen.chmod(0o700)
    with pytest.raises(ServiceError, match="closed to it"):
        program.check_system(chosen)


def test_a_system_service_runs_the_systems_own_programs() -> None:
    program.check_system(Path("/usr/bin/env"))


def test_looks_at_the_interpreter_too(tmp_path: Path) -> None:
    script = executable(tmp_path / "hfdmd", "#!/nonexistent/python\n")
    assert list(program._code(script)) == [script, Path("/nonexistent/python")]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/nonexistent/hfdmd", "not there"),
        ("hfdmd", "no absolute path"),
        ("{tmp}/cache/uv/archive-v0/x/bin/hfdmd", "temporary environment"),
        ("{tmp}/hfdmd", "emptied"),
    ],
)
def test_a_persons_service_needs_a_program_that_stays(tmp_path: Path, path: str, why: str) -> None:
    chosen = Path(path.format(tmp=tmp_path))
    if "{tmp}" in path:
        executable(chosen)
    with pytest.raises(ServiceError, match=why):
        program.check_user(chosen)


def test_carries_the_shells_environment_but_no_secret() -> None:
    said = heard()
    env = {
        "HF_HOME": "/data/50% hf",
        "HF_TOKEN": "hf_secret",
        "HTTPS_PROXY": "http://me:secret@proxy:3128",
        "https_proxy": "me:secret@proxy:3128",
        "NO_PROXY": "localhost",
        "EDITOR": "vi",
    }
    variables = unit_files.copied_variables(env, said.append)
    assert variables == {"HF_HOME": "/data/50% hf", "NO_PROXY": "localhost"}
    assert len(said) == 3
    text = unit_files.drop_in(variables, unit_files.MARK)
    assert text is not None
    assert '\n[Service]\nEnvironment="HF_HOME=/data/50%% hf"\n' in text
    assert "secret" not in text + "".join(said)
    assert unit_files.drop_in({}, unit_files.MARK) is None


def test_carries_what_decides_the_cache_and_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = heard()
    env = {
        "HF_HOME": "./hf",
        "HF_TOKEN_PATH": "~/token",
        "HUGGINGFACE_HUB_CACHE": "/data/hub",
        "ALL_PROXY": "http://proxy:1",
        "all_proxy": "http://proxy:2",
        "HF_ENDPOINT": "https://me:secret@mirror.example",
    }
    assert unit_files.copied_variables(env, said.append) == {
        "HF_HOME": str(tmp_path / "hf"),
        "HUGGINGFACE_HUB_CACHE": "/data/hub",
        "HF_TOKEN_PATH": "~/token",
        "ALL_PROXY": "http://proxy:1",
        "all_proxy": "http://proxy:2",
    }
    assert len(said) == 1
    assert "secret" not in said[0]


def test_carries_every_variable_of_the_hub_that_the_daemon_reads_except_secrets() -> None:
    code = "".join(file.read_text() for file in (ROOT / "hfdmd").rglob("*.py"))
    read = set(re.findall(r'"((?:HF|HUGGINGFACE)_[A-Z_]+)"', code)) - {"HF_TOKEN", "HF_HUB_OFFLINE"}
    assert len(read) >= 8
    assert read <= set(unit_files.COPIED_VARIABLES), "HF_HUB_OFFLINE is for clients only"


def test_knows_what_is_unfinished(tmp_path: Path) -> None:
    repo = tmp_path / "trackers" / "models" / "owner--name"
    repo.mkdir(parents=True)
    for name, status in [("a", "queued"), ("b", "in-progress"), ("c", "paused"), ("d", "done"), ("e", "cancelled")]:
        (repo / f"{name}.json").write_text(f'{{"status": "{status}", "progress": 0, "error": null, "more": 1}}')
    (repo / "f.json").write_text("{")
    assert [name.rpartition("/")[2] for name in unfinished(tmp_path)] == ["a", "b", "c"]
    assert unfinished(tmp_path / "nothing") == []


def test_refuses_without_systemd_or_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd runs this machine; the booted box shows the rest")
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(ServiceError, match="systemd does not run this machine"):
        install(Options(scope=Scope.USER, program=Path("/usr/bin/env")), lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_nothing_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    said = heard()
    assert not actions.status(Scope.USER, said.append)
    uninstall(Scope.USER, said.append)
    assert said == ["not installed", "no user service is installed"]
    with pytest.raises(ServiceError, match="hfdm service install --user"):
        actions.start(Scope.USER, said.append)


def test_does_not_uninstall_what_a_package_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    unit = tmp_path / "systemd/user/hfdmd.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    with pytest.raises(ServiceError, match="remove its package"):
        uninstall(Scope.USER, lambda _: None)
    assert unit.exists()


def test_macos_places() -> None:
    env = {"HOME": "/Users/ada"}
    agent = layout_of(Scope.USER, manager=Manager.LAUNCHD, env=env)
    assert agent.files == {"launchd/agent.plist": Path("/Users/ada/Library/LaunchAgents/hfdmd.plist")}
    assert agent.folders.socket == Path("/Users/ada/.local/state/hfdmd/hfdmd.sock")
    daemon = layout_of(Scope.SYSTEM, manager=Manager.LAUNCHD, env=env)
    assert daemon.files == {"launchd/daemon.plist": Path("/Library/LaunchDaemons/hfdmd.plist")}
    assert daemon.folders.socket == Path("/var/run/hfdmd.sock")


def test_the_unit_of_a_running_users_own_environment_is_private(tmp_path: Path) -> None:
    layout = layout_of(Scope.USER, manager=Manager.SYSTEMD, env={"HOME": str(tmp_path)})
    assert layout.drop_in is not None
    assert layout.drop_in.is_relative_to(tmp_path / ".config/systemd/user")
    assert os.fspath(layout.folders.state) == str(tmp_path / ".local/state/hfdmd")
