"""One small file into memory: one request, no part file."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from hfdmd.digest import compute
from hfdmd.failure import Failure
from hfdmd.transfer.http.http_transport import HttpShared, HttpTransport
from hfdmd.transfer.http.recovery import Recovery, StartOver
from hfdmd.transfer.job import Job, is_small
from hfdmd.transfer.limiter import Limiter
from hfdmd.transfer.sinks import MemorySink
from hfdmd.transfer.slots import ConnectionSlots
from hfdmd.transfer.transfer_errors import TransferError
from hfdmd.wire.types import Phase, Reason


async def fetch_small(job: Job, http: HttpShared, slots: ConnectionSlots, limiter: Limiter) -> bytearray:
    """See `Engine.fetch_small`."""
    if job.size_bytes is not None and not is_small(job.size_bytes):
        raise ValueError(f"{job.size_bytes} bytes are too many for fetch_small")
    transport = HttpTransport(http, job.locate, job.size_bytes)
    transport.ranged = False
    recovery: Recovery | None = None
    attempt = 0
    first_trouble_at: float | None = None
    while True:
        generation = transport.generation
        try:
            data = await _once(job, transport, slots, limiter)
        except TransferError as trouble:
            recovery = recovery or Recovery(transport, slots)
            job.meter.retries += 1
            job.meter.last_error = (trouble.reason, trouble.detail)
            first_trouble_at = first_trouble_at or time.monotonic()
            patience_s = first_trouble_at + http.stall_timeout_s - time.monotonic()
            try:
                async with asyncio.timeout(patience_s):
                    with suppress(StartOver):  # every try is from zero
                        await recovery.after(trouble, generation, attempt, others_progress=False)
            except TimeoutError:
                raise Failure(trouble.reason, trouble.detail) from None
            attempt += 1
            continue
        job.meter.phase = Phase.VERIFYING
        digest = None if job.digest is None else compute(data, job.digest)
        if digest == job.digest:
            return data
        if job.mismatched() > 1:
            raise Failure(Reason.HASH_MISMATCH, f"the content is {digest}, it should be {job.digest}; fetched twice")
        transport.forget_target()


async def _once(job: Job, transport: HttpTransport, slots: ConnectionSlots, limiter: Limiter) -> bytearray:
    if job.size_bytes == 0:
        return bytearray()
    await slots.acquire()
    sink = MemorySink(job.size_bytes, limiter, job.flow)
    job.meter.connections = 1
    try:
        await transport.fetch(0, job.size_bytes, sink)
        slots.request_succeeded()
        job.meter.downloaded_bytes = sink.received_bytes
        job.meter.last_error = None
        return sink.content()
    finally:
        sink.close()
        job.meter.connections = 0
        slots.release()
