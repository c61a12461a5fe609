"""Fetches one small file into memory: one request, no part file."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from hfdmd.digest import compute
from hfdmd.failure import Failure
from hfdmd.transfer.job import Job, is_small
from hfdmd.transfer.resources import EngineResources
from hfdmd.transfer.sinks import MemorySink
from hfdmd.transfer.transfer_errors import StartOver, TransferError
from hfdmd.transfer.transport import Transport
from hfdmd.wire.types import Phase, Reason


async def fetch_small(job: Job, transport: Transport, resources: EngineResources) -> bytearray:
    """See `Engine.fetch_small`."""
    if job.size_bytes is not None and not is_small(job.size_bytes):
        raise ValueError(f"{job.size_bytes} bytes are too many for fetch_small")
    transport.stop_ranging()
    attempt = 0
    first_error_at: float | None = None
    while True:
        generation = transport.generation
        try:
            data = await _fetch(job, transport, resources)
        except TransferError as error:
            job.meter.retries += 1
            job.meter.last_error = (error.reason, error.detail)
            first_error_at = first_error_at or time.monotonic()
            timeout_s = first_error_at + resources.stall_timeout_s - time.monotonic()
            try:
                async with asyncio.timeout(timeout_s):
                    with suppress(StartOver):  # every attempt starts at 0
                        await transport.recover(error, generation, attempt, others_progress=False)
            except TimeoutError:
                raise Failure(error.reason, error.detail) from None
            attempt += 1
            continue
        job.meter.phase = Phase.VERIFYING
        digest = None if job.digest is None else compute(data, job.digest)
        if digest == job.digest:
            return data
        if job.mismatched() > 1:
            raise Failure(Reason.HASH_MISMATCH, f"the content is {digest}, expected {job.digest}; fetched twice")
        transport.content_mismatched()


async def _fetch(job: Job, transport: Transport, resources: EngineResources) -> bytearray:
    if job.size_bytes == 0:
        return bytearray()
    await resources.slots.acquire()
    sink = MemorySink(job.size_bytes, resources.limiter, job.flow)
    job.meter.connections = 1
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
