"""One go at a file: workers bring what is missing, a keeper syncs and claims it, the follower hashes it."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from hfdmd.aio import cancel_and_wait, shielded
from hfdmd.failure import Failure
from hfdmd.record import Digest, Span
from hfdmd.transfer.checkpoint import CheckpointPace, pause_s
from hfdmd.transfer.disk.buffers import BufferPool
from hfdmd.transfer.disk.hasher import StreamingHasher
from hfdmd.transfer.disk.part_file import IoThreads, PartFile, disk_failure
from hfdmd.transfer.disk.writer import LeaseSink, Writer
from hfdmd.transfer.http.http_transport import ENDLESS, HttpTransport
from hfdmd.transfer.http.recovery import Recovery, StartOver
from hfdmd.transfer.job import Job
from hfdmd.transfer.limiter import Limiter
from hfdmd.transfer.plan import Lease, Plan
from hfdmd.transfer.scaling import ConnectionScaling
from hfdmd.transfer.slots import ConnectionSlots
from hfdmd.transfer.spans import Spans
from hfdmd.transfer.transfer_errors import TransferError
from hfdmd.transfer.workers import Worker, Workers
from hfdmd.wire.types import Phase, Reason

TICK_S = 0.25
LIMITED_CONNECTION_BYTES_PER_S = 512 * 1024

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class EngineResources:
    """What all transfers of the daemon share."""

    io_threads: IoThreads
    buffers: BufferPool
    limiter: Limiter
    slots: ConnectionSlots
    pace: CheckpointPace
    most_per_file: int = 16
    stall_timeout_s: float = 30.0

    @property
    def connections_per_file(self) -> int:
        """Under a low bandwidth limit few connections are enough, and hold less in the kernel's buffers."""
        rate = self.limiter.bytes_per_s
        return min(self.most_per_file, max(1, rate // LIMITED_CONNECTION_BYTES_PER_S)) if rate else self.most_per_file


class SegmentedDownload:
    """From what is there to all of it, or an exception. Make one, `run` it once."""

    def __init__(
        self,
        job: Job,
        part: PartFile,
        have: Spans,
        transport: HttpTransport,
        recovery: Recovery,
        resources: EngineResources,
    ):
        self.size_bytes = job.size_bytes
        self._job = job
        self._resources = resources
        self._transport = transport
        self._recovery = recovery
        self._plan: Plan | None = None
        if job.size_bytes is not None:
            self._plan = Plan(job.size_bytes, have)
        self._whole = job.size_bytes is None or not transport.ranged
        self._whole_done = False
        self._whole_has_come = False
        self._workers = Workers()
        self._scaling = ConnectionScaling()
        self._had_received_bytes = job.meter.received_bytes
        self._nudged = asyncio.Event()
        transport.on_located = self._nudged.set
        self._waits_for_slot = False
        self._checkpointed = list(have)
        self._progress_at = time.monotonic()
        self._proven = False
        self._trouble: TransferError | Failure | None = None
        self._hasher: StreamingHasher | None = None
        if job.digest is not None and job.size_bytes is not None:
            self._hasher = StreamingHasher(part, job.digest, job.size_bytes, resources.io_threads)
            self._hasher.advance(have.frontier())
        self._writer = Writer(part, resources.io_threads, have, self._hasher)
        self._part = part
        job.meter.downloaded_bytes = have.total_bytes
        job.meter.phase = Phase.TRANSFERRING

    async def run(self) -> Digest | None:
        """Fetch what is missing; the digest of all of it, synced and claimed. None when no digest is asked for."""
        failed = True
        try:
            await self._transfer()
            self._job.meter.phase = Phase.VERIFYING
            digest = await self._verify()
            failed = False
            return digest
        finally:
            await shielded(self._settle(failed))

    @property
    def claimed_prefix(self) -> Spans:
        """What is claimed from the file's beginning on, without a gap."""
        return Spans([(0, Spans(self._checkpointed).frontier())])

    # bytes come

    async def _transfer(self) -> None:
        keeper = asyncio.create_task(self._keep())
        try:
            while not self._is_complete:
                self._staff()
                nudge = asyncio.ensure_future(self._nudged.wait())
                try:
                    await asyncio.wait(
                        {*self._workers.tasks, keeper, nudge},
                        timeout=(self._scaling.window_s if self._proven else None) or TICK_S,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                finally:
                    nudge.cancel()
                self._nudged.clear()
                for worker in [worker for worker in self._workers if worker.task and worker.task.done()]:
                    self._workers.discard(worker)
                    if worker.task is not None and not worker.task.cancelled():
                        worker.task.result()
                if keeper.done():
                    keeper.result()
                if self._writer.failure is not None:
                    raise self._writer.failure
                self._watch()
        finally:
            if self._waits_for_slot:  # first, or the slot that a worker gives back when it ends would start another
                self._resources.slots.leave(self._slot_taken)
                self._waits_for_slot = False
            await shielded(cancel_and_wait({keeper}))
            await shielded(cancel_and_wait(self._workers.tasks))
            self._workers.clear()
            self._job.meter.connections = 0
        await self._writer.drain()
        if self._writer.failure is not None:
            raise self._writer.failure

    @property
    def _is_complete(self) -> bool:
        return self._plan.is_complete if self._plan is not None else self._whole_done

    def _staff(self) -> None:
        """Start as many workers as there is work, room, use and permission for."""
        if self._transport.is_far:
            self._scaling.grow_fully()
        received_bytes = self._job.meter.received_bytes - self._had_received_bytes
        self._scaling.look(time.monotonic(), received_bytes, self._writer.holds, is_held=self._workers.is_held)
        while self._has_work_for_one_more():
            if not self._resources.slots.try_take(first=not len(self._workers)):
                if not self._waits_for_slot:
                    self._waits_for_slot = True
                    self._resources.slots.wait(self._slot_taken)
                return
            self._start_worker()

    def _slot_taken(self) -> None:
        """The budget has a slot for us at last."""
        self._waits_for_slot = False
        if self._has_work_for_one_more():
            self._start_worker()
            self._nudged.set()
        else:
            self._resources.slots.give()

    def _has_work_for_one_more(self) -> bool:
        count = len(self._workers)
        if self._whole or not self._transport.is_proven:
            return count == 0
        if count >= self._most or self._plan is None:
            return False
        left, idle = self._plan.segments_left(self._planned_for), self._workers.idle
        return left > idle or (left == 0 and not idle and self._last_to_finish() is not None)

    @property
    def _most(self) -> int:
        """How many workers there may be."""
        allowed = self._resources.connections_per_file
        return allowed if self._scaling.wanted is None else min(allowed, self._scaling.wanted)

    @property
    def _planned_for(self) -> int:
        """For how many workers segments are cut: while nobody knows how many there will be, for all that may come."""
        return self._most if self._scaling.has_looked else self._resources.connections_per_file

    def _start_worker(self) -> None:
        worker = Worker(heard_at=time.monotonic())
        worker.task = asyncio.create_task(self._work(worker))
        self._workers.add(worker)
        self._job.meter.connections = len(self._workers)

    async def _work(self, worker: Worker) -> None:
        """Fetch lease after lease, until there are none or the slot is needed elsewhere."""
        attempt = 0
        try:
            while (lease := self._next_lease()) is not None:
                generation = self._transport.generation
                before = lease.at
                trouble = await self._fetch(worker, lease)
                if lease.at > before:
                    attempt = 0
                if trouble is None:
                    self._resources.slots.went_well()
                else:
                    await self._recover(worker, trouble, generation, attempt)
                    attempt += 1
                if len(self._workers) > (1 if self._resources.slots.is_contended else self._most):
                    return  # others need the connection more, or it does not help
        finally:
            self._resources.slots.give()

    async def _fetch(self, worker: Worker, lease: Lease) -> TransferError | Failure | None:
        """Bring one lease; what went wrong, if something did that can be mended."""
        resources = self._resources

        def on_bytes(count: int, new: int) -> None:
            worker.heard_at = self._progress_at = time.monotonic()
            self._whole_has_come = self._whole
            meter = self._job.meter
            meter.downloaded_bytes += new
            meter.received_bytes += count
            meter.trouble = None
            self._recovery.progressed()
            if not self._proven:
                self._proven = True
                self._nudged.set()

        in_one = self._whole and (lease.at == 0 or not self._transport.has_ranged)
        sink = LeaseSink(
            lease,
            self._writer,
            resources.buffers,
            resources.limiter,
            self._job.flow,
            on_bytes,
            self._become_whole,
            past_bytes=lease.at if in_one else 0,
        )
        worker.begin(sink)
        try:
            await self._transport.fetch(0 if in_one else lease.at, None if in_one else lease.end, sink)
            if lease.end > ENDLESS:
                self.size_bytes = lease.at
                self._whole_done = True
        except TransferError as trouble:
            return trouble
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
        """What to fetch next; None when there is nothing. StartOver when it cannot be continued where it stopped."""
        if self._whole:
            return self._rest_in_one()
        if self._plan is None:
            return None
        usual = self._workers.usual_bytes_per_s()
        # a request should last several times as long as its answer takes to begin
        lease = self._plan.take(self._planned_for, int(usual * 4 * self._transport.first_byte_s))
        if lease is None and (victim := self._last_to_finish()) is not None and victim.sink is not None:
            share = victim.bytes_per_s / (victim.bytes_per_s + max(usual, 1.0))
            lease = self._plan.steal(victim.sink.lease, share)
        return lease

    def _last_to_finish(self) -> Worker | None:
        return self._workers.last_to_finish(self._transport.first_byte_s)

    def _rest_in_one(self) -> Lease | None:
        """All of the file in one request, or the rest of it if the server can be asked for that.

        Of a file that is asked for again as a whole, what is there stays as it is.
        """
        if self._whole_done:
            return None
        if self._plan is None:
            if self._writer.written or self._job.meter.downloaded_bytes:
                raise StartOver(self._cause)
            return Lease(0, 2 * ENDLESS)
        lease = self._plan.take_all()
        if lease is not None and self._whole_has_come and not self._transport.has_ranged:
            self._plan.give_back(lease)
            raise StartOver(self._cause)
        return lease

    @property
    def _cause(self) -> str:
        return "it ended early" if self._trouble is None else self._trouble.detail

    def _become_whole(self, lease: Lease, size_bytes: int | None) -> bool:
        """The server sends all of the file: go on with that when nothing else is there or under way."""
        if self._plan is None:
            return True
        if self._writer.written or len(self._plan.leases) > 1 or lease.at != 0:
            return False
        self._whole = True
        return self._plan.extend_to_all(lease)

    # trouble comes

    async def _recover(self, worker: Worker, trouble: TransferError | Failure, generation: int, attempt: int) -> None:
        self._job.meter.retries += 1
        self._trouble = trouble
        others = self._workers.others_progress(worker, self._resources.stall_timeout_s)
        if not others:
            self._job.meter.trouble = (trouble.reason, trouble.detail)
        if isinstance(trouble, Failure):
            if (trouble.retry_after_s or 0.0) > self._resources.stall_timeout_s and not others:
                raise trouble
            trouble = TransferError(trouble.detail)
        await self._recovery.after(
            trouble, generation, attempt, others_progress=others, has_bytes=bool(self._writer.written)
        )

    def _watch(self) -> None:
        """Give up when nothing moves; drop a connection that is silent while others are not."""
        now = time.monotonic()
        if not self._workers or self._workers.is_held:
            self._progress_at = now  # it is we who wait: for a slot, the disk or the limit
        if now - self._progress_at > self._resources.stall_timeout_s:
            trouble = self._trouble
            if trouble is None:
                raise Failure(Reason.STALLED, f"not a byte came for {now - self._progress_at:.0f} s")
            retry_after_s = trouble.retry_after_s if isinstance(trouble, Failure) else None
            raise Failure(trouble.reason, trouble.detail, retry_after_s=retry_after_s)
        for worker in self._workers.silent(self._resources.stall_timeout_s, self._transport.first_byte_s):
            if worker.task is not None:
                worker.task.cancel()

    # bytes stay

    async def _keep(self) -> None:
        """Sync and claim, again and again, as often as the disk and the daemon's pace allow."""
        meter = self._job.meter
        speed = float("inf")  # until it is measured
        while True:
            since, had = time.monotonic(), meter.received_bytes
            until = since + pause_s(self.size_bytes, speed, self._writer.last_sync_s)
            while await self._writer.is_due(until - time.monotonic()):
                await shielded(self._writer.sync())
            await self._resources.pace.turn()
            speed = (meter.received_bytes - had) / max(time.monotonic() - since, 0.001)
            self._workers.flush()
            await self._writer.wait_done()
            await self._checkpoint()

    async def _checkpoint(self) -> None:
        """Sync what is written, then say so, when that is news. Once begun it is ended: claims must not overtake."""
        if self._writer.failure is None and list(self._writer.written) != self._checkpointed:
            await shielded(self._sync_and_claim())

    async def _sync_and_claim(self) -> None:
        spans: list[Span] = await self._writer.sync()
        await self._job.checkpoint(spans)
        self._checkpointed = spans

    async def _verify(self) -> Digest | None:
        digest = self._job.digest
        if self.size_bytes is None:
            raise RuntimeError("a whole file without a size")
        if digest is not None and self._hasher is None:
            self._hasher = StreamingHasher(self._part, digest, self.size_bytes, self._resources.io_threads)
            self._hasher.advance(self.size_bytes)
        if self._hasher is None:
            return None
        claiming = asyncio.create_task(self._checkpoint())
        try:
            return await self._hasher.result()
        except OSError as error:
            raise disk_failure(error, f"reading {self._part.path.name}") from None
        finally:
            await claiming

    async def _settle(self, failed: bool) -> None:
        """Nothing moves any more after this. After a failure: what did come is synced and claimed."""
        await self._writer.drain()
        if self._hasher is not None:
            await self._hasher.stop()
        try:
            await self._checkpoint()
        except Failure as failure:
            if not failed:
                raise
            _log.warning("what came last could not be kept: %s", failure)
