"""Bytes beside or instead of a body are bounded, and are never parsed as a response."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.net.origin import Target
from hfdmd.transfer.http.http_errors import BadResponse
from hfdmd.transfer.http.response import MAX_HEAD_BYTES, ResponseParser
from hfdmd.wire.types import Reason
from tests.transfer.bench import MiB, until
from tests.transfer.scripted_server import Request, a_job, an_engine, scripted

CONTENT = random.Random(1).randbytes(MiB) * 24
SMALL = CONTENT[:100_000]
SMUGGLED = b"HTTP/1.1 503 x\r\nRetry-After: 1000\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("surplus", [SMUGGLED, b"garbage"], ids=["an answer", "garbage"])
async def test_what_follows_a_body_is_no_answer(tmp_path: Path, surplus: bytes) -> None:
    async def answer(asked: Request) -> None:
        await asked.send_part(CONTENT, end_with=surplus)

    async with scripted(answer) as server, an_engine() as engine:
        located = 0

        async def locate() -> Target:
            nonlocal located
            located += 1
            return Target(f"{server.url}/file")

        job = a_job(tmp_path, CONTENT, locate)
        await engine.fetch(job)
        assert job.part.read_bytes() == CONTENT
        assert located == 1, "the address was blamed for it"
        assert job.meter.received_bytes == len(CONTENT)


async def test_a_range_of_a_file_of_another_size_is_not_used(tmp_path: Path) -> None:
    async def answer(asked: Request) -> None:
        if asked.number > 1:
            await asked.send_part(CONTENT)
            return
        body = bytes((asked.end or 0) - asked.start)  # of the other file
        head = f"HTTP/1.1 206 x\r\nContent-Range: bytes 0-{len(body) - 1}/{len(CONTENT) + 1}\r\n"
        await asked.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async with scripted(answer) as server, an_engine() as engine:

        async def locate() -> Target:
            return Target(f"{server.url}/file")

        job = a_job(tmp_path, CONTENT, locate)
        await engine.fetch(job)
        assert job.part.read_bytes() == CONTENT
        assert job.meter.received_bytes == len(CONTENT), "bytes of the other file were taken"


@pytest.mark.parametrize("surplus", [SMUGGLED, b"garbage"], ids=["an answer", "garbage"])
async def test_what_comes_between_two_requests_is_no_answer(tmp_path: Path, surplus: bytes) -> None:
    async def answer(asked: Request) -> None:
        await asked.send(b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n" % len(SMALL) + SMALL)
        later.append(asked)

    later: list[Request] = []
    async with scripted(answer) as server, an_engine() as engine:

        async def locate() -> Target:
            return Target(f"{server.url}/file")

        assert await engine.fetch_small(a_job(tmp_path, SMALL, locate)) == SMALL
        assert engine._http.pool.has_idle
        await later[0].send(surplus)
        await until(later[0].reader.at_eof)  # closed without another request
        job = a_job(tmp_path, SMALL, locate)
        assert await engine.fetch_small(job) == SMALL
        assert job.meter.retries == 0


async def trickling_head() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nX: "
    while True:
        yield b"y"
        await asyncio.sleep(0.1)


async def endless_promises() -> AsyncIterator[bytes]:
    while True:
        yield b"HTTP/1.1 103 Early Hints\r\n\r\n"
        await asyncio.sleep(0.1)


async def trickling_trailers() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
    while True:
        yield b"y"
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("is_small", [True, False], ids=["small", "large"])
@pytest.mark.parametrize("pieces", [trickling_head, endless_promises, trickling_trailers])
async def test_what_trickles_beside_the_body_is_no_progress(
    tmp_path: Path, pieces: Callable[[], AsyncIterator[bytes]], is_small: bool
) -> None:
    async def answer(asked: Request) -> None:
        async for piece in pieces():
            await asked.send(piece)

    async with scripted(answer) as server, an_engine(stall_timeout_s=1.0) as engine:

        async def locate() -> Target:
            return Target(f"{server.url}/file")

        job = a_job(tmp_path, SMALL if is_small else CONTENT, locate)
        began = time.monotonic()
        with pytest.raises(Failure) as failed:
            async with asyncio.timeout(6.0):
                await (engine.fetch_small(job) if is_small else engine.fetch(job))
        assert time.monotonic() - began < 5.0
        assert failed.value.reason in (Reason.STALLED, Reason.HUB_UNAVAILABLE)


def test_trailers_are_bounded_and_not_kept() -> None:
    answer = ResponseParser()
    answer.feed(memoryview(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"))
    for _ in range(MAX_HEAD_BYTES // 1005):
        answer.feed(memoryview(b"X: %s\r\n" % (b"z" * 1000)))
    with pytest.raises(BadResponse):
        answer.feed(memoryview(b"X: %s\r\n" % (b"z" * 1000)))
    assert answer.head is not None
    assert answer.head.headers == {"transfer-encoding": "chunked"}


def test_chunks_are_not_bounded_in_number() -> None:
    answer = ResponseParser()
    answer.feed(memoryview(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    for _ in range(MAX_HEAD_BYTES):
        answer.feed(memoryview(b"1\r\n"))
        answer.feed(memoryview(b"x\r\n"))
    answer.feed(memoryview(b"0\r\n\r\n"))
    assert answer.is_complete
    assert answer.take_body() == b"x" * MAX_HEAD_BYTES
