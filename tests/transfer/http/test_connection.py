"""A cancelled receive keeps every byte that this machine has received, if the sink can use it, and no other."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from hfdmd.transfer.http import connection as connection_module
from hfdmd.transfer.http.connection import HEAD_BUFFER_BYTES, Connection
from hfdmd.transfer.http.receive_window import ReceiveWindow
from hfdmd.transfer.http.tls import ENCRYPTED_BUFFER_BYTES, TlsTransport
from tests.fakehub.tls import make_authority
from tests.transfer.bench import cancelled, until

LENGTH_BYTES = 1 << 20
CONTENT = random.Random(5).randbytes(20_000)  # fits into every kernel's buffers


class FullSink:
    """Has no room, as under a bandwidth limit, until it is exempted from that."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.wake: Callable[[], None] | None = None
        self.data = bytearray()
        self.exempted_bytes = 0
        self._keeps = keeps
        self._view = memoryview(bytearray(1000))

    @property
    def wanted_bytes(self) -> int:
        return LENGTH_BYTES - len(self.data)

    def ready(self) -> bool:
        return len(self.data) < self.exempted_bytes

    def buffer(self) -> memoryview:
        return self._view[: self.exempted_bytes - len(self.data)]

    def advance(self, count: int) -> None:
        self.data += self._view[:count]

    def exempt(self, count: int) -> bool:
        self.exempted_bytes = count if self._keeps else 0
        return self._keeps

    def accept_whole(self, size_bytes: int | None) -> bool:
        return False


class Harness:
    """A connection, and the other end of it."""

    def __init__(self, connection: Connection, writer: asyncio.StreamWriter) -> None:
        self.connection = connection
        self.writer = writer

    async def request(self) -> None:
        """A request, and the head of its response."""
        self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LENGTH_BYTES)
        head = await self.connection.request("GET", "/", [], 60.0)
        assert head.length == LENGTH_BYTES


@pytest.fixture(params=["http", "https"])
async def harness(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    monkeypatch.setattr(connection_module, "DRAIN_S", 60.0)  # a busy machine may need longer than usual
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    authority = make_authority() if request.param == "https" else None
    served_with = None if authority is None else authority.server
    server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0, ssl=served_with)
    sock = socket.create_connection(("127.0.0.1", server.sockets[0].getsockname()[1]))
    connection = Connection(memoryview(bytearray(HEAD_BUFFER_BYTES)), ReceiveWindow(sock), 0.0)
    loop = asyncio.get_running_loop()
    if authority is None:
        await loop.create_connection(lambda: connection, sock=sock)
    else:
        context = ssl.create_default_context(cafile=authority.ca_path)
        tls = TlsTransport(context, "127.0.0.1", memoryview(bytearray(ENCRYPTED_BUFFER_BYTES)))
        await loop.create_connection(lambda: tls, sock=sock)
        await tls.shake_hands(connection)
        authority.remove()
    writer = await accepted
    yield Harness(connection, writer)
    connection.abort()
    writer.close()
    server.close()
    await connection.closed


@pytest.mark.parametrize("with_head_bytes", [0, 1, len(CONTENT) // 2, len(CONTENT)])
async def test_a_cancelled_receive_keeps_all_that_has_arrived(harness: Harness, with_head_bytes: int) -> None:
    await harness.request()
    sink, connection = FullSink(), harness.connection
    harness.writer.write(CONTENT[:with_head_bytes])
    response = connection._response
    assert response is not None
    await until(lambda: response.buffered_bytes == with_head_bytes)
    receiving = asyncio.create_task(connection.receive(sink, LENGTH_BYTES, 60.0))
    await asyncio.sleep(0)  # it pauses
    harness.writer.write(CONTENT[with_head_bytes:])
    await until(lambda: connection.unread_bytes >= len(CONTENT) - with_head_bytes)  # encrypted ones are more
    assert not sink.data
    async with asyncio.timeout(30.0):  # it ends when all is there, not when its time is over
        await cancelled(receiving)
    assert len(CONTENT) <= sink.exempted_bytes < len(CONTENT) + 100
    assert sink.data == CONTENT
    assert not connection.is_open


async def test_a_sink_that_cannot_use_them_gets_none(harness: Harness) -> None:
    await harness.request()
    sink, connection = FullSink(keeps=False), harness.connection
    receiving = asyncio.create_task(connection.receive(sink, LENGTH_BYTES, 60.0))
    await asyncio.sleep(0)
    harness.writer.write(CONTENT)
    await until(lambda: connection.unread_bytes >= len(CONTENT))
    await cancelled(receiving)
    assert not sink.data
    assert not connection.is_open
