"""Chunks are handed over while they arrive, until the end."""

from __future__ import annotations

import asyncio

from hfdmd.transfer.limiter import Limiter
from hfdmd.transfer.transport import Line
from hfdmd.transfer.xet.packed_sink import GATHER_S, SMALLEST_BUFFER_BYTES, PackedSink
from hfdmd.transfer.xet.xet_format import HEADER_BYTES

CHUNK_BYTES = 1000
HEADER = (CHUNK_BYTES << 8 | CHUNK_BYTES << 40).to_bytes(HEADER_BYTES, "little")
CHUNK = HEADER + bytes(CHUNK_BYTES)


def receive(sink: PackedSink, data: bytes) -> None:
    while data:
        assert sink.ready()
        view = sink.buffer()
        count = min(len(view), len(data))
        view[:count] = data[:count]
        sink.advance(count)
        data = data[count:]


async def test_chunks_that_arrive_while_others_are_unpacked_do_not_end_the_range() -> None:
    limiter = Limiter()
    sink = PackedSink(Line(limiter, "flow", lambda _: None), 3 * len(CHUNK), SMALLEST_BUFFER_BYTES)
    taken = asyncio.create_task(sink.take())
    receive(sink, CHUNK)
    assert len(await taken) == 1
    receive(sink, CHUNK)
    await asyncio.sleep(3 * GATHER_S)  # the first chunks are still being unpacked
    receive(sink, CHUNK)
    assert len(await sink.take()) == 2
    following = asyncio.create_task(sink.take())
    await asyncio.sleep(3 * GATHER_S)
    assert not following.done()
    sink.end()
    assert await following == []
