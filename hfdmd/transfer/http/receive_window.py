"""The kernel's receive buffers under a bandwidth limit, sized by the server's distance: little arrives ahead of it."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

AHEAD_S = 0.025
"""How much of the limit all connections together may receive ahead of it; a kill loses it.

More than the time between two grants of the limiter, so that a near server always has sent enough for the next one.
"""
MIN_BYTES = 16 * 1024
_RMEM_MAX = Path("/proc/sys/net/core/rmem_max")


def window_bytes(bytes_per_s: int, rtt_s: float, connections: int) -> int:
    """What one of that many connections may receive ahead of a limit for all of them.

    That is what is on its way during a round trip, or a distant server would not reach the limit, and its share of
    `AHEAD_S`.
    """
    return max(MIN_BYTES, int(bytes_per_s * (rtt_s + AHEAD_S) / max(1, connections)))


@lru_cache(maxsize=1)
def largest_bytes() -> int:
    """The largest receive buffer that the system lets a program set."""
    with suppress(OSError, ValueError):
        return int(_RMEM_MAX.read_text())
    return 1 << 20


class ReceiveWindow:
    """The receive buffer of one connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._least_bytes = 2 * sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        self.size_bytes: int | None = None
        """None: the kernel decides."""

    def resize(self, size_bytes: int) -> None:
        """Set its size, at least two segments; bytes that are in it are not lost.

        A larger one than the system allows is left to the kernel, which can grow it further by itself, unless a
        smaller one was set before: the kernel then does not change it any more.
        """
        largest = largest_bytes()
        if self.size_bytes is None and size_bytes > largest:
            return
        self._set(min(max(size_bytes, self._least_bytes), largest))

    def close(self) -> None:
        """The system's minimum, so that the kernel accepts no more bytes."""
        self._set(1)

    def _set(self, size_bytes: int) -> None:
        if self.size_bytes is not None and 8 * abs(size_bytes - self.size_bytes) < self.size_bytes:
            return
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)
        if hasattr(socket, "TCP_WINDOW_CLAMP"):  # before Linux 6.10, it does not grow with the buffer
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, size_bytes)
        self.size_bytes = size_bytes
