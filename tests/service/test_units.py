"""systemd's own judgement of the units: every key is understood, and the sandbox is as tight as promised."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hfdmd_client.service import unit_files
from hfdmd_client.service.command import ServiceError
from tests.service.conftest import REPO

EXPOSURE_GATE = 15  # systemd-analyze counts in tenths; the promise is 1.2
EXPOSURE = 1.2
VERIFY = ("systemd-analyze", "verify", "--man=no", "--recursive-errors=no")
SECURITY = ("systemd-analyze", "security", "--offline=true", "--no-pager")

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="no systemd-analyze: the units are not checked; apt-get install systemd",
)


@pytest.fixture(params=["system", "user"])
def units(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """The units of one scope as installed, but for a program that exists here."""
    for kind in ("service", "socket"):
        text = unit_files.unit(f"systemd/{request.param}/hfdmd.{kind}", {"HFDMD": "/bin/true"}, unit_files.MARK)
        (tmp_path / f"hfdmd.{kind}").write_text(text)
    return request.param, tmp_path


def settings(name: str) -> list[tuple[str, str]]:
    """Every key and value of a template, in order."""
    lines = (REPO / "systemd" / name).read_text().splitlines()
    return [(key, value) for key, _, value in (line.partition("=") for line in lines if line[:1].isalpha())]


@needs_analyze
def test_verify_finds_nothing(units: tuple[str, Path], tmp_path: Path) -> None:
    scope, folder = units
    drop_in = folder / "hfdmd.service.d"
    if scope == "user":
        drop_in.mkdir()
        shutil.copy(REPO / "systemd/user/cache-only.conf", drop_in)
    done = subprocess.run(
        [*VERIFY, f"--{scope}", str(folder / "hfdmd.service"), str(folder / "hfdmd.socket")],
        env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    # It exits 0 on a key that it does not know, and says so on stderr.
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_analyze
def test_verify_would_find_a_wrong_key(tmp_path: Path) -> None:
    unit = tmp_path / "x.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nProtectSytem=strict\n")
    done = subprocess.run(
        [*VERIFY, str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "ProtectSytem" in done.stderr


@needs_analyze
def test_exposure_of_the_system_service(tmp_path: Path) -> None:
    text = unit_files.unit("systemd/system/hfdmd.service", {"HFDMD": "/bin/true"}, unit_files.MARK)
    (tmp_path / "hfdmd.service").write_text(text)
    done = subprocess.run(
        [*SECURITY, f"--threshold={EXPOSURE_GATE}", str(tmp_path / "hfdmd.service")],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    level = re.search(r"Overall exposure level for hfdmd\.service: (\d+\.\d+)", done.stdout)
    assert level, done.stdout
    assert float(level[1]) <= EXPOSURE, done.stdout


@pytest.mark.parametrize("scope", ["system", "user"])
def test_what_the_contract_says_of_the_service(scope: str) -> None:
    service = settings(f"{scope}/hfdmd.service")
    socket = dict(settings(f"{scope}/hfdmd.socket"))
    keys = [key for key, _ in service]
    assert "RuntimeDirectory" not in keys
    assert ("RestartPreventExitStatus", "2 75 78") in service
    assert ("Restart", "on-failure") in service
    assert ("Type", "notify") in service
    assert socket["FileDescriptorName"] == "api", "the name that the daemon looks for"
    if scope == "system":
        assert (socket["ListenStream"], socket["SocketMode"], socket["SocketGroup"]) == (
            "/run/hfdmd.sock",
            "0660",
            "hfdmd",
        )
        assert "PrivateUsers" not in keys
        assert "DynamicUser" not in keys
    else:
        assert (socket["ListenStream"], socket["SocketMode"]) == ("%t/hfdmd.sock", "0600")
        assert not {"StateDirectory", "CacheDirectory", "UMask", "User", "ProtectHome", "PrivateTmp"} & set(keys)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/opt/hfdmd/bin/hfdmd", "/opt/hfdmd/bin/hfdmd"),
        ("/home/a b/100%/hfdmd", '"/home/a b/100%%/hfdmd"'),
        ('/x"y\\z', '"/x\\"y\\\\z"'),
        ("/ü/hfdmd", '"/ü/hfdmd"'),
    ],
)
def test_quotes_for_systemd(path: str, word: str) -> None:
    assert unit_files.quote(path) == word


@pytest.mark.parametrize("odd", ['"', "'", "\\"])
def test_refuses_a_program_that_systemd_would_not_start(odd: str) -> None:
    with pytest.raises(ServiceError, match="systemd starts no program"):
        unit_files.unit("systemd/user/hfdmd.service", {"HFDMD": f"/opt/a{odd}b/hfdmd"}, unit_files.MARK)


def test_refuses_a_path_that_no_unit_can_hold() -> None:
    with pytest.raises(ServiceError, match="control character"):
        unit_files.quote("/a\nExecStartPre=/bin/evil")


@needs_analyze
def test_systemd_reads_an_odd_path_as_it_is_meant(tmp_path: Path) -> None:
    odd = tmp_path / "a b%n$c" / "hfdmd"
    odd.parent.mkdir()
    shutil.copy("/bin/true", odd)
    unit = tmp_path / "hfdmd.service"
    unit.write_text(f"[Service]\nExecStart={unit_files.quote(str(odd))}\n")
    command = [*VERIFY, str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    odd.unlink()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "is not executable" in done.stderr, "systemd did not look at this path at all"
