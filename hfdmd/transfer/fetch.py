"""Fetches one file into its part file: passes until the hash is right, at most one more after a mismatch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hfdmd.aio import shielded
from hfdmd.failure import Failure
from hfdmd.transfer.disk.part_file import PartFile, disk_failure
from hfdmd.transfer.job import Fetched, Job
from hfdmd.transfer.resources import EngineResources
from hfdmd.transfer.segmented import SegmentedDownload
from hfdmd.transfer.spans import Spans
from hfdmd.transfer.transfer_errors import StartOver
from hfdmd.transfer.transport import Transport
from hfdmd.wire.types import Reason

OpenPart = Callable[[Path], PartFile]


async def fetch_file(job: Job, transport: Transport, resources: EngineResources, open_part: OpenPart) -> Fetched:
    """See `Engine.fetch`."""
    part = await shielded(_open(job, resources, open_part))
    try:
        return await _fetch(job, part, transport, resources)
    finally:
        await shielded(_close(part, resources))


async def _fetch(job: Job, part: PartFile, transport: Transport, resources: EngineResources) -> Fetched:
    try:
        have = await shielded(_prepare(job, part, resources))
        while True:
            download = SegmentedDownload(job, part, have, transport, resources)
            try:
                digest = await download.run()
            except StartOver as again:
                if job.meter.started_over:
                    detail = f"the server does not send ranges, and its response ended early twice: {again.detail}"
                    raise Failure(Reason.HUB_UNAVAILABLE, detail) from None
                job.meter.started_over = True
                transport.stop_ranging()
                if job.size_bytes is not None:
                    have = download.synced_prefix  # is kept: only what follows it is written again
                    await job.checkpoint(list(have))
                    continue
            else:
                if digest == job.digest and download.size_bytes is not None:
                    return Fetched(download.size_bytes, digest)
                if job.mismatched() > 1:
                    await job.checkpoint([])
                    await resources.io_threads.sync(part.delete)
                    detail = f"the content is {digest}, expected {job.digest}; fetched twice"
                    raise Failure(Reason.HASH_MISMATCH, detail)
                transport.content_mismatched()
            await job.checkpoint([])
            await resources.io_threads.sync(_clear, part, job.size_bytes)
            have = Spans()
    except OSError as error:
        raise disk_failure(error, f"writing {part.path.name}") from None


async def _open(job: Job, resources: EngineResources, open_part: OpenPart) -> PartFile:
    try:
        return await resources.io_threads.sync(open_part, job.part)
    except OSError as error:
        raise disk_failure(error, f"opening {job.part.name}") from None


async def _close(part: PartFile, resources: EngineResources) -> None:
    await resources.io_threads.sync(part.close)


async def _prepare(job: Job, part: PartFile, resources: EngineResources) -> Spans:
    """Give the part file its size; returns the spans of the last checkpoint that it can still hold."""
    if job.size_bytes is None:
        await resources.io_threads.sync(_clear, part, None)
        return Spans()
    existing = await resources.io_threads.sync(part.size_bytes)
    limit = min(existing, job.size_bytes)
    have = Spans((max(0, start), min(end, limit)) for start, end in job.synced)
    if existing < job.size_bytes and list(have) != job.synced:
        await job.checkpoint(list(have))  # before the file is extended: the rest of the checkpoint would be a hole
    if existing != job.size_bytes:
        await resources.io_threads.sync(part.resize, job.size_bytes)
    return have


def _clear(part: PartFile, size_bytes: int | None) -> None:
    part.resize(0)
    if size_bytes:
        part.resize(size_bytes)
