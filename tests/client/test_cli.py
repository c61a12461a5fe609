"""`hfdm` as scripts use it: stdout is the result, stderr the rest, the exit code says how it went."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.client.conftest import BIG, BIG_BYTES, REPO, SMALL, Hfdm
from tests.daemon_process import DEADLINE_S, Daemon, until
from tests.fakehub import HubServer, seeded

VERBS = [
    "download",
    "status",
    "watch",
    "pause",
    "resume",
    "cancel",
    "retry",
    "move",
    "rm",
    "files",
    "limit",
    "info",
    "login",
    "logout",
    "doctor",
    "stop",
    "restart",
    "completion",
]


def test_download_prints_the_path_and_nothing_else(hfdm: Hfdm) -> None:
    done = hfdm("download", REPO, "config.json")
    assert done.returncode == 0
    [path] = done.stdout.splitlines()
    assert Path(path).read_bytes() == SMALL
    assert "\x1b" not in done.stdout + done.stderr
    assert "done" in done.stderr
    quiet = hfdm("download", "-q", REPO, "config.json")
    assert (quiet.stdout, quiet.stderr) == (done.stdout, "")


def test_several_files_and_a_whole_repo(hfdm: Hfdm) -> None:
    done = hfdm("download", REPO, "config.json", "onnx/model.onnx")
    assert done.returncode == 0, done.stderr
    assert [Path(line).name for line in done.stdout.splitlines()] == ["config.json", "model.onnx"]
    whole = hfdm("download", REPO)
    assert whole.returncode == 0, whole.stderr
    assert (Path(whole.stdout.strip()) / BIG).stat().st_size == BIG_BYTES
    some = json.loads(hfdm("download", REPO, "--include", "*.json", "--json").stdout)
    assert (some["filesTotal"], some["status"]) == (1, "done")


def test_what_people_paste(hfdm: Hfdm, hub: HubServer) -> None:
    for pasted in (
        f"https://huggingface.co/{REPO}/blob/main/config.json",
        f"{hub.endpoint}/{REPO}/resolve/main/config.json?download=true",
        f"hf://{REPO}/config.json",
    ):
        done = hfdm("download", pasted)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith("config.json")
    folder = hfdm("download", f"https://huggingface.co/{REPO}/tree/main/onnx", "--json")
    assert json.loads(folder.stdout)["filesTotal"] == 1
    hub.add_repo("owner/data", {"a.csv": b"1"}, repo_type="dataset")
    assert hfdm("download", "datasets/owner/data", "a.csv").returncode == 0


def test_a_relative_folder(hfdm: Hfdm) -> None:
    done = subprocess.run(
        [hfdm.program, "download", REPO, "config.json", "--local-dir", "out"],
        env=hfdm.env,
        cwd=hfdm.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(hfdm.home / "out" / "config.json")


def test_the_one_in_the_cache_and_the_one_in_a_folder(hfdm: Hfdm) -> None:
    folder = str(hfdm.home / "out")
    assert hfdm("download", REPO, "config.json").returncode == 0
    assert hfdm("download", REPO, "config.json", "--local-dir", folder).returncode == 0
    shown = json.loads(hfdm("status", REPO, "--in-cache", "--json").stdout)["downloads"]
    assert [one["localDir"] for one in shown] == [None]
    watched = hfdm("watch", REPO, "--in-cache", "--json").stdout.splitlines()
    assert [one["localDir"] for one in map(json.loads, watched) if one["event"] == "progress"] == [None]
    assert hfdm("rm", REPO, "config.json", "--in-cache", "--yes").returncode == 0
    assert hfdm("status", REPO, "config.json", "--in-cache").returncode == 4
    assert folder in hfdm("status", REPO, "config.json").stdout
    assert hfdm("rm", REPO, "--in-cache", "--local-dir", folder, "--yes").returncode == 2


def test_exit_codes(hfdm: Hfdm, hub: HubServer) -> None:
    hub.add_repo("owner/gated", {"x": b"secret"}, gated=True)
    assert hfdm("download", REPO, "nothing.bin").returncode == 4
    assert hfdm("download", "owner/none").returncode == 4
    assert hfdm("download", "owner/gated", "x").returncode == 5
    assert hfdm("download", REPO, "config.json", "nothing.bin").returncode == 4
    assert hfdm("status", REPO, "unheard.of").returncode == 4
    assert hfdm("status", REPO, "nothing.bin").returncode == 4
    assert hfdm("pause", "owner/other").returncode == 4
    assert hfdm("files", "owner/none").returncode == 4
    assert hfdm("files", "owner/gated").returncode in (0, 5)
    assert hfdm("limit", "fast").returncode == 2
    assert hfdm("pause").returncode == 2
    assert hfdm("pause", REPO, "--all").returncode == 2
    assert hfdm("download").returncode == 2
    assert hfdm("download", "a/b/c/d").returncode == 2
    assert hfdm("download", REPO, "../../etc/passwd").returncode == 2
    assert hfdm("download", REPO, "x", "--include", "*").returncode == 2
    assert hfdm("status", "--url", "http://127.0.0.1:1").returncode == 3
    assert hfdm("rm", "--all").returncode == 2


def test_a_failure_says_what_to_do_next(hfdm: Hfdm, hub: HubServer) -> None:
    assert "Did you mean 'config.json'?" in hfdm("download", REPO, "confg.json").stderr
    assert "Did you mean 'onnx/model.onnx'" in hfdm("download", REPO, "model.onnx").stderr
    assert "Did you mean 'download'?" in hfdm("downlaod", REPO).stderr
    assert "Did you mean 'files'?" in hfdm("ls", REPO).stderr
    assert f"hfdm download {REPO}" in hfdm(REPO).stderr
    assert "Did you mean dataset?" in hfdm("files", REPO, "-t", "datset").stderr
    assert "--include" in hfdm("download", REPO, "--inclde", "x").stderr
    assert "20MB/s" in hfdm("limit", "fast").stderr
    hub.add_repo("owner/gated", {"x": b"secret"}, gated=True)
    assert "hfdm login" in hfdm("download", "owner/gated", "x").stderr


def test_errors_as_json(hfdm: Hfdm) -> None:
    done = hfdm("status", REPO, "unheard.of", "--json")
    assert (done.returncode, done.stdout) == (4, "")
    problem = json.loads(done.stderr)
    assert (problem["code"], problem["status"]) == ("unknown_download", 404)


def test_pause_resume_cancel_retry_rm(hfdm: Hfdm, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    asked = json.loads(hfdm("download", REPO, BIG, "--no-wait", "--json").stdout)
    assert hfdm("pause", REPO, BIG).stdout == f"paused  {REPO} {BIG}\n"
    assert json.loads(hfdm("status", REPO, BIG, "--json").stdout)["status"] == "paused"
    assert "paused" in hfdm("status").stdout
    assert json.loads(hfdm("resume", "--id", asked["id"], "--json").stdout)["downloads"][0]["id"] == asked["id"]
    assert hfdm("cancel", REPO).stdout.startswith("cancelled")
    assert hfdm("status", REPO, BIG).returncode == 1
    hub.rate_bytes_per_s = 0
    assert hfdm("pause", "--all").stdout == "1 left as they were\n"
    assert hfdm("retry", "--all").returncode == 0
    done = hfdm("download", REPO, BIG)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert hfdm("rm", REPO, BIG, "--delete-file").returncode == 2  # it would delete without a confirmation
    assert path.exists()
    assert hfdm("rm", REPO, BIG, "--delete-file", "--yes").stdout == f"removed  {REPO} {BIG}\n"
    assert not path.exists()
    gone = hfdm("rm", REPO, BIG)
    assert gone.returncode == 4
    assert "`hfdm status --all` lists" in gone.stderr
    assert "api" not in gone.stderr.lower()


def test_twins_can_be_told_apart_and_named(hfdm: Hfdm) -> None:
    folder = hfdm.home / "twin"
    cached = Path(hfdm("download", REPO, "config.json").stdout.strip())
    hfdm("download", REPO, "config.json", "--local-dir", "twin", cwd=hfdm.home)
    hfdm("download", REPO, "--include", "*.json")
    hfdm("download", REPO, "--include", "*.json", "--exclude", "onnx/*")
    shown = [" ".join(line.split()[4:]) for line in hfdm("status", "--all").stdout.splitlines()[1:]]
    assert sorted(shown) == [
        f"{REPO} *.json (1/1 files)",
        f"{REPO} *.json, not onnx/* (1/1 files)",
        f"{REPO} config.json",
        f"{REPO} config.json → {folder}",
    ]
    for verb in ("status", "watch"):
        one = hfdm(verb, REPO, "config.json", "--local-dir", "twin", cwd=hfdm.home)
        assert one.stdout.startswith(f"{REPO} config.json → {folder}"), one.stderr
        assert one.returncode == 0
    removed = hfdm("rm", REPO, "--local-dir", "twin", "--delete-file", "--yes", cwd=hfdm.home)
    assert removed.stdout == f"removed  {REPO} config.json → {folder}\n"
    assert cached.exists()
    assert not (folder / "config.json").exists()


def test_a_paused_download_is_resumed_by_asking_again(hfdm: Hfdm, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    hfdm("download", REPO, BIG, "--no-wait")
    hfdm("pause", REPO)
    hub.rate_bytes_per_s = 0
    assert hfdm("download", REPO, BIG).returncode == 0


def test_time_limit(hfdm: Hfdm, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 50_000
    done = hfdm("download", REPO, BIG, "--timeout", "1s")
    assert done.returncode == 1
    assert "the download continues" in done.stderr


def test_a_time_limit_covers_the_asking_for_something_newer(hfdm: Hfdm, hub: HubServer) -> None:
    hfdm("download", REPO, "config.json")
    hub.freeze()
    began = time.monotonic()
    done = hfdm("download", REPO, "config.json", "--update", "--timeout", "1s")
    assert done.returncode == 1
    assert "the download continues" in done.stderr
    assert time.monotonic() - began < 10
    hub.thaw()


def test_ctrl_c_leaves_the_download_running(hfdm: Hfdm, hub: HubServer, daemon: Daemon) -> None:
    hub.rate_bytes_per_s = 1_000_000
    process = hfdm.popen("download", REPO, BIG)
    until(lambda: bool(daemon.get("/api/progress", status="downloading").json["downloads"]), "it is downloading")
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert "continues in the background" in errors
    assert "Traceback" not in errors
    assert f"hfdm cancel {REPO} {BIG}" in errors
    hub.rate_bytes_per_s = 0
    [one] = daemon.get("/api/progress").json["downloads"]
    assert daemon.wait(one["id"], "done")


def test_files_shows_quantisations(hfdm: Hfdm, hub: HubServer) -> None:
    hub.add_repo(
        "owner/gguf",
        {
            "m-Q4_K_M-00001-of-00002.gguf": seeded(3_000_000, seed=1),
            "m-Q4_K_M-00002-of-00002.gguf": seeded(2_000_000, seed=2),
            "m-Q8_0.gguf": seeded(9_000_000, seed=3),
            "README.md": b"hello",
        },
    )
    done = hfdm("files", "owner/gguf")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["QUANTISATION", "SIZE", "FILES"]
    assert lines[1].split()[:4] == ["Q4_K_M", "(recommended)", "5.0", "MB"]
    assert lines[2].split()[:3] == ["Q8_0", "9.0", "MB"]
    assert "README.md" in done.stdout
    assert "4 files, 14.0 MB; 0 here" in done.stderr
    assert len(json.loads(hfdm("files", "owner/gguf", "--json").stdout)["files"]) == 4
    assert "README.md" not in hfdm("files", "owner/gguf", "*.gguf").stdout
    [hint] = [line for line in done.stderr.splitlines() if line.startswith("To download one: hfdm ")]
    assert hint == "To download one: hfdm download owner/gguf:Q4_K_M"
    plan = hfdm(*hint.split(" hfdm ")[1].split(), "--dry-run")
    assert plan.stdout.splitlines()[0].split() == ["SIZE", "FILE"]
    assert "2 files, 5.0 MB: 0 B here already, 5.0 MB to download" in plan.stderr
    taken = hfdm(*hint.split(" hfdm ")[1].split())
    assert sorted(path.name for path in Path(taken.stdout.strip()).iterdir()) == [
        "m-Q4_K_M-00001-of-00002.gguf",
        "m-Q4_K_M-00002-of-00002.gguf",
    ]
    unknown = hfdm("download", "owner/gguf:Q5_K_M")
    assert unknown.returncode == 4
    assert "no quantisation Q5_K_M; it has Q4_K_M, Q8_0" in unknown.stderr
    assert hfdm("pause", "owner/gguf:Q8_0").returncode == 2


def test_limit(hfdm: Hfdm) -> None:
    assert hfdm("limit").stdout == "none\n"
    assert hfdm("limit", "20", "MB/s").stdout == "20.0 MB/s\n"
    assert json.loads(hfdm("limit", "--json").stdout)["bandwidthLimit"] == 20_000_000
    assert hfdm("limit", "none").stdout == "none\n"
    assert hfdm("limit", "2.5MB/s").stdout == "2.5 MB/s\n"
    assert hfdm("limit", "default").stdout == "none\n"


def test_info_status_and_watch_without_a_terminal(hfdm: Hfdm, daemon: Daemon) -> None:
    assert str(daemon.cache) in hfdm("info").stdout
    empty = hfdm("status")
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "No downloads yet" in empty.stderr
    hfdm("download", REPO, "config.json")
    assert hfdm("status").stdout.splitlines()[1].split() == ["done", "100.0%", "21", "B", REPO, "config.json"]
    watched = hfdm("watch", REPO, "config.json")
    assert watched.stdout.startswith(f"{REPO} config.json: done")
    assert watched.returncode == 0
    events = [json.loads(line) for line in hfdm("watch", REPO, "config.json", "--json").stdout.splitlines()]
    assert [event["event"] for event in events] == ["progress", "ready", "end"]
    facts = hfdm("status", REPO, "config.json").stdout
    assert "path" in facts
    assert "git-sha1:" in facts


def test_a_daemon_for_something_else_is_told(hfdm: Hfdm) -> None:
    done = hfdm("status", HF_HUB_CACHE="/elsewhere/hub", HF_ENDPOINT="https://mirror.example")
    assert done.returncode == 0
    assert "your environment says /elsewhere/hub" in done.stderr
    assert "your environment says https://mirror.example" in done.stderr


def test_doctor(hfdm: Hfdm, hub: HubServer, daemon: Daemon) -> None:
    done = hfdm("doctor")
    assert done.returncode == 0, done.stdout
    for word in ("daemon", "socket", "version", "environment", "cache", "state", "disk", "token", "proxy", "service"):
        assert f"✓ {word}" in done.stdout, done.stdout
    findings = {finding["what"]: finding for finding in json.loads(hfdm("doctor", "--json").stdout)}
    assert findings["Hub"]["state"] == "ok"
    assert findings["clock"]["state"] == "ok"
    hub.down()
    away = hfdm("doctor", HTTPS_PROXY="http://me:secret@proxy.example:1", NO_PROXY="127.0.0.1")
    assert away.returncode == 1
    assert "✗ Hub" in away.stdout
    assert "secret" not in away.stdout
    assert hfdm("doctor", "--offline").returncode == 0
    daemon.stop()
    alone = hfdm("doctor", "--offline")
    assert "! daemon" in alone.stdout
    assert hfdm.pids() == []
    daemon.start()


def test_hostile_names_do_not_reach_the_terminal(hfdm: Hfdm) -> None:
    done = hfdm("download", REPO, "a\x1b]0;owned\x07.bin")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_help_teaches_by_example() -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    hfdm = Hfdm(Path("/nonexistent"), "http://127.0.0.1:1")
    for verb in [[], *([verb] for verb in VERBS)]:
        done = subprocess.run(
            [hfdm.program, *verb, "--help"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "hfdm" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Examples:" in hfdm("download", "--help").stdout
    assert hfdm("--version").stdout.startswith("hfdm ")
    assert hfdm("service", "--help").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(hfdm: Hfdm, shell: str) -> None:
    script = hfdm("completion", shell)
    assert script.returncode == 0
    assert "_HFDM_COMPLETE" in script.stdout
    hfdm("download", REPO, "config.json")
    words = {"COMP_WORDS": "hfdm pause own", "COMP_CWORD": "2"}
    assert REPO in hfdm(_HFDM_COMPLETE="bash_complete", **words).stdout
    words = {"COMP_WORDS": "hfdm dow", "COMP_CWORD": "1"}
    assert "download" in hfdm(_HFDM_COMPLETE="bash_complete", **words).stdout


@pytest.mark.parametrize("command", ["status --json | head -c 1", "watch --json | head -c 1", "help | true"])
def test_a_reader_that_has_enough(hfdm: Hfdm, command: str) -> None:
    hfdm("download", REPO)
    command = command.replace("help", "--help")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {hfdm.program} {command}"],
        env=hfdm.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("arguments", "last"), [(["watch"], "config.json"), (["watch", "--json"], "ready")])
def test_a_reader_that_leaves_while_nothing_happens(hfdm: Hfdm, arguments: list[str], last: str) -> None:
    hfdm("download", REPO, "config.json")
    with hfdm.popen(*arguments) as watching:
        assert watching.stdout is not None
        while last not in watching.stdout.readline():
            assert watching.poll() is None
        watching.stdout.close()
        try:
            assert watching.wait(DEADLINE_S) == 0
        finally:
            watching.kill()
        assert watching.stderr is not None
        assert watching.stderr.read() == ""


def test_output_that_is_closed_or_full(hfdm: Hfdm) -> None:
    def run(command: str) -> subprocess.CompletedProcess[str]:
        line = f"{hfdm.program} {command}"
        return subprocess.run(
            ["bash", "-c", line], env=hfdm.env, capture_output=True, text=True, check=False, timeout=DEADLINE_S
        )

    [path] = run(f"download {REPO} config.json 2>&-").stdout.splitlines()
    assert Path(path).read_bytes() == SMALL
    for command, code in (("status >&-", 0), ("status >&- 2>&-", 0), ("status > /dev/full", 1), ("info >/dev/full", 1)):
        done = run(command)
        assert done.returncode == code, (command, done.stderr)
        assert "Traceback" not in done.stderr
    assert "hfdm: No space left on device" in run("status > /dev/full").stderr


def test_what_cannot_be_said_is_a_failure_and_no_other_code(hfdm: Hfdm) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{hfdm.program} download {REPO} config.json 2>/dev/full"], env=hfdm.env, check=False
    )
    assert done.returncode == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_are_utf8_whatever_the_locale(hfdm: Hfdm, hub: HubServer, encoding: str) -> None:
    name = "ünï 名.txt"
    hub.add_repo("owner/letters", {name: b"x"})
    repo = "owner/letters"
    for arguments in (("download", repo, name), ("files", repo), ("status", "--all"), ("doctor",)):
        done = subprocess.run(
            [hfdm.program, *arguments],
            env={**hfdm.env, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
            timeout=DEADLINE_S,
        )
        assert done.returncode == 0, done.stderr
        assert (name if arguments[0] != "doctor" else "✓") in done.stdout.decode()


POSIX = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale without UTF-8, and nothing that Python may do about it."""


def test_a_name_on_the_command_line_in_a_locale_without_utf8(lone_hfdm: Hfdm, hub: HubServer) -> None:
    name = "ünï 名.txt"
    hub.add_repo("owner/letters", {name: b"x"})
    done = lone_hfdm("download", "-q", "owner/letters", name, **POSIX)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.removesuffix("\n"))
    assert (path.name, path.read_bytes()) == (name, b"x")


def test_a_name_that_is_not_utf8_is_refused(hfdm: Hfdm) -> None:
    for arguments in (["download", REPO, b"a\xff.bin"], ["status", REPO, b"a\xff.bin"], ["pause", REPO, b"a\xff.bin"]):
        done = subprocess.run([hfdm.program, *arguments], env=hfdm.env, capture_output=True, check=False)
        assert done.returncode == 2, done.stderr
        assert b"not UTF-8" in done.stderr


@pytest.mark.parametrize("name", ["می\u200cخواهم.txt", "👩\u200d💻.md", "soft\u00adhyphen.txt", "a\u202eb.txt"])
def test_a_program_gets_the_exact_path(hfdm: Hfdm, hub: HubServer, name: str) -> None:
    hub.add_repo("owner/joined", {name: b"x"})
    done = hfdm("download", "-q", "owner/joined", name)
    path = Path(done.stdout.removesuffix("\n"))
    assert (path.name, path.read_bytes()) == (name, b"x")


def test_a_list_that_a_program_reads_has_the_exact_names(hfdm: Hfdm, hub: HubServer) -> None:
    hub.add_repo("owner/joined", {"a\u202eb.txt": b"x"})
    assert "a\u202eb.txt" in hfdm("files", "owner/joined").stdout


def test_a_daemon_that_wants_its_token_says_how_to_give_it(home: Path, hub: HubServer) -> None:
    with Daemon(home, hub.endpoint, tcp=True) as daemon:
        hfdm = Hfdm(home, hub.endpoint, HFDMD_URL=daemon.url)
        for env in ({}, {"HFDMD_TOKEN": "wrong-wrong-wrong-wrong"}):
            done = hfdm("status", **env)
            assert done.returncode == 5
            assert "set HFDMD_TOKEN" in done.stderr
        assert hfdm("status", HFDMD_TOKEN=daemon.token).returncode == 0
        odd = hfdm("status", HFDMD_TOKEN="two\nlines-secret")
        assert "secret" not in odd.stderr
        assert "HFDMD_TOKEN" in odd.stderr


def test_offline_mode_of_the_hubs_client_is_not_ours(hfdm: Hfdm) -> None:
    done = hfdm("download", REPO, "config.json", HF_HUB_OFFLINE="1")
    assert done.returncode == 0
    assert "HF_HUB_OFFLINE is set, but" in done.stderr
    assert "HF_HUB_OFFLINE" not in hfdm("download", REPO, "config.json", HF_HUB_OFFLINE="0").stderr


def test_a_file_that_is_left_out_is_named(hfdm: Hfdm, hub: HubServer) -> None:
    hub.add_repo("owner/odd", {"a:b.txt": b"x", "good.txt": b"y"})
    done = hfdm("download", "owner/odd")
    assert done.returncode == 0, done.stderr
    assert "1 file is left out: 'a:b.txt'" in done.stderr
    assert "left out" not in hfdm("download", "owner/odd", "-q").stderr


def test_blanks_around_urls_are_no_part_of_them(hfdm: Hfdm, hub: HubServer) -> None:
    done = hfdm("download", REPO, "config.json", HF_ENDPOINT=f" {hub.endpoint}/ ")
    assert (done.returncode, "Warning" in done.stderr) == (0, False), done.stderr


def test_an_option_that_is_empty_is_refused(hfdm: Hfdm) -> None:
    """As a script's unset variable is: it would mean the present folder, or any revision."""
    hfdm("download", REPO, "config.json")
    for arguments in (
        ("download", REPO, "config.json", "--local-dir", ""),
        ("download", REPO, "--revision", ""),
        ("rm", REPO, "--revision", "", "--delete-file", "--yes"),
        ("status", REPO, "--local-dir", ""),
        ("pause", "--id", ""),
    ):
        done = hfdm(*arguments, cwd=hfdm.home)
        assert done.returncode == 2, arguments
        assert "empty" in done.stderr
    assert json.loads(hfdm("status", REPO, "config.json", "--json").stdout)["status"] == "done"


def test_one_of_several_files_that_is_not_to_be_had_stops_none_of_the_others(hfdm: Hfdm) -> None:
    hfdm("download", REPO, "config.json", "onnx/model.onnx")
    done = hfdm("rm", REPO, "config.json", "nothing.bin", "onnx/model.onnx")
    assert done.returncode == 4
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["config.json", "onnx/model.onnx"]
    assert "nothing.bin: no download matches" in done.stderr


def test_watching_what_nobody_asked_for(hfdm: Hfdm) -> None:
    for arguments in (("watch", "owner/other"), ("watch", "owner/other", "--json")):
        done = hfdm(*arguments)
        assert done.returncode == 4
        assert "No downloads of owner/other" in done.stderr


def test_an_interrupt_while_it_loads(hfdm: Hfdm) -> None:
    """Ctrl-C in the first moments, at several of them."""
    for after_ms in range(0, 120, 12):
        process = hfdm.popen("status")
        time.sleep(after_ms / 1000)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE_S)
        own = [line for line in errors.splitlines() if "<frozen" not in line]  # the start of the interpreter itself
        assert not any(line.endswith(", in main") for line in own), errors


def test_alone_it_starts_no_daemon(lone_hfdm: Hfdm) -> None:
    none = lone_hfdm()
    assert (none.returncode, none.stdout.splitlines()[0]) == (0, "daemon  not running; the first download starts it")
    assert lone_hfdm.pids() == []


def test_alone_it_says_the_state_and_what_to_type_next(hfdm: Hfdm, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    hfdm("download", REPO, "--no-wait")
    until(lambda: f"moving   {REPO} (" in hfdm().stdout, "it says what moves")
    shown = hfdm()
    assert shown.returncode == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()[:4]] == ["daemon", "moving", "waiting", "disk"]
    assert "hfdm download owner/name" in shown.stdout


def test_move(hfdm: Hfdm, hub: HubServer, daemon: Daemon) -> None:
    hub.rate_bytes_per_s = 50_000
    names = [f"{number}.bin" for number in range(8)]
    hub.add_repo("owner/eight", {name: seeded(900_000, seed=number) for number, name in enumerate(names)})
    keys = [daemon.ask("owner/eight", name)["id"] for name in names]

    def position(number: int) -> int | None:
        place: int | None = daemon.view(keys[number])["queuePosition"]
        return place

    until(lambda: position(7) == 4, "four are running, four wait")
    for place, reached in (("top", 1), ("down", 2), ("up", 1), ("3", 3), ("bottom", 4)):
        assert hfdm("move", "owner/eight", "7.bin", place).returncode == 0
        assert position(7) == reached, place
    assert hfdm("move", "owner/eight", "7.bin", "sideways").returncode == 2
    assert hfdm("move", "owner/eight", "0.bin", "top").returncode == 1
    assert hfdm("move", "owner/none", "top").returncode == 4
    hub.add_repo("owner/whole", {"a.bin": seeded(900_000, seed=1)})
    hfdm("download", "owner/whole", "--no-wait")
    for place, reached in (("top", 1), ("down", 2), ("bottom", 5), ("up", 4)):
        assert hfdm("move", "owner/whole", place).returncode == 0
        [repo] = daemon.get("/api/progress", modelRepo="owner/whole").json["repos"]
        assert repo["queuePosition"] == reached, place


def test_status_shows_repos_and_with_a_repo_its_files(hfdm: Hfdm) -> None:
    hfdm("download", REPO)
    assert [line.split()[3:] for line in hfdm("status").stdout.splitlines()[1:]] == [["MB", REPO, "(3/3", "files)"]]
    assert len(hfdm("status", REPO).stdout.splitlines()) == 1 + 4
