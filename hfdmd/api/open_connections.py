"""Limits on client connections: how many, how long without a request, how long for the head of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from aiohttp import web

from hfdmd import descriptors

REQUEST_S = 10.0
"""Time limit for receiving the head of a request, and again for its body."""
IDLE_S = 60.0
"""How long a connection may stay open without a request."""
MAX_CONNECTIONS = 8192


class TimedProtocol(web.RequestHandler):
    """aiohttp's protocol, with a timeout for the head of a request and for a connection without one."""

    __slots__ = ("_connection", "_connections", "_head_began", "_timer", "is_answered")

    def __init__(self, connections: OpenConnections, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._connections = connections
        self._connection: asyncio.Transport | None = None  # aiohttp's `transport` is None once it closes
        self._timer: asyncio.TimerHandle | None = None
        self._head_began = False
        self.is_answered = False
        """Whether a request of this connection has been answered and none is in progress."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection = cast(asyncio.Transport, transport)
        super().connection_made(transport)
        if self._connections.add(self):
            self._arm(IDLE_S)
        else:
            self._connection.abort()

    def data_received(self, data: bytes) -> None:
        if data and not self._head_began:  # aiohttp calls this without data to continue reading
            self._head_began = True
            if self._timer is not None:  # None during a request: the data is its body, or the next request
                self._arm(REQUEST_S)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        self._connections.remove(self)
        super().connection_lost(exc)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Context of one request, whose handler has its own timeouts: the connection is not idle."""
        self._connections.mark_busy(self)
        self.is_answered = False
        self._disarm()
        try:
            yield
        finally:
            if self._connections.mark_idle(self):
                self._head_began = False
                self.is_answered = True
                self._arm(IDLE_S)

    def abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        if self._connection is not None and not self._connection.is_closing():
            self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class OpenConnections:
    """All open connections of the API. At the limit, a new one closes the one that has been idle longest.

    So thousands of idle connections lock no client out and never take the descriptors that downloads need.
    """

    def __init__(self) -> None:
        self._most = max(16, min(MAX_CONNECTIONS, descriptors.share(2)))
        self._open: set[TimedProtocol] = set()
        self._idle: dict[TimedProtocol, None] = {}

    def add(self, protocol: TimedProtocol) -> bool:
        """Register a connection, closing an idle one at the limit. False: every connection is in use."""
        if len(self._open) >= self._most:
            longest_idle = next(iter(self._idle), None)
            if longest_idle is None:
                return False
            del self._idle[longest_idle]
            longest_idle.abort()
        self._open.add(protocol)
        self._idle[protocol] = None
        return True

    def remove(self, protocol: TimedProtocol) -> None:
        self._open.discard(protocol)
        self._idle.pop(protocol, None)

    def mark_busy(self, protocol: TimedProtocol) -> None:
        self._idle.pop(protocol, None)

    def mark_idle(self, protocol: TimedProtocol) -> bool:
        """False if the connection is closed, or was refused."""
        if protocol not in self._open:
            return False
        self._idle[protocol] = None
        return True

    async def wait_answered(self, at_most_s: float) -> None:
        """Return when every open connection has been answered, or after `at_most_s`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + at_most_s
        while True:
            await asyncio.sleep(0.005)  # first of all: the loop may be about to register a connection just accepted
            if loop.time() > deadline or all(protocol.is_answered for protocol in self._open):
                return
