"""One file into its part file: rounds until the hash is right, at most one of them for a mismatch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hfdmd.aio import shielded
from hfdmd.failure import Failure
from hfdmd.transfer.disk.part_file import PartFile, disk_failure
from hfdmd.transfer.http.http_transport import HttpShared, HttpTransport
from hfdmd.transfer.http.recovery import Recovery, StartOver
from hfdmd.transfer.job import Fetched, Job
from hfdmd.transfer.resources import EngineResources
from hfdmd.transfer.segmented import SegmentedDownload
from hfdmd.transfer.spans import Spans
from hfdmd.wire.types import Reason

OpenPart = Callable[[Path], PartFile]


async def fetch_file(job: Job, http: HttpShared, resources: EngineResources, open_part: OpenPart) -> Fetched:
    """See `Engine.fetch`."""
    part = await shielded(_opened(job, resources, open_part))
    try:
        return await _fetch(job, part, http, resources)
    finally:
        await shielded(_closed(part, resources))


async def _fetch(job: Job, part: PartFile, http: HttpShared, resources: EngineResources) -> Fetched:
    transport = HttpTransport(http, job.locate, job.size_bytes)
    recovery = Recovery(transport, resources.slots)
    try:
        have = await shielded(_prepared(job, part, resources))
        while True:
            download = SegmentedDownload(job, part, have, transport, recovery, resources)
            try:
                digest = await download.run()
            except StartOver as again:
                if job.meter.started_over:
                    told = f"the server sends the file only as a whole, and broke off again: {again.detail}"
                    raise Failure(Reason.HUB_UNAVAILABLE, told) from None
                job.meter.started_over = True
                transport.ranged = transport.has_ranged = False
                if job.size_bytes is not None:
                    have = download.synced_prefix  # stays; the answer brings all that comes after it
                    await job.checkpoint(list(have))
                    continue
            else:
                if digest == job.digest and download.size_bytes is not None:
                    return Fetched(download.size_bytes, digest)
                if job.mismatched() > 1:
                    await job.checkpoint([])
                    await resources.io_threads.sync(part.delete)
                    detail = f"the content is {digest}, it should be {job.digest}; fetched twice"
                    raise Failure(Reason.HASH_MISMATCH, detail)
                transport.ranged = transport.ranged and not transport.has_ranged
                transport.forget_target()
            await job.checkpoint([])
            await resources.io_threads.sync(_emptied, part, job.size_bytes)
            have = Spans()
    except OSError as error:
        raise disk_failure(error, f"keeping {part.path.name}") from None


async def _opened(job: Job, resources: EngineResources, open_part: OpenPart) -> PartFile:
    try:
        return await resources.io_threads.sync(open_part, job.part)
    except OSError as error:
        raise disk_failure(error, f"opening {job.part.name}") from None


async def _closed(part: PartFile, resources: EngineResources) -> None:
    await resources.io_threads.sync(part.close)


async def _prepared(job: Job, part: PartFile, resources: EngineResources) -> Spans:
    """Give the file its size; what of the claim can be believed."""
    if job.size_bytes is None:
        await resources.io_threads.sync(_emptied, part, None)
        return Spans()
    existing = await resources.io_threads.sync(part.size_bytes)
    limit = min(existing, job.size_bytes)
    have = Spans((max(0, start), min(end, limit)) for start, end in job.synced)
    if existing < job.size_bytes and list(have) != job.synced:
        await job.checkpoint(list(have))  # before the file is made longer: what was claimed of the rest would be a hole
    if existing != job.size_bytes:
        await resources.io_threads.sync(part.resize, job.size_bytes)
    return have


def _emptied(part: PartFile, size_bytes: int | None) -> None:
    part.resize(0)
    if size_bytes:
        part.resize(size_bytes)
