"""hfdmd.service_manager: sockets handed over by systemd's protocol, by hand and by systemd-socket-activate."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from tests.daemon_process import until
from tests.service.conftest import REPO

PROGRAM = """
import json, os
from hfdmd.service_manager import systemd_sockets
try:
    found = systemd_sockets()
except ValueError as error:
    print(json.dumps({"error": str(error)}))
else:
    print(json.dumps({
        "sockets": {name: one.getsockname() for name, one in found.items()},
        "blocking": [one.getblocking() for one in found.values()],
        "inheritable": [one.get_inheritable() for one in found.values()],
        "left": [name for name in os.environ if name.startswith("LISTEN_")],
        "again": len(systemd_sockets()),
    }))
"""

_HIGH = 50  # above everything that the moved descriptors are moved to

START = """
import os, sys
pid, names, high, python, program = sys.argv[1:]
fds = [int(fd) for fd in high.split(",")]
for target, fd in enumerate(fds, 3):
    os.dup2(fd, target, inheritable=True)
os.environ |= {"LISTEN_PID": pid or str(os.getpid()), "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": names}
os.execv(python, [python, "-c", program])
"""


def activated(python: str, sockets: Sequence[socket.socket | IO[str]], names: str, pid: str = "") -> dict[str, object]:
    """What PROGRAM says when started as systemd would: these from descriptor 3 on, and its own pid."""
    high = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, _HIGH) for one in sockets]
    try:
        done = subprocess.run(
            [sys.executable, "-c", START, pid, names, ",".join(map(str, high)), python, PROGRAM],
            pass_fds=high,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO)},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            cwd="/",
        )
    finally:
        for fd in high:
            os.close(fd)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def listening(path: Path, kind: int = socket.SOCK_STREAM) -> socket.socket:
    one = socket.socket(socket.AF_UNIX, kind)
    one.bind(str(path))
    if kind == socket.SOCK_STREAM:
        one.listen()
    return one


def test_takes_sockets_by_name(python: str, folder: Path) -> None:
    with listening(folder / "a") as a, listening(folder / "b") as b, listening(folder / "c") as c:
        found = activated(python, [a, b, c], "api:web:api")
    assert found["sockets"] == {"api": f"{folder}/a", "web": f"{folder}/b", "api.2": f"{folder}/c"}
    assert found["blocking"] == [False] * 3
    assert found["inheritable"] == [False] * 3
    assert found["left"] == [], "a child would take the sockets for its own"
    assert found["again"] == 0


def test_leaves_alone_what_is_meant_for_another_process(python: str, folder: Path) -> None:
    with listening(folder / "a") as a:
        found = activated(python, [a], "api", pid="1")
    assert found["sockets"] == {}
    assert found["left"] == []


@pytest.mark.parametrize("kind", ["datagram", "not listening", "file"])
def test_refuses_what_is_no_listening_stream(python: str, folder: Path, kind: str) -> None:
    if kind == "file":
        with (folder / "file").open("w") as file:
            found = activated(python, [file], "api")
    else:
        one = listening(folder / "a", socket.SOCK_DGRAM) if kind == "datagram" else socket.socket(socket.AF_UNIX)
        with one:
            found = activated(python, [one], "api")
    assert "descriptor 3" in str(found["error"])


def test_systemd_socket_activate(python: str, folder: Path) -> None:
    tool = shutil.which("systemd-socket-activate")
    if tool is None:
        pytest.skip("no systemd-socket-activate on this machine: apt-get install systemd")
    path = folder / "a.sock"
    command = [tool, "-l", str(path), "--fdname=api", "-E", f"PYTHONPATH={REPO}", python, "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        until(path.exists, "the socket")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            output, _ = process.communicate(timeout=30)
    assert json.loads(output)["sockets"] == {"api": str(path)}
    assert path.exists(), "an activated socket is the manager's; its file must stay"
