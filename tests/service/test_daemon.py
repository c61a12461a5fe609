"""The real daemon under a simulated service manager: without PID 1 and root, on any machine."""

from __future__ import annotations

import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.daemon_process import Daemon, until
from tests.service.conftest import REPO
from tests.service.manager import NotifySocket
from tests.service.test_activation import START
from tests.service.test_launchd import stand_in

__all__ = ["stand_in"]  # a fixture

STOP_LIMIT_S = 5.0
TICK_S = 0.4


class ManagedDaemon(Daemon):
    """A daemon of the interpreter `python`, of which several processes may run; none is waited for."""

    def __init__(self, python: str, folder: Path) -> None:
        path = f"{REPO}:{REPO / 'client'}"
        super().__init__(folder, "http://127.0.0.1:9", python=python, PYTHONPATH=path)  # no Hub listens there
        self.processes: list[subprocess.Popen[str]] = []

    def activated(self, fd: int) -> list[str]:
        """The command that starts it as systemd does, with `fd` as its socket `api`."""
        program = "import sys; from hfdmd.service import main; sys.argv[1:] = []; main()"
        return [sys.executable, "-c", START, "", "api", str(fd), self.python, program]

    def launch(
        self, env: Mapping[str, str] | None = None, *, command: list[str] | None = None, fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[str]:
        options = {"stderr": subprocess.PIPE, "text": True, "cwd": "/", "pass_fds": fds}
        process = self.spawn(command=command, env=self.env | dict(env or {}), **options)
        self.processes.append(process)
        return process

    def stop_cleanly(self, process: subprocess.Popen[str]) -> str:
        """SIGTERM, exit code 0; returns what it logged."""
        process.terminate()
        _, logged = process.communicate(timeout=STOP_LIMIT_S)
        assert process.returncode == 0, logged
        return logged


@pytest.fixture
def daemon(python: str, folder: Path) -> Iterator[ManagedDaemon]:
    made = ManagedDaemon(python, folder)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def ear(folder: Path) -> Iterator[NotifySocket]:
    with NotifySocket(folder / "notify") as listening:
        yield listening


def test_ready_when_the_api_answers_then_alive_then_stopping(daemon: ManagedDaemon, ear: NotifySocket) -> None:
    env = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": str(int(2 * TICK_S * 1e6))}
    process = daemon.launch(env)
    pid, ready = ear.read_until("READY", 30)
    assert pid == process.pid
    assert ready["STATUS"]
    assert daemon.get("/api/health").status == 200, "READY came before the API answered"
    for _ in range(3):
        assert ear.read_until("WATCHDOG", 2 * TICK_S)[0] == process.pid
    process.send_signal(signal.SIGHUP)
    _, reloading = ear.read_until("RELOADING")
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert ear.read_until("READY")[1]["READY"] == "1"
    process.terminate()
    assert ear.read_until("STOPPING")[0] == process.pid
    assert process.wait(STOP_LIMIT_S) == 0


def test_a_watchdog_of_somebody_else_is_not_fed(daemon: ManagedDaemon, ear: NotifySocket) -> None:
    env = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}
    process = daemon.launch(env)
    ear.read_until("READY", 30)
    assert ear.is_silent("WATCHDOG", 5 * TICK_S)
    daemon.stop_cleanly(process)


def test_a_hung_loop_is_silent_and_its_stack_comes_with_sigabrt(daemon: ManagedDaemon, ear: NotifySocket) -> None:
    hang = daemon.home / "hang"
    hang.mkdir()
    (hang / "sitecustomize.py").write_text(
        "import signal, time\ndef hang_the_loop(*_): time.sleep(3600)\nsignal.signal(signal.SIGUSR1, hang_the_loop)\n"
    )
    path = f"{hang}:{REPO}:{REPO / 'client'}"
    env = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": str(int(TICK_S * 1e6)), "PYTHONPATH": path}
    process = daemon.launch(env)
    ear.read_until("WATCHDOG", 30)
    process.send_signal(signal.SIGUSR1)
    until(lambda: ear.is_silent("WATCHDOG", 3 * TICK_S), "silence")
    process.send_signal(signal.SIGABRT)
    _, logged = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGABRT
    assert "hang_the_loop" in logged


def test_takes_a_socket_in_which_a_client_waits_already(daemon: ManagedDaemon) -> None:
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(str(daemon.socket))
        listening.listen()
        client.connect(str(daemon.socket))
        client.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        fd = listening.fileno()
        process = daemon.launch(command=daemon.activated(fd), fds=(fd,))
        client.settimeout(30)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert daemon.get("/api/info").json["socket"] == str(daemon.socket)
        daemon.stop_cleanly(process)
        assert daemon.socket.is_socket(), "the manager's socket was deleted"


def test_started_by_systemd_socket_activate(daemon: ManagedDaemon) -> None:
    tool = shutil.which("systemd-socket-activate")
    if tool is None:
        pytest.skip("no systemd-socket-activate on this machine: apt-get install systemd")
    passed = [f"-E{name}={value}" for name, value in daemon.env.items() if name not in ("PATH", "HOME")]
    process = daemon.launch(command=[tool, "-l", str(daemon.socket), "--fdname=api", *passed, *daemon.command()])
    until(daemon.socket.exists, "the socket")
    assert daemon.get("/api/info").json["pid"] == process.pid
    daemon.stop_cleanly(process)
    assert daemon.socket.is_socket()


def test_takes_its_socket_from_launchd(daemon: ManagedDaemon, stand_in: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(daemon.socket))
        listening.listen()
        fd = listening.fileno()
        process = daemon.launch({"LD_PRELOAD": str(stand_in), "FAKE_LAUNCHD_FDS": str(fd)}, fds=(fd,))
        assert daemon.get("/api/health").status == 200
        daemon.stop_cleanly(process)
        assert daemon.socket.is_socket()


def test_refuses_what_is_no_socket(daemon: ManagedDaemon) -> None:
    with (daemon.home / "file").open("w") as file:
        process = daemon.launch(command=daemon.activated(file.fileno()), fds=(file.fileno(),))
        _, logged = process.communicate(timeout=30)
    assert process.returncode == 78, logged
    assert "Traceback" not in logged


def test_without_a_manager_it_makes_its_own_socket_and_takes_it_away(daemon: ManagedDaemon) -> None:
    process = daemon.launch()
    until(daemon.answers, "the daemon")
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    daemon.stop_cleanly(process)
    assert not daemon.socket.exists()


def test_a_second_one_names_the_first_and_a_stale_socket_is_replaced(daemon: ManagedDaemon) -> None:
    first = daemon.launch()
    until(daemon.answers, "the daemon")
    second = daemon.launch()
    _, logged = second.communicate(timeout=30)
    assert second.returncode == 75
    assert str(first.pid) in logged
    assert daemon.answers()
    first.kill()
    first.communicate(timeout=10)
    assert daemon.socket.is_socket()
    third = daemon.launch()
    until(daemon.answers, "the daemon")
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    daemon.stop_cleanly(third)
