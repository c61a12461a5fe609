"""On a fast line the kernel wakes us for many bytes at once, and no byte is left lying when the line becomes slow."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from hfdmd.transfer.http.connection import HEAD_BUFFER_BYTES, Connection
from hfdmd.transfer.http.rcvlowat import FAST_BYTES_PER_S, LOW_WATER_BYTES, ReceiveLowWater
from tests.transfer.bench import MiB, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux' epoll heeds SO_RCVLOWAT")

LENGTH = 24 * MiB
Serve = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Memory:
    """A sink that keeps what comes, in one piece."""

    def __init__(self, length: int) -> None:
        self.wake: Callable[[], None] | None = None
        self.data = bytearray(length)
        self.count = 0
        self.steps = 0

    @property
    def wanted_bytes(self) -> int:
        return len(self.data) - self.count

    def ready(self) -> bool:
        return True

    def buffer(self) -> memoryview:
        return memoryview(self.data)[self.count :]

    def advance(self, count: int) -> None:
        self.count += count
        self.steps += 1

    def exempt(self, count: int) -> bool:
        return False

    def accept_whole(self, size_bytes: int | None) -> bool:
        return False


@asynccontextmanager
async def connected(serve: Serve) -> AsyncIterator[Connection]:
    """A connection that has asked a server, which answers with a head and then does as it likes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LENGTH)
        await serve(writer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    async with server:
        head_buffer = memoryview(bytearray(HEAD_BUFFER_BYTES))
        port = server.sockets[0].getsockname()[1]
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(head_buffer), "127.0.0.1", port
        )
        try:
            await connection.request("GET", "/", [("Host", "test")], 5.0)
            yield connection
        finally:
            connection.abort()
            await connection.closed


async def test_a_fast_body_comes_in_large_pieces_and_whole() -> None:
    content = bytes(range(256)) * (LENGTH // 256)

    async def at_once(writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    async with connected(at_once) as connection:
        sink = Memory(LENGTH)
        await connection.receive(sink, LENGTH, 5.0)
    assert sink.data == content


async def test_what_lies_in_the_kernel_is_fetched_when_the_line_becomes_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfdmd.transfer.http.rcvlowat.FAST_BYTES_PER_S", 1.0)  # whatever this machine does is fast
    monkeypatch.setattr("hfdmd.transfer.http.rcvlowat.LASTS_S", 0.2)
    first, some = 4 * MiB, 1000
    go_on = asyncio.Event()

    async def slow_at_the_end(writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(first))
        await go_on.wait()
        writer.write(bytes(some))
        await until(lambda: sink.count >= first + some)
        writer.write(bytes(LENGTH - first - some))

    async with connected(slow_at_the_end) as connection:
        sink = Memory(LENGTH)
        receiving = asyncio.create_task(connection.receive(sink, LENGTH, 5.0))
        await until(lambda: sink.count > first - LOW_WATER_BYTES)
        go_on.set()  # a thousand bytes, far from the mark
        await receiving
    assert sink.count == LENGTH


class Transport(asyncio.BaseTransport):
    def __init__(self, end: socket.socket, *, has_tls: bool = False) -> None:
        super().__init__({"socket": end, "ssl_object": object() if has_tls else None})


def attached(transport: Transport) -> ReceiveLowWater:
    water = ReceiveLowWater()
    water.attach(transport)
    return water


def mark(end: socket.socket) -> int:
    return end.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


async def test_the_mark_rises_with_the_speed_and_falls_before_the_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        water = attached(Transport(ours))
        water.begin(16 * MiB)
        began = water.since
        water.left(15 * MiB, began + 1.1 * MiB / FAST_BYTES_PER_S)
        assert mark(ours) == 1, "a tenth too slow"
        water.left(14 * MiB, began + 2.0 * MiB / FAST_BYTES_PER_S)
        assert mark(ours) == LOW_WATER_BYTES
        water.left(LOW_WATER_BYTES, began + 1.0)
        assert mark(ours) == LOW_WATER_BYTES
        water.left(LOW_WATER_BYTES - 1, began + 1.0)
        assert mark(ours) == 1, "the rest would never be told of"
        water.close()


async def test_the_mark_lapses_and_may_rise_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfdmd.transfer.http.rcvlowat.LASTS_S", 0.05)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        water = attached(Transport(ours))
        for _ in range(2):
            water.begin(16 * MiB)
            water.left(8 * MiB, water.since)
            assert mark(ours) == LOW_WATER_BYTES
            await until(lambda: mark(ours) == 1)
        water.close()


async def test_under_tls_the_mark_stays() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        water = attached(Transport(ours, has_tls=True))
        water.begin(16 * MiB)
        water.left(8 * MiB, water.since)
        assert mark(ours) == 1
