"""A client starts a daemon, or says why it does not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import time
from pathlib import Path

import pytest

from hfdmd_client import AsyncClient, Client, DaemonSilent, logfile
from hfdmd_client.cli.session import exit_code
from tests.client.conftest import REPO, Hfdm
from tests.daemon_process import DEADLINE_S, Daemon, until
from tests.fakehub import HubServer


def test_the_first_command_starts_a_daemon_that_outlives_it(lone_hfdm: Hfdm) -> None:
    done = lone_hfdm("download", REPO, "config.json")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes()
    [pid] = lone_hfdm.pids()
    info = json.loads(lone_hfdm("info", "--json").stdout)
    assert info["pid"] == pid
    assert os.getsid(pid) == pid  # a session of its own: no hangup reaches it
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert os.readlink(f"/proc/{pid}/fd/2") == str(lone_hfdm.state / "hfdmd.log")
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert stat.S_IMODE((lone_hfdm.state / "hfdmd.log").stat().st_mode) == 0o600
    assert int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) != os.getpid()


def test_five_that_start_at_once_end_with_one_daemon(lone_hfdm: Hfdm) -> None:
    processes = [lone_hfdm.popen("status") for _ in range(5)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert len(lone_hfdm.pids()) == 1


def test_a_socket_left_behind_by_a_kill(lone_hfdm: Hfdm) -> None:
    lone_hfdm("status")
    [pid] = lone_hfdm.pids()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not lone_hfdm.pids(), "it is gone")
    assert lone_hfdm("status").returncode == 0
    assert lone_hfdm.pids() != [pid]


def test_told_not_to_start_one(lone_hfdm: Hfdm) -> None:
    for done in (
        lone_hfdm("status", "--no-spawn"),
        lone_hfdm("--no-spawn", "status"),
        lone_hfdm("status", HFDMD_NO_SPAWN="1"),
    ):
        assert done.returncode == 3
        assert done.stdout == ""
        assert "No daemon answers" in done.stderr
    assert lone_hfdm("status", HFDMD_URL="http://127.0.0.1:1").returncode == 3
    assert lone_hfdm.pids() == []


def test_a_daemon_that_cannot_start_says_why(lone_hfdm: Hfdm) -> None:
    done = lone_hfdm("status", HFDMD_MAX_CONNECTIONS="many")
    assert done.returncode == 3
    assert "exit code 78" in done.stderr
    assert "HFDMD_MAX_CONNECTIONS" in done.stderr
    too_long = lone_hfdm("status", HFDMD_SOCKET=str(lone_hfdm.home / ("s" * 110)))
    assert too_long.returncode == 3
    assert "bytes" in too_long.stderr


@pytest.mark.slow
def test_a_daemon_that_runs_where_nobody_looks(daemon: Daemon) -> None:
    """Its cache is taken, so a second one cannot start; the message names the first."""
    other = Hfdm(daemon.home, daemon.env["HF_ENDPOINT"], HFDMD_STATE_DIR=str(daemon.home / "other"))
    done = other("status")
    assert done.returncode == 3
    assert f"kill {daemon.process.pid if daemon.process else 0}" in done.stderr
    assert "is already running at another socket" in done.stderr
    assert "unset HFDMD_STATE_DIR" in done.stderr
    same = Hfdm(daemon.home, daemon.env["HF_ENDPOINT"], HFDMD_SOCKET=str(daemon.home / "mine.sock"))
    done = same("status")
    assert done.returncode == 3
    assert f"is already running at {daemon.socket}" in done.stderr
    assert "unset HFDMD_SOCKET and HFDMD_STATE_DIR" in done.stderr


def test_folders_that_are_relative_mean_the_same_to_the_daemon(lone_hfdm: Hfdm) -> None:
    """The daemon runs in `/`, so relative paths of the caller are made absolute."""
    relative = {"HF_HOME": "./hub home", "HFDMD_SOCKET": "relative.sock"}
    done = lone_hfdm("download", REPO, "config.json", cwd=lone_hfdm.home, **relative)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert Path(done.stdout.strip()).is_relative_to(lone_hfdm.home / "hub home" / "hub")
    assert (lone_hfdm.home / "relative.sock").is_socket()


def test_a_relative_state_folder(home: Path, hub: HubServer) -> None:
    command = Hfdm(home, hub.endpoint)
    try:
        done = command("info", "--json", cwd=home, HFDMD_STATE_DIR="state")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["stateDir"] == str(home / "state")
        assert command("stop").returncode == 0
    finally:
        command.close()


def test_a_socket_that_is_named_is_the_only_place(lone_hfdm: Hfdm) -> None:
    """No daemon of ours would listen there, so none is started."""
    done = lone_hfdm("info", "--socket", str(lone_hfdm.home / "other.sock"))
    assert done.returncode == 3
    assert "no such socket" in done.stderr
    assert lone_hfdm.pids() == []


@pytest.mark.parametrize("takes", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_none_is_started_beside_a_daemon_that_is_silent(
    lone_hfdm: Hfdm, monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    """A stopped one (SIGSTOP), at the end also with a full queue of connections."""
    for name, value in lone_hfdm.env.items():
        monkeypatch.setenv(name, value)
    with socket.socket(socket.AF_UNIX) as stuck, socket.socket(socket.AF_UNIX) as waiting:
        lone_hfdm.state.mkdir()
        stuck.bind(str(lone_hfdm.state / "hfdmd.sock"))
        stuck.listen(8 if takes else 0)
        if not takes:
            waiting.connect(stuck.getsockname())
        began = time.monotonic()
        with pytest.raises(DaemonSilent, match=r"did not answer within .* s") as caught:
            Client(spawn=True, timeout_s=0.3).info()
        assert exit_code(caught.value) == 1
        assert time.monotonic() - began < DEADLINE_S / 2
        with pytest.raises(DaemonSilent):
            asyncio.run(AsyncClient(spawn=True, timeout_s=0.3).info())
    assert lone_hfdm.pids() == []


def test_the_log_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "hfdmd.log"
    for generation in range(6):
        log.write_bytes(f"{generation}".encode() + b"x" * logfile.MAX_BYTES)
        logfile.rotate(log)
        assert not log.exists()
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["hfdmd.log.1", "hfdmd.log.2", "hfdmd.log.3"]
    assert (tmp_path / "hfdmd.log.1").read_bytes()[:1] == b"5"
    log.write_bytes(b"little")
    logfile.rotate(log)
    logfile.rotate_in_use(log)
    assert log.read_bytes() == b"little"


def test_the_log_of_a_running_daemon_is_rotated_by_the_next_command(lone_hfdm: Hfdm) -> None:
    lone_hfdm("status")
    log = lone_hfdm.state / "hfdmd.log"
    with open(log, "ab") as stream:
        stream.write(b"x" * (4 * logfile.MAX_BYTES))
    lone_hfdm("status")
    assert log.stat().st_size < logfile.MAX_BYTES
    assert log.with_name("hfdmd.log.1").stat().st_size > logfile.MAX_BYTES
    lone_hfdm("download", REPO, "config.json")
    assert b"config.json" in log.read_bytes()  # the daemon continues to write to it
    assert not log.read_bytes().startswith(b"\0")


def test_stop_and_restart(lone_hfdm: Hfdm) -> None:
    assert lone_hfdm("stop").returncode == 3
    lone_hfdm("status")
    [first] = lone_hfdm.pids()
    assert lone_hfdm("restart").returncode == 0
    [second] = lone_hfdm.pids()
    assert second != first
    done = lone_hfdm("stop", "--json")
    assert json.loads(done.stdout) == {"stopped": second}
    assert lone_hfdm.pids() == []
