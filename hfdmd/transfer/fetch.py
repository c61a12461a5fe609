"""One file into its part file: rounds until the hash is right, at most one of them for a mismatch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hfdmd.failure import Failure
from hfdmd.transfer.disk import PartFile, disk_failure
from hfdmd.transfer.http import HttpShared, HttpTransport
from hfdmd.transfer.job import Fetched, Job
from hfdmd.transfer.recovery import Recovery, StartOver
from hfdmd.transfer.round import Round, Shop
from hfdmd.transfer.spans import Spans
from hfdmd.transfer.tasks import to_the_end
from hfdmd.wire.types import Reason

OpenPart = Callable[[Path], PartFile]


async def fetch_file(job: Job, http: HttpShared, shop: Shop, open_part: OpenPart) -> Fetched:
    """See `Engine.fetch`."""
    part = await to_the_end(_opened(job, shop, open_part))
    try:
        return await _fetch(job, part, http, shop)
    finally:
        await to_the_end(_closed(part, shop))


async def _fetch(job: Job, part: PartFile, http: HttpShared, shop: Shop) -> Fetched:
    transport = HttpTransport(http, job.locate, job.size_bytes)
    recovery = Recovery(transport, shop.budget)
    try:
        have = await to_the_end(_prepared(job, part, shop))
        while True:
            round_ = Round(job, part, have, transport, recovery, shop)
            try:
                digest = await round_.run()
            except StartOver as again:
                if job.meter.started_over:
                    told = f"the server sends the file only as a whole, and broke off again: {again.detail}"
                    raise Failure(Reason.HUB_UNAVAILABLE, told) from None
                job.meter.started_over = True
                transport.ranged = transport.has_ranged = False
                if job.size_bytes is not None:
                    have = round_.claimed_prefix  # stays; the answer brings all that comes after it
                    await job.claim(list(have))
                    continue
            else:
                if digest == job.digest and round_.size_bytes is not None:
                    return Fetched(round_.size_bytes, digest)
                if job.mismatched() > 1:
                    await job.claim([])
                    await shop.crew.sync(part.delete)
                    detail = f"the content is {digest}, it should be {job.digest}; fetched twice"
                    raise Failure(Reason.HASH_MISMATCH, detail)
                transport.ranged = transport.ranged and not transport.has_ranged
                transport.forget_target()
            await job.claim([])
            await shop.crew.sync(_emptied, part, job.size_bytes)
            have = Spans()
    except OSError as error:
        raise disk_failure(error, f"keeping {part.path.name}") from None


async def _opened(job: Job, shop: Shop, open_part: OpenPart) -> PartFile:
    try:
        return await shop.crew.sync(open_part, job.part)
    except OSError as error:
        raise disk_failure(error, f"opening {job.part.name}") from None


async def _closed(part: PartFile, shop: Shop) -> None:
    await shop.crew.sync(part.close)


async def _prepared(job: Job, part: PartFile, shop: Shop) -> Spans:
    """Give the file its size; what of the claim can be believed."""
    if job.size_bytes is None:
        await shop.crew.sync(_emptied, part, None)
        return Spans()
    existing = await shop.crew.sync(part.size_bytes)
    limit = min(existing, job.size_bytes)
    have = Spans((max(0, start), min(end, limit)) for start, end in job.synced)
    if existing < job.size_bytes and list(have) != job.synced:
        await job.claim(list(have))  # before the file is made longer: what was claimed of the rest would be a hole
    if existing != job.size_bytes:
        await shop.crew.sync(part.resize, job.size_bytes)
    return have


def _emptied(part: PartFile, size_bytes: int | None) -> None:
    part.resize(0)
    if size_bytes:
        part.resize(size_bytes)
