"""Fetches one file until its hash is right, at most once more after a mismatch: into its part file or into memory."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hfdmd.aio import shielded
from hfdmd.digest import compute
from hfdmd.failure import Failure
from hfdmd.record import Digest
from hfdmd.transfer.choice import TransportChoice
from hfdmd.transfer.disk.part_file import PartFile, disk_failure
from hfdmd.transfer.job import Fetched, Job, is_small
from hfdmd.transfer.resources import EngineResources
from hfdmd.transfer.segmented import SegmentedDownload
from hfdmd.transfer.sinks import MemorySink
from hfdmd.transfer.spans import Spans
from hfdmd.transfer.transport import StartOver, TransferError, Transport
from hfdmd.wire.types import Phase, Reason

log = logging.getLogger("hfdmd.transfer")

OpenPart = Callable[[Path], PartFile]


async def fetch_file(job: Job, choice: TransportChoice, resources: EngineResources, open_part: OpenPart) -> Fetched:
    """See `Engine.fetch`."""
    part = await shielded(_open(job, resources, open_part))
    try:
        return await _fetch_into(part, job, choice, resources)
    except OSError as error:
        raise disk_failure(error, f"writing {part.path.name}") from None
    finally:
        await shielded(resources.io_threads.sync(part.close))


async def _fetch_into(part: PartFile, job: Job, choice: TransportChoice, resources: EngineResources) -> Fetched:
    have = await shielded(_prepare(job, part, resources))
    reused = await choice.reuse(part, have)
    if reused:
        await resources.io_threads.sync(part.sync)
        await job.checkpoint(list(have))
    while True:
        transport = choice.transport
        had_bytes = have.total_bytes
        download = SegmentedDownload(job, part, have, transport, resources, choice.errors_in_a_row)
        try:
            digest = await download.run()
        except Failure as failure:
            synced = Spans(download.synced)
            if not choice.change(failure, has_progressed=synced.total_bytes > had_bytes):
                raise
            have = synced
            continue
        except StartOver as again:
            if job.meter.started_over:
                detail = f"the server does not send ranges, and its response ended early twice: {again}"
                raise Failure(Reason.HUB_UNAVAILABLE, detail) from None
            job.meter.started_over = True
            transport.stop_ranging()
            if job.size_bytes is not None:
                have = download.synced_prefix  # is kept: only what follows it is written again
                await job.checkpoint(list(have))
                continue
        else:
            if digest == job.digest and download.size_bytes is not None:
                await choice.remember(part)
                return Fetched(download.size_bytes, digest)
            if reused:  # a base was not what it was: what was copied is fetched instead
                have = Spans(download.synced)
                for span in reused:
                    have.remove(*span)
                reused = Spans()
                job.meter.reused_bytes = 0
                job.meter.notice = None
                await job.checkpoint(list(have))
                continue
            if job.mismatched() > 1:
                await job.checkpoint([])
                await resources.io_threads.sync(part.delete)
                raise _mismatch(job, digest)
            if not choice.change(_mismatch(job, digest), has_progressed=False):
                transport.content_mismatched()
        await job.checkpoint([])
        await resources.io_threads.sync(_clear, part, job.size_bytes)
        have = Spans()


async def _open(job: Job, resources: EngineResources, open_part: OpenPart) -> PartFile:
    try:
        return await resources.io_threads.sync(open_part, job.part)
    except OSError as error:
        raise disk_failure(error, f"opening {job.part.name}") from None


async def _prepare(job: Job, part: PartFile, resources: EngineResources) -> Spans:
    """Give the part file its size; returns the spans of the last checkpoint that it can still hold."""
    if job.size_bytes is None:
        await resources.io_threads.sync(_clear, part, None)
        return Spans()
    existing = await resources.io_threads.sync(part.size_bytes)
    limit = min(existing, job.size_bytes)
    have = Spans((max(0, start), min(end, limit)) for start, end in job.synced)
    if existing < job.size_bytes and list(have) != job.synced:
        lost_bytes = sum(end - start for start, end in job.synced) - have.total_bytes
        log.warning("%s has lost %d synced bytes; they are fetched again", part.path, lost_bytes)
        await job.checkpoint(list(have))  # before the file is extended: the rest of the checkpoint would be a hole
    if existing != job.size_bytes:
        await resources.io_threads.sync(part.resize, job.size_bytes)
    return have


def _clear(part: PartFile, size_bytes: int | None) -> None:
    part.resize(0)
    part.resize(size_bytes or 0)


async def fetch_small(job: Job, choice: TransportChoice, resources: EngineResources) -> bytearray:
    """See `Engine.fetch_small`."""
    if job.size_bytes is not None and not is_small(job.size_bytes):
        raise ValueError(f"{job.size_bytes} bytes are too many for fetch_small")
    while True:
        try:
            return await _fetch_small(job, choice, resources)
        except Failure as failure:
            if not choice.change(failure, has_progressed=False):
                raise


async def _fetch_small(job: Job, choice: TransportChoice, resources: EngineResources) -> bytearray:
    transport = choice.transport
    transport.stop_ranging()
    attempt = 0
    first_error_at: float | None = None
    while True:
        generation = transport.generation
        try:
            data = await _fetch_into_memory(job, transport, resources)
        except TransferError as error:
            job.meter.retries += 1
            job.meter.last_error = (error.reason, error.detail)
            if attempt + 1 == choice.errors_in_a_row:
                raise Failure(error.reason, error.detail) from None
            first_error_at = first_error_at or time.monotonic()
            try:
                async with asyncio.timeout(first_error_at + resources.stall_timeout_s - time.monotonic()):
                    with suppress(StartOver):  # every attempt starts at 0
                        await transport.recover(error, generation, attempt, others_progress=False)
            except TimeoutError:
                raise Failure(error.reason, error.detail) from None
            attempt += 1
            continue
        job.meter.transport = transport.name
        job.meter.phase = Phase.VERIFYING
        job.meter.quiet_since_s = None
        digest = None if job.digest is None else compute(data, job.digest)
        if digest == job.digest:
            return data
        if job.mismatched() > 1:
            raise _mismatch(job, digest)
        if choice.change(_mismatch(job, digest), has_progressed=False):
            transport = choice.transport
            transport.stop_ranging()
        transport.content_mismatched()


async def _fetch_into_memory(job: Job, transport: Transport, resources: EngineResources) -> bytearray:
    if job.size_bytes == 0:
        return bytearray()
    await resources.slots.acquire()
    sink = MemorySink(job.size_bytes, resources.limiter, job.flow, job.meter)
    job.meter.connections = 1
    job.meter.quiet_since_s = job.meter.quiet_since_s or time.monotonic()
    try:
        await transport.fetch(0, job.size_bytes, sink)
        resources.slots.request_succeeded()
        job.meter.downloaded_bytes = sink.received_bytes
        job.meter.last_error = None
        return sink.content()
    finally:
        sink.close()
        job.meter.connections = 0
        resources.slots.release()


def _mismatch(job: Job, digest: Digest | None) -> Failure:
    return Failure(Reason.HASH_MISMATCH, f"the content is {digest}, expected {job.digest}; fetched twice")
