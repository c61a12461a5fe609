"""Connections that do not behave: too many, idle before their first request, or a request that trickles in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from aiohttp import web

from hfdmd import descriptors

REQUEST_S = 10.0
"""How long a request's head may take to come in, and then its body."""
IDLE_S = 60.0
"""How long a connection may stand open without any request."""
MAX_CONNECTIONS = 8192


class Guard(asyncio.Protocol):
    """Stands between a transport and aiohttp's protocol, which has no timeout for the head of a request."""

    __slots__ = ("_doors", "_head_began", "_inner", "_timer", "_transport", "heard")

    def __init__(self, inner: asyncio.Protocol, doors: Doors) -> None:
        self._inner = inner
        self._doors = doors
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._head_began = False
        self.heard = False
        """A request of this connection has been answered, and none is at work."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._inner.connection_made(transport)
        if self._doors.let_in(transport, self):
            self._arm(IDLE_S)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._head_began:
            self._head_began = True
            if self._timer is not None:  # none while a request is at work: what comes is its body, or the next one
                self._arm(REQUEST_S)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._transport is not None:
            self._doors.let_out(self._transport, self)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def head_came(self) -> None:
        """A request's head is complete: from here its handler minds the time."""
        self.heard = False
        self._disarm()

    def request_ended(self) -> None:
        self._head_began = False
        self.heard = True
        self._arm(IDLE_S)

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        if self._transport is not None and not self._transport.is_closing():
            self._timer = asyncio.get_running_loop().call_later(seconds, self.cut)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Doors:
    """All open connections of the API. When there are too many, whoever has been idle longest has to go.

    So thousands of idle connections keep nobody out, and never take the descriptors that downloads need.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most if most is not None else max(16, min(MAX_CONNECTIONS, descriptors.share(2)))
        self._open: dict[asyncio.BaseTransport, Guard] = {}
        self._idle: dict[Guard, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def let_in(self, transport: asyncio.BaseTransport, guard: Guard) -> bool:
        """Whether there is room for one more; makes some if it can."""
        if len(self._open) >= self.most:
            longest = next(iter(self._idle), None)
            if longest is None:
                return False
            del self._idle[longest]
            longest.cut()
        self._open[transport] = guard
        self._idle[guard] = None
        return True

    async def hear_out(self, at_most_s: float) -> None:
        """Until everybody who is in has been answered, or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + at_most_s
        while True:
            await asyncio.sleep(0.005)  # first of all: the loop may be about to hand in whom it has just accepted
            if loop.time() > deadline or all(guard.heard for guard in self._open.values()):
                return

    def let_out(self, transport: asyncio.BaseTransport, guard: Guard) -> None:
        self._open.pop(transport, None)
        self._idle.pop(guard, None)

    @contextmanager
    def request(self, request: web.BaseRequest) -> Iterator[None]:
        """While a request is at work its connection is not idle."""
        transport = request.transport
        guard = self._open.get(transport) if transport is not None else None
        if guard is None:
            yield
            return
        self._idle.pop(guard, None)
        guard.head_came()
        try:
            yield
        finally:
            if transport in self._open:
                self._idle[guard] = None
                guard.request_ended()
