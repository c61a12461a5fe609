"""One pass over a file: workers fetch missing ranges, a task checkpoints them, a thread hashes in order."""

from __future__ import annotations

import asyncio
import logging
import time

from hfdmd.aio import cancel_and_wait, shielded
from hfdmd.failure import Failure
from hfdmd.record import Digest, Span
from hfdmd.transfer.checkpoint import Checkpointer
from hfdmd.transfer.disk.hasher import StreamingHasher
from hfdmd.transfer.disk.part_file import PartFile, disk_failure
from hfdmd.transfer.disk.writer import Writer
from hfdmd.transfer.job import Job
from hfdmd.transfer.plan import Lease, Plan
from hfdmd.transfer.resources import EngineResources
from hfdmd.transfer.scaling import ConnectionScaling
from hfdmd.transfer.sinks import LeaseSink
from hfdmd.transfer.spans import Spans
from hfdmd.transfer.transport import ENDLESS, StartOver, TransferError, Transport
from hfdmd.transfer.workers import Worker, Workers
from hfdmd.wire.types import Phase, Reason

TICK_S = 0.25
USEFUL_BYTES = 64 << 10
"""A request that failed was of use when it brought as many bytes."""

_log = logging.getLogger(__name__)


class SegmentedDownload:
    """Fetches what is missing of one file. Make one and `run` it once."""

    def __init__(
        self,
        job: Job,
        part: PartFile,
        have: Spans,
        transport: Transport,
        resources: EngineResources,
        errors_in_a_row: int | None = None,
    ) -> None:
        """`have`: the spans that `part` holds. `errors_in_a_row`: give up after that many requests without use."""
        self.size_bytes = job.size_bytes
        self._job = job
        self._resources = resources
        self._transport = transport
        self._plan = None if job.size_bytes is None else Plan(job.size_bytes, have)
        self._single_request = job.size_bytes is None or not transport.ranged
        self._single_request_answered = False
        self._unknown_size_done = False
        self._errors_allowed = errors_in_a_row
        self._useless_requests = 0
        self._workers = Workers()
        self._scaling = ConnectionScaling()
        self._received_before_bytes = job.meter.received_bytes
        self._wakeup = asyncio.Event()
        transport.on_located = self._wakeup.set
        self._waits_for_slot = False
        self._progress_at = time.monotonic()
        job.meter.quiet_since_s = job.meter.quiet_since_s or self._progress_at
        self._has_received = False
        self._last_error: TransferError | Failure | None = None
        self._hasher: StreamingHasher | None = None
        if job.digest is not None and job.size_bytes is not None:
            self._hasher = StreamingHasher(part, job.digest, job.size_bytes, resources.io_threads)
            self._hasher.advance(have.frontier())
        self._writer = Writer(part, resources.io_threads, have, self._hasher)
        self._checkpointer = Checkpointer(list(have), job, self._writer, resources, self._workers.flush)
        job.meter.downloaded_bytes = have.total_bytes
        job.meter.phase = Phase.TRANSFERRING

    async def run(self) -> Digest | None:
        """Fetch what is missing, sync and checkpoint it; the digest of the file, None when the job names none.

        StartOver when the rest cannot be requested, Failure when the pass cannot continue.
        """
        failed = True
        try:
            await self._transfer()
            self._job.meter.phase, self._job.meter.quiet_since_s = Phase.VERIFYING, None
            digest = await self._verify()
            failed = False
            return digest
        finally:
            await shielded(self._finish(failed))

    @property
    def synced(self) -> list[Span]:
        """What is checkpointed."""
        return self._checkpointer.spans

    @property
    def synced_prefix(self) -> Spans:
        """What is checkpointed from the start of the file, up to the first gap."""
        return Spans([(0, Spans(self.synced).frontier())])

    async def _transfer(self) -> None:
        checkpoints = asyncio.create_task(self._checkpointer.run())
        try:
            while not self._is_complete:
                self._start_workers()
                wakeup = asyncio.ensure_future(self._wakeup.wait())
                try:
                    await asyncio.wait(
                        {*self._workers.tasks, checkpoints, wakeup},
                        timeout=(self._scaling.window_s if self._has_received else None) or TICK_S,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                finally:
                    wakeup.cancel()
                self._wakeup.clear()
                for worker in [worker for worker in self._workers if worker.task.done()]:
                    self._workers.discard(worker)
                    if not worker.task.cancelled():
                        worker.task.result()
                if checkpoints.done():
                    checkpoints.result()
                if self._writer.failure is not None:
                    raise self._writer.failure
                self._check_progress()
        finally:
            if self._waits_for_slot:  # first, or the slot that an ending worker releases would start another worker
                self._resources.slots.cancel_wait(self._on_slot)
                self._waits_for_slot = False
            await shielded(cancel_and_wait({checkpoints}))
            await shielded(cancel_and_wait(self._workers.tasks))
            self._workers.clear()
            self._job.meter.connections = 0
        await self._writer.wait_written()
        if self._writer.failure is not None:
            raise self._writer.failure

    @property
    def _is_complete(self) -> bool:
        return self._plan.is_complete if self._plan is not None else self._unknown_size_done

    def _start_workers(self) -> None:
        """Start as many workers as there are segments, slots and allowed connections for."""
        if self._transport.is_far:
            self._scaling.grow_fully()
        received_bytes = self._job.meter.received_bytes - self._received_before_bytes
        self._scaling.measure(
            time.monotonic(), received_bytes, self._writer.throttle_count, is_throttled=self._workers.is_throttled
        )
        while self._needs_worker():
            if not self._resources.slots.try_acquire(first=not len(self._workers)):
                if not self._waits_for_slot:
                    self._waits_for_slot = True
                    self._resources.slots.acquire_later(self._on_slot)
                return
            self._start_worker()

    def _on_slot(self) -> None:
        """Use the slot that this file waited for."""
        self._waits_for_slot = False
        if self._needs_worker():
            self._start_worker()
            self._wakeup.set()
        else:
            self._resources.slots.release()

    def _needs_worker(self) -> bool:
        count = len(self._workers)
        if self._single_request or not self._transport.is_proven:
            return count == 0
        if count >= self._max_workers or self._plan is None:
            return False
        left, idle = self._plan.segments_left(self._expected_workers), self._workers.idle
        return left > idle or (left == 0 and not idle and self._last_to_finish() is not None)

    @property
    def _max_workers(self) -> int:
        allowed = self._resources.connections_per_file
        return allowed if self._scaling.wanted is None else min(allowed, self._scaling.wanted)

    @property
    def _expected_workers(self) -> int:
        """How many workers segments are cut for: all that are allowed, until the scaling has measured."""
        return self._max_workers if self._scaling.has_measured else self._resources.connections_per_file

    def _start_worker(self) -> None:
        worker = Worker(last_byte_at=time.monotonic())
        worker.task = asyncio.create_task(self._work(worker))
        self._workers.add(worker)
        self._job.meter.connections = len(self._workers)

    async def _work(self, worker: Worker) -> None:
        """Fetch lease after lease, until there are none or the slot is needed elsewhere."""
        attempt = 0
        try:
            while (lease := self._next_lease()) is not None:
                generation = self._transport.generation
                start = lease.at
                error = await self._fetch(worker, lease)
                if lease.at > start:
                    attempt = 0
                if error is None or lease.at - start >= USEFUL_BYTES:
                    self._useless_requests = 0
                if error is None:
                    self._resources.slots.request_succeeded()
                else:
                    await self._recover(worker, error, generation, attempt)
                    attempt += 1
                if len(self._workers) > (1 if self._resources.slots.is_contended else self._max_workers):
                    return  # other files need the connection more, or it does not help
        finally:
            self._resources.slots.release()

    async def _fetch(self, worker: Worker, lease: Lease) -> TransferError | Failure | None:
        """Fetch one lease; returns the error if it can be retried. Raises a Failure that is final."""

        def on_bytes(count: int, new: int) -> None:
            meter = self._job.meter
            worker.last_byte_at = self._progress_at = meter.quiet_since_s = time.monotonic()
            self._single_request_answered = self._single_request
            meter.downloaded_bytes += new
            meter.received_bytes += count
            meter.transport = self._transport.name
            meter.last_error = None
            self._transport.progressed()
            if not self._has_received:
                self._has_received = True
                self._wakeup.set()

        whole = self._single_request and (lease.at == 0 or not self._transport.has_ranged)
        past_bytes = lease.at if whole else 0
        sink = LeaseSink(
            lease, self._writer, self._resources, self._job.flow, on_bytes, self._accept_whole, self._plan, past_bytes
        )
        worker.start(sink)
        try:
            await self._transport.fetch(0 if whole else lease.at, None if whole else lease.end, sink)
            if lease.end > ENDLESS:
                self.size_bytes = lease.at
                self._unknown_size_done = True
        except TransferError as error:
            return error
        except Failure as failure:
            if failure.is_final:
                raise
            return failure
        finally:
            sink.close()
            worker.sink = None
            if self._plan is not None:
                self._plan.give_back(lease)
        return None

    def _next_lease(self) -> Lease | None:
        """What to fetch next; None when there is nothing. StartOver when the rest cannot be requested."""
        if self._single_request:
            return self._single_lease()
        if self._plan is None:
            return None
        usual = self._workers.median_bytes_per_s()
        # a request should last several times as long as its response takes to start
        lease = self._plan.lease(self._expected_workers, int(usual * 4 * self._transport.first_byte_s))
        if lease is None and (victim := self._last_to_finish()) is not None and victim.sink is not None:
            share = victim.bytes_per_s / (victim.bytes_per_s + max(usual, 1.0))
            lease = self._plan.steal(victim.sink.lease, share)
        return lease

    def _last_to_finish(self) -> Worker | None:
        return self._workers.last_to_finish(self._transport.first_byte_s)

    def _single_lease(self) -> Lease | None:
        """A lease for one request of the whole file, or of its rest if the server can send that.

        When the server sends the whole file again, the bytes that are already on disk are not overwritten.
        """
        if self._unknown_size_done:
            return None
        if self._plan is None:
            if self._writer.written or self._job.meter.downloaded_bytes:
                raise StartOver(self._last_detail)
            return Lease(0, 2 * ENDLESS)
        lease = self._plan.lease_all()
        if lease is not None and self._single_request_answered and not self._transport.has_ranged:
            self._plan.give_back(lease)
            raise StartOver(self._last_detail)
        return lease

    @property
    def _last_detail(self) -> str:
        return "the response ended early" if self._last_error is None else self._last_error.detail

    def _accept_whole(self, lease: Lease, size_bytes: int | None) -> bool:
        """The server sends the whole file: accept it if nothing else is on disk or in progress."""
        if self._plan is None:
            return True
        if self._writer.written or len(self._plan.leases) > 1 or lease.at != 0:
            return False
        self._single_request = True
        return self._plan.extend_to_all(lease)

    async def _recover(self, worker: Worker, error: TransferError | Failure, generation: int, attempt: int) -> None:
        """Return when the worker may try again. Raises Failure or StartOver when it may not."""
        self._job.meter.retries += 1
        self._last_error = error
        others = self._workers.others_progress(worker, self._resources.stall_timeout_s)
        self._job.meter.last_error = (error.reason, error.detail)
        self._useless_requests += 1
        if not others and self._errors_allowed is not None and self._useless_requests >= self._errors_allowed:
            raise Failure(error.reason, error.detail)
        if isinstance(error, Failure):
            if (error.retry_after_s or 0.0) > self._resources.stall_timeout_s and not others:
                raise error
            error = TransferError(error.detail)
        await self._transport.recover(
            error, generation, attempt, others_progress=others, has_bytes=bool(self._writer.written)
        )

    def _check_progress(self) -> None:
        """Fail when no bytes arrive for too long; restart a connection that is silent while others are not."""
        now = time.monotonic()
        if not self._workers or self._workers.is_throttled:
            # this machine is the cause: a slot, the disk or the bandwidth limit
            self._progress_at = self._job.meter.quiet_since_s = now
        if now - self._progress_at > self._resources.stall_timeout_s:
            error = self._last_error
            if error is None or self._job.meter.last_error is None:
                raise Failure(
                    Reason.STALLED, f"no data from {self._job.meter.host} for {now - self._progress_at:.0f} s"
                )
            retry_after_s = error.retry_after_s if isinstance(error, Failure) else None
            raise Failure(error.reason, error.detail, retry_after_s=retry_after_s)
        for worker in self._workers.silent(self._resources.stall_timeout_s, self._transport.first_byte_s):
            worker.task.cancel()

    async def _verify(self) -> Digest | None:
        digest = self._job.digest
        if self.size_bytes is None:
            raise RuntimeError("a complete file without a size")
        if digest is not None and self._hasher is None:
            self._hasher = StreamingHasher(self._writer.part, digest, self.size_bytes, self._resources.io_threads)
            self._hasher.advance(self.size_bytes)
        if self._hasher is None:
            return None
        checkpoint = asyncio.create_task(self._checkpointer.checkpoint())
        try:
            return await self._hasher.result()
        except OSError as error:
            raise disk_failure(error, f"reading {self._writer.part.path.name}") from None
        finally:
            await checkpoint

    async def _finish(self, failed: bool) -> None:
        """End all reads and writes. After a failure, the bytes that did arrive are synced and checkpointed."""
        await self._writer.wait_written()
        if self._hasher is not None:
            await self._hasher.stop()
        try:
            await self._checkpointer.checkpoint()
        except Failure as failure:
            if not failed:
                raise
            _log.warning("the last bytes received could not be saved: %s", failure)
