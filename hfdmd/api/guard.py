"""Connections that do not behave: too many, idle before their first request, or a request that trickles in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import web

from hfdmd.api.access import Handler

REQUEST_S = 10.0
"""How long a request's head and body may take to come in."""
IDLE_S = 60.0
"""How long a connection may stand open without any request."""
MAX_CONNECTIONS = 8192


class Guard(asyncio.Protocol):
    """Stands between a transport and aiohttp's protocol, which has no timeout for the head of a request."""

    def __init__(self, inner: asyncio.Protocol, doors: Doors) -> None:
        self._inner = inner
        self._doors = doors
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._head_began = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._doors.open[transport] = self
        self._inner.connection_made(transport)
        if len(self._doors.open) > self._doors.most:
            self._transport.abort()
            return
        self._arm(IDLE_S)

    def data_received(self, data: bytes) -> None:
        if not self._busy and not self._head_began:
            self._head_began = True
            self._arm(REQUEST_S)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._transport is not None:
            self._doors.open.pop(self._transport, None)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def head_came(self) -> None:
        """A request's head is complete: from here its handler minds the time."""
        self._busy = True
        self._head_began = False
        self._disarm()

    def request_ended(self) -> None:
        self._busy = False
        self._arm(IDLE_S)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        if self._transport is not None and not self._transport.is_closing():
            self._timer = asyncio.get_running_loop().call_later(seconds, self._cut)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Doors:
    """All open connections of the API."""

    def __init__(self, most: int = MAX_CONNECTIONS) -> None:
        self.most = most
        self.open: dict[asyncio.BaseTransport, Guard] = {}

    def factory(self, server: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """A protocol factory for `loop.create_server` and `loop.create_unix_server`."""
        return lambda: Guard(server(), self)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        guard = self.open.get(request.transport) if request.transport is not None else None
        if guard is None:
            return await handler(request)
        guard.head_came()
        try:
            return await handler(request)
        finally:
            guard.request_ended()
