"""A whole transfer over a transport that is not HTTP: everything it needs goes through the `Transport` protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.transfer.choice import TransportChoice
from hfdmd.transfer.disk.buffers import BufferPool
from hfdmd.transfer.disk.part_file import IoThreads, PartFile
from hfdmd.transfer.fetch import fetch_file, fetch_small
from hfdmd.transfer.job import Job
from hfdmd.transfer.limiter import Limiter
from hfdmd.transfer.resources import EngineResources
from hfdmd.transfer.sinks import copy_to
from hfdmd.transfer.slots import ConnectionSlots
from hfdmd.transfer.transport import FileSink, StartOver, TransferError, Transport
from hfdmd.wire.types import Reason, TransportName
from tests.transfer.bench import MiB
from tests.transfer.scripted_server import a_job

CONTENT = bytes(range(256)) * (20 * MiB // 256)


class MemoryTransport:
    """Sends `content` from memory. The first `errors` ranges break off in the middle; `wrong` contents go first."""

    name: TransportName = "http"
    first_byte_s = 0.001
    is_far = True

    def __init__(self, content: bytes, *, errors: int = 0, wrong: int = 0, serves_ranges: bool = True) -> None:
        self.on_located: Callable[[], None] | None = None
        self.ranged = True
        self.has_ranged = False
        self.is_proven = False
        self.generation = 0
        self.sent_bytes = 0
        self.recovered: list[TransferError] = []
        self.progress = 0
        self._content = content
        self._errors = errors
        self._wrong = wrong
        self._serves_ranges = serves_ranges

    async def fetch(self, start: int, end: int | None, sink: FileSink) -> None:
        if end is not None and not self._serves_ranges:
            raise TransferError("no ranges here")
        self.has_ranged = self.is_proven = end is not None
        content = bytes(len(self._content)) if self._wrong else self._content
        end = len(content) if end is None else end
        breaks_off, self._errors = self._errors > 0, self._errors - 1
        for at in range(start, (start + end) // 2 if breaks_off else end, 1 << 16):
            piece = content[at : min(end, at + (1 << 16))]
            await copy_to(sink, piece)
            self.sent_bytes += len(piece)
            await asyncio.sleep(0)
        if breaks_off:
            raise TransferError("it broke off")

    def progressed(self) -> None:
        self.progress += 1

    async def recover(
        self, error: TransferError, generation: int, attempt: int, *, others_progress: bool, has_bytes: bool = False
    ) -> None:
        self.recovered.append(error)
        if not self._serves_ranges:
            raise StartOver(error.detail)
        self.generation += 1

    def stop_ranging(self) -> None:
        self.ranged = self.has_ranged = False

    def content_mismatched(self) -> None:
        self._wrong -= 1
        self.generation += 1


@pytest.fixture
async def resources() -> AsyncIterator[EngineResources]:
    shared = EngineResources(IoThreads(), BufferPool(), Limiter(), ConnectionSlots(128))
    yield shared
    shared.io_threads.shutdown()


def job_for(folder: Path, content: bytes = CONTENT) -> Job:
    async def locate() -> None:  # pragma: no cover - only HTTP asks for a URL
        raise AssertionError("asked for a URL")

    return a_job(folder, content, locate)  # type: ignore[arg-type]  # never called


def only(job: Job, transport: Transport) -> TransportChoice:
    return TransportChoice(job, {"http": lambda: transport})


async def test_a_file_over_several_connections(resources: EngineResources, tmp_path: Path) -> None:
    transport: Transport = MemoryTransport(CONTENT)
    job = job_for(tmp_path)
    fetched = await fetch_file(job, only(job, transport), resources, PartFile)
    assert (fetched.size_bytes, fetched.digest) == (len(CONTENT), job.digest)
    assert job.part.read_bytes() == CONTENT
    assert isinstance(transport, MemoryTransport)
    assert transport.sent_bytes >= len(CONTENT)
    assert transport.progress


async def test_errors_are_judged_by_the_transport_and_bytes_are_kept(
    resources: EngineResources, tmp_path: Path
) -> None:
    transport = MemoryTransport(CONTENT, errors=3)
    job = job_for(tmp_path)
    await fetch_file(job, only(job, transport), resources, PartFile)
    assert job.part.read_bytes() == CONTENT
    assert len(transport.recovered) == job.meter.retries == 3
    assert job.meter.last_error is None
    assert transport.sent_bytes < 1.1 * len(CONTENT)


async def test_a_transport_without_ranges_starts_over_with_one_request(
    resources: EngineResources, tmp_path: Path
) -> None:
    transport = MemoryTransport(CONTENT, serves_ranges=False)
    job = job_for(tmp_path)
    await fetch_file(job, only(job, transport), resources, PartFile)
    assert job.part.read_bytes() == CONTENT
    assert job.meter.started_over
    assert transport.sent_bytes == len(CONTENT)


async def test_a_wrong_hash_is_fetched_once_more(resources: EngineResources, tmp_path: Path) -> None:
    transport = MemoryTransport(CONTENT, wrong=1)
    job = job_for(tmp_path)
    await fetch_file(job, only(job, transport), resources, PartFile)
    assert job.part.read_bytes() == CONTENT
    assert transport.sent_bytes >= 2 * len(CONTENT)


async def test_a_second_wrong_hash_is_a_failure(resources: EngineResources, tmp_path: Path) -> None:
    transport = MemoryTransport(CONTENT, wrong=2)
    job = job_for(tmp_path)
    with pytest.raises(Failure) as failed:
        await fetch_file(job, only(job, transport), resources, PartFile)
    assert failed.value.reason is Reason.HASH_MISMATCH
    assert not job.part.exists()


async def test_a_small_file_with_an_error_and_a_wrong_hash(resources: EngineResources, tmp_path: Path) -> None:
    content = CONTENT[: 200 * 1024]
    transport = MemoryTransport(content, errors=1, wrong=1)
    job = job_for(tmp_path, content)
    assert await fetch_small(job, only(job, transport), resources) == content
    assert [error.detail for error in transport.recovered] == ["it broke off"]
