"""One small file into memory: one request, no part file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from hfdmd.digest import compute
from hfdmd.failure import Failure
from hfdmd.transfer.http.http_transport import HttpShared, HttpTransport
from hfdmd.transfer.http.recovery import Recovery, StartOver
from hfdmd.transfer.job import SMALL_FILE_BYTES, Job, is_small
from hfdmd.transfer.limiter import Allowance, Limiter
from hfdmd.transfer.slots import ConnectionSlots
from hfdmd.transfer.transfer_errors import TransferError
from hfdmd.wire.types import Phase, Reason


class MemorySink:
    """A place in memory for a file of at most `limit` bytes."""

    def __init__(self, size_bytes: int | None, limiter: Limiter, flow: str) -> None:
        self.wake: Callable[[], None] | None = None
        self.data = bytearray(SMALL_FILE_BYTES if size_bytes is None else size_bytes)
        self._view = memoryview(self.data)
        self._allowance = Allowance(limiter, flow, self._wake_reader)
        self.got = 0

    @property
    def wanted_bytes(self) -> int:
        return len(self.data) - self.got

    def ready(self) -> bool:
        return self._allowance.ask(self.wanted_bytes)

    def buffer(self) -> memoryview:
        return self._view[self.got : self.got + min(self._allowance.bytes, self.wanted_bytes)]

    def advance(self, count: int) -> None:
        self.got += count
        self._allowance.bytes -= count

    def accept_whole(self, size_bytes: int | None) -> bool:
        return True

    def content(self) -> bytearray:
        """What has come, not copied where that is all: nothing may be received any more."""
        return self.data if self.got == len(self.data) else self.data[: self.got]

    def exempt(self, count: int) -> bool:
        return False  # what is not all of the file is not kept

    def close(self) -> None:
        self._allowance.close()

    def _wake_reader(self) -> None:
        if self.wake is not None:
            self.wake()


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
            job.meter.trouble = (trouble.reason, trouble.detail)
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
    await slots.take()
    sink = MemorySink(job.size_bytes, limiter, job.flow)
    job.meter.connections = 1
    try:
        await transport.fetch(0, job.size_bytes, sink)
        slots.went_well()
        job.meter.downloaded_bytes = sink.got
        job.meter.trouble = None
        return sink.content()
    finally:
        sink.close()
        job.meter.connections = 0
        slots.give()
