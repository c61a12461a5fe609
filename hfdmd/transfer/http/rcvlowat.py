"""Fewer wake-ups on a fast line: the kernel tells of bytes only when there are many (docs/decisions/0014)."""

from __future__ import annotations

import asyncio
import socket
import sys
import time

LOW_WATER_BYTES = 1 << 20
"""So many come at once, then; also how many must come before their speed is believed."""
FAST_BYTES_PER_S = 200e6
"""At this speed they are there within 5 ms."""
LASTS_S = 1.0
"""A line may become slow, or stop: the bytes that are there by then are not left lying for longer."""

_IS_HEEDED = sys.platform == "linux"  # socket(7): epoll goes by SO_RCVLOWAT


class ReceiveLowWater:
    """The low-water mark of one socket, from `attach` to `close`.

    It stays at one byte under TLS, where what lies in the kernel is not what is wanted.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._left_bytes = 0
        self.since = 0.0
        """The time in seconds from which on the speed is measured."""
        self.mark_bytes = 1

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """This is the connection."""
        if _IS_HEEDED and transport.get_extra_info("ssl_object") is None:
            self._socket = transport.get_extra_info("socket")

    def begin(self, left_bytes: int) -> None:
        """A body begins of which so much is still to come."""
        self.since, self._left_bytes = time.monotonic(), left_bytes

    def left(self, left_bytes: int, now: float) -> None:
        """At `now`, a time in seconds, so much of the body is still to come."""
        if left_bytes < LOW_WATER_BYTES:
            self._set(1)
        elif self.mark_bytes == 1 and self._left_bytes - left_bytes >= LOW_WATER_BYTES:
            if self._left_bytes - left_bytes >= FAST_BYTES_PER_S * (now - self.since):
                self._set(LOW_WATER_BYTES)
            self.since, self._left_bytes = now, left_bytes

    def lower(self) -> None:
        """Every byte counts now."""
        self._set(1)

    def close(self) -> None:
        """The socket is no more."""
        self._socket = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, count: int) -> None:
        if self._socket is None or count == self.mark_bytes:
            return
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
        self.mark_bytes = count
        if count > 1 and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LASTS_S, self._lapse)

    def _lapse(self) -> None:
        self._timer = None
        self.lower()
