"""The real daemon under a service manager that is played by hand: no PID 1, no root, on any machine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.service.box import UnixConnection
from tests.service.conftest import REPO
from tests.service.manager import NotifySocket, until
from tests.service.test_activation import START
from tests.service.test_launchd import stand_in

__all__ = ["stand_in"]  # a fixture

STOP_LIMIT_S = 5.0
TICK_S = 0.4


@dataclass
class Daemon:
    """`hfdmd` over a state and a cache of its own."""

    python: str
    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "hfdmd.sock"

    @property
    def command(self) -> list[str]:
        return [self.python, "-m", "hfdmd.service"]

    def handed(self, fd: int) -> list[str]:
        """The command that starts it as systemd does, with `fd` as its socket `api`."""
        program = "import sys; from hfdmd.service import main; sys.argv[1:] = []; main()"
        return [sys.executable, "-c", START, "", "api", str(fd), self.python, program]

    def env(self, more: Mapping[str, str]) -> dict[str, str]:
        own = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{REPO}:{REPO / 'client'}",
            "HOME": str(self.folder),
            "HFDMD_STATE_DIR": str(self.folder / "state"),
            "HF_HOME": str(self.folder / "hf"),
            "HFDMD_SOCKET": str(self.socket),
            "HF_ENDPOINT": "http://127.0.0.1:9",  # nobody is asked
        }
        return {**own, **more}

    def start(
        self, env: Mapping[str, str] | None = None, *, command: list[str] | None = None, fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command or self.command, env=self.env(env or {}), cwd="/", stderr=subprocess.PIPE, text=True, pass_fds=fds
        )
        self.processes.append(process)
        return process

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        with contextlib.closing(UnixConnection(str(self.socket), 20)) as connection:
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def answers(self) -> bool:
        try:
            return self.get("/api/health")[0] == 200
        except OSError:  # not there yet
            return False

    def stop(self, process: subprocess.Popen[str]) -> str:
        """A clean stop; returns what it logged."""
        process.terminate()
        _, logged = process.communicate(timeout=STOP_LIMIT_S)
        assert process.returncode == 0, logged
        return logged


@pytest.fixture
def daemon(python: str, folder: Path) -> Iterator[Daemon]:
    made = Daemon(python, folder)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def ear(folder: Path) -> Iterator[NotifySocket]:
    with NotifySocket(folder / "notify") as listening:
        yield listening


def test_ready_when_the_api_answers_then_alive_then_stopping(daemon: Daemon, ear: NotifySocket) -> None:
    env = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": str(int(2 * TICK_S * 1e6))}
    process = daemon.start(env)
    pid, ready = ear.read_until("READY", 30)
    assert pid == process.pid
    assert ready["STATUS"]
    assert daemon.get("/api/health")[0] == 200, "READY came before the API answered"
    for _ in range(3):
        assert ear.read_until("WATCHDOG", 2 * TICK_S)[0] == process.pid
    process.send_signal(signal.SIGHUP)
    _, reloading = ear.read_until("RELOADING")
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert ear.read_until("READY")[1]["READY"] == "1"
    process.terminate()
    assert ear.read_until("STOPPING")[0] == process.pid
    assert process.wait(STOP_LIMIT_S) == 0


def test_a_watchdog_of_somebody_else_is_not_fed(daemon: Daemon, ear: NotifySocket) -> None:
    env = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}
    process = daemon.start(env)
    ear.read_until("READY", 30)
    assert ear.is_silent("WATCHDOG", 5 * TICK_S)
    daemon.stop(process)


def test_a_hung_loop_is_silent_and_its_stack_comes_with_sigabrt(daemon: Daemon, ear: NotifySocket) -> None:
    hang = daemon.folder / "hang"
    hang.mkdir()
    (hang / "sitecustomize.py").write_text(
        "import signal, time\ndef hang_the_loop(*_): time.sleep(3600)\nsignal.signal(signal.SIGUSR1, hang_the_loop)\n"
    )
    path = f"{hang}:{REPO}:{REPO / 'client'}"
    env = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": str(int(TICK_S * 1e6)), "PYTHONPATH": path}
    process = daemon.start(env)
    ear.read_until("WATCHDOG", 30)
    process.send_signal(signal.SIGUSR1)
    until("silence", lambda: ear.is_silent("WATCHDOG", 3 * TICK_S))
    process.send_signal(signal.SIGABRT)
    _, logged = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGABRT
    assert "hang_the_loop" in logged


def test_takes_a_socket_in_which_a_client_waits_already(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(str(daemon.socket))
        listening.listen()
        client.connect(str(daemon.socket))
        client.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        fd = listening.fileno()
        program = "import sys; from hfdmd.service import main; sys.argv[1:] = []; main()"
        process = daemon.start(
            command=[sys.executable, "-c", START, "", "api", str(fd), daemon.python, program], fds=(fd,)
        )
        client.settimeout(30)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert daemon.get("/api/info")[1]["socket"] == str(daemon.socket)
        daemon.stop(process)
        assert daemon.socket.is_socket(), "the manager's socket was deleted"


def test_started_by_systemd_socket_activate(daemon: Daemon) -> None:
    tool = shutil.which("systemd-socket-activate")
    if tool is None:
        pytest.skip("no systemd-socket-activate on this machine: apt-get install systemd")
    passed = [f"-E{name}={value}" for name, value in daemon.env({}).items() if name not in ("PATH", "HOME")]
    process = daemon.start(command=[tool, "-l", str(daemon.socket), "--fdname=api", *passed, *daemon.command])
    until("the socket", daemon.socket.exists)
    assert daemon.get("/api/info")[1]["pid"] == process.pid
    daemon.stop(process)
    assert daemon.socket.is_socket()


def test_takes_its_socket_from_launchd(daemon: Daemon, stand_in: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(daemon.socket))
        listening.listen()
        fd = listening.fileno()
        process = daemon.start({"LD_PRELOAD": str(stand_in), "FAKE_LAUNCHD_FDS": str(fd)}, fds=(fd,))
        assert daemon.get("/api/health")[0] == 200
        daemon.stop(process)
        assert daemon.socket.is_socket()


def test_refuses_what_is_no_socket(daemon: Daemon) -> None:
    with (daemon.folder / "file").open("w") as file:
        process = daemon.start(command=daemon.handed(file.fileno()), fds=(file.fileno(),))
        _, logged = process.communicate(timeout=30)
    assert process.returncode == 78, logged
    assert "Traceback" not in logged


def test_without_a_manager_it_makes_its_own_socket_and_takes_it_away(daemon: Daemon) -> None:
    process = daemon.start()
    until("the daemon", daemon.answers)
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    daemon.stop(process)
    assert not daemon.socket.exists()


def test_a_second_one_names_the_first_and_a_stale_socket_is_replaced(daemon: Daemon) -> None:
    first = daemon.start()
    until("the daemon", daemon.answers)
    second = daemon.start()
    _, logged = second.communicate(timeout=30)
    assert second.returncode == 75
    assert str(first.pid) in logged
    assert daemon.answers()
    first.kill()
    first.communicate(timeout=10)
    assert daemon.socket.is_socket()
    third = daemon.start()
    until("the daemon", daemon.answers)
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    daemon.stop(third)
