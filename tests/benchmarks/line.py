"""An emulated line between two network namespaces: delay, rate and a drop-tail queue (see delaynet/)."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOOLS = Path(__file__).parent / "delaynet"
SERVER_HOST = "10.77.0.1"
IN_SERVER = ("ip", "netns", "exec", "hfdmd-srv")
IN_CLIENT = ("ip", "netns", "exec", "hfdmd-cli")
_SERVER_NAMESPACE = "/run/netns/hfdmd-srv"
_CLONE_NEWNET = 0x40000000


def possible() -> str | None:
    """Why no line can be emulated here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [program for program in ("ip", "gcc") if shutil.which(program) is None]
    if missing or not Path("/dev/net/tun").exists():
        return f"missing: {', '.join(missing) or '/dev/net/tun'}"
    return None


class Line:
    """`with Line(folder, rtt_ms=40, rate_mbit=1000):` run servers with `IN_SERVER` and clients with `IN_CLIENT`."""

    def __init__(self, folder: Path, rtt_ms: int, rate_mbit: int, queue_ms: int = 40) -> None:
        self._env = os.environ | {"DELAYNET_RUN": str(folder)}
        self._arguments = [str(rtt_ms), str(rate_mbit), str(queue_ms)]

    def __enter__(self) -> None:
        subprocess.run([TOOLS / "up", *self._arguments], env=self._env, check=True)

    def __exit__(self, *error: object) -> None:
        subprocess.run([TOOLS / "down"], env=self._env, check=False)


@contextmanager
def in_server() -> Iterator[None]:
    """Threads that are started within it, and their sockets, belong to the server's end of the line for good."""
    with open("/proc/thread-self/ns/net") as own, open(_SERVER_NAMESPACE) as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")
