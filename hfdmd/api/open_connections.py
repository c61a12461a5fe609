"""Limits on client connections: how many, how long without a request, how long for the head of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from aiohttp import web

from hfdmd import descriptors

REQUEST_S = 10.0
"""Time limit for receiving the head of a request, and again for its body."""
IDLE_S = 60.0
"""How long a connection may stay open without a request."""
MAX_CONNECTIONS = 8192


class TimedProtocol(asyncio.Protocol):
    """Wraps aiohttp's protocol, which has no timeout for the head of a request."""

    __slots__ = ("_connections", "_head_began", "_inner", "_timer", "_transport", "is_answered")

    def __init__(self, inner: asyncio.Protocol, connections: OpenConnections) -> None:
        self._inner = inner
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._head_began = False
        self.is_answered = False
        """Whether a request of this connection has been answered and none is in progress."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._inner.connection_made(transport)
        if self._connections.add(transport, self):
            self._arm(IDLE_S)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._head_began:
            self._head_began = True
            if self._timer is not None:  # None during a request: the data is its body, or the next request
                self._arm(REQUEST_S)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._transport is not None:
            self._connections.remove(self._transport, self)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def request_began(self) -> None:
        """The head of a request is complete; from here its handler has its own timeouts."""
        self.is_answered = False
        self._disarm()

    def request_ended(self) -> None:
        self._head_began = False
        self.is_answered = True
        self._arm(IDLE_S)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        if self._transport is not None and not self._transport.is_closing():
            self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class OpenConnections:
    """All open connections of the API. At the limit, a new one closes the one that has been idle longest.

    So thousands of idle connections lock no client out and never take the descriptors that downloads need.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most if most is not None else max(16, min(MAX_CONNECTIONS, descriptors.share(2)))
        self._open: dict[asyncio.BaseTransport, TimedProtocol] = {}
        self._idle: dict[TimedProtocol, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, transport: asyncio.BaseTransport, protocol: TimedProtocol) -> bool:
        """Register a connection, closing an idle one at the limit. False: every connection is in use."""
        if len(self._open) >= self.most:
            longest_idle = next(iter(self._idle), None)
            if longest_idle is None:
                return False
            del self._idle[longest_idle]
            longest_idle.abort()
        self._open[transport] = protocol
        self._idle[protocol] = None
        return True

    async def wait_answered(self, at_most_s: float) -> None:
        """Return when every open connection has been answered, or after `at_most_s`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + at_most_s
        while True:
            await asyncio.sleep(0.005)  # first of all: the loop may be about to register a connection just accepted
            if loop.time() > deadline or all(protocol.is_answered for protocol in self._open.values()):
                return

    def remove(self, transport: asyncio.BaseTransport, protocol: TimedProtocol) -> None:
        self._open.pop(transport, None)
        self._idle.pop(protocol, None)

    @contextmanager
    def request(self, request: web.BaseRequest) -> Iterator[None]:
        """Context of one request: its connection is not idle."""
        transport = request.transport
        protocol = self._open.get(transport) if transport is not None else None
        if protocol is None:
            yield
            return
        self._idle.pop(protocol, None)
        protocol.request_began()
        try:
            yield
        finally:
            if transport in self._open:
                self._idle[protocol] = None
                protocol.request_ended()
