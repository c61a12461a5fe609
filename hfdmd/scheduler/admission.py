"""Who is at work: slots for requests, drives for files, and the timers of those that wait."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from hfdmd import descriptors, lifecycle
from hfdmd.aio import yielding
from hfdmd.lifecycle import Stimulus
from hfdmd.net.retry_after import MAX_WAIT_S
from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.drive import Drive
from hfdmd.scheduler.priority_semaphore import PrioritySemaphore
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.repo_listing import RepoListing
from hfdmd.transfer.job import is_small
from hfdmd.wire.types import Phase, Reason, Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

log = logging.getLogger("hfdmd.scheduler")

_WEIGHT_BYTES = 8 << 20  # a file keeps about one connection busy for each of these, up to its limit

# Of a repo's small files so many are at work at once. Most of them need no connection, but wait for their turn on the
# disk, which takes them in batches: as few as there are connections would all go through it in lockstep.
_SMALL_PER_CONNECTION = 4
_SMALL_BYTES_AT_ONCE = 16 << 20
_STARTED_IN_A_TURN = 16  # then everybody else gets theirs


class Admission:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.queue = Queue(scheduler.index, self.may_start)
        self.drives: dict[str, Drive] = {}
        self.listings: dict[str, RepoListing] = {}
        self.stopping: set[str] = set()
        self._at_work = _Load()
        self._served: str | None = None  # the repo download that a file was started of last
        self.gate = PrioritySemaphore(self._room_for_small)
        self._units: dict[str, set[str]] = {}
        self._retries: list[tuple[float, str, str]] = []
        self._offline: dict[str, None] = {}
        self._retry_timer: asyncio.TimerHandle | None = None
        self._admit_soon: asyncio.Handle | None = None

    def close(self) -> None:
        """Stop everything that is at work; nothing starts any more."""
        for task in [drive.task for drive in self.drives.values()] + [one.task for one in self.listings.values()]:
            if task is not None:
                task.cancel()
        for handle in (self._retry_timer, self._admit_soon):
            if handle is not None:
                handle.cancel()

    def kick(self) -> None:
        """Something changed that may let another download start."""
        if self._admit_soon is None and not self._scheduler.closing and not self._scheduler.loading:
            self._admit_soon = asyncio.get_running_loop().call_soon(self._admit)

    def may_start(self, record: Record) -> bool:
        if record.id in self.stopping or record.id in self.drives or record.id in self.listings:
            return False  # `freed`, or the end of the work, offers it again
        return record.retry_at is None

    def requeue(self, record: Record) -> None:
        """A record is queued: now, or when its `retry_at` comes."""
        if record.retry_at is not None:
            wait_s = min(datetime.fromisoformat(record.retry_at).timestamp() - time.time(), MAX_WAIT_S)
            if wait_s > 0:  # counted by a clock that nobody sets: `retry_at` is for people
                heapq.heappush(self._retries, (time.monotonic() + wait_s, record.id, record.retry_at))
                if record.reason is Reason.NETWORK:
                    self._offline[record.id] = None
                self._arm_retry_timer()
            else:
                record.retry_at = None
        self.queue.offer(record)
        self._list_for(record)
        self.kick()

    def _list_for(self, record: Record) -> None:
        """A held repo download that a restart left unlisted has no slot for a file that goes on: list it."""
        if isinstance(record, RepoRecord) or self._scheduler.loading:
            return
        for repo_id in record.repo_ids:
            repo = self._scheduler.index.repos.get(repo_id)
            if repo is not None and not repo.listed and repo.state in (Status.PAUSED, Status.CANCELLED):
                self._scheduler.derive(repo, Status.QUEUED)

    def _arm_retry_timer(self) -> None:
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None
        if self._retries and not self._scheduler.closing:
            delay_s = max(0.0, self._retries[0][0] - time.monotonic()) + 0.001
            self._retry_timer = asyncio.get_running_loop().call_later(delay_s, self._retry_due)

    def _retry_due(self) -> None:
        self._retry_timer = None
        now = time.monotonic()
        while self._retries and self._retries[0][0] <= now:
            _, key, retry_at = heapq.heappop(self._retries)
            self._offline.pop(key, None)
            record = self._scheduler.index.get(key)
            if record is not None and record.state is Status.QUEUED and record.retry_at == retry_at:
                self._waited(record)
        self._arm_retry_timer()

    def network_is_back(self) -> None:
        """One download got through: those that wait for the network need not wait for their time."""
        if self._offline:
            waiting, self._offline = self._offline, {}
            self._scheduler.errand(self._go_on(waiting), "the network is back")

    async def _go_on(self, waiting: Iterable[str]) -> None:
        async for key in yielding(waiting):
            record = self._scheduler.index.get(key)
            if record is not None and record.retry_at is not None and record.reason is Reason.NETWORK:
                self._waited(record)

    def _waited(self, record: Record) -> None:
        """It waits for nothing but a slot now."""
        record.retry_at = None
        self._scheduler.touch(record)
        self.queue.offer(record)
        self.kick()

    def _admit(self) -> None:
        """Give free slots to who is next, and fill the repo downloads that have one."""
        scheduler = self._scheduler
        self._admit_soon = None
        if scheduler.closing:
            return
        for unit in [unit for unit, running in self._units.items() if not running and unit not in self.listings]:
            repo = scheduler.index.repos.get(unit)
            if repo is None or repo.moving or self.queue.next_file(unit) is None:
                del self._units[unit]
                if repo is not None and not repo.listed:  # an update came: it is to be listed before it goes on
                    self.queue.offer(repo)
        for unit in self._units:  # one that has a slot and is to be listed again has no place in the queue to wait for
            repo = scheduler.index.repos.get(unit)
            if repo is not None and self._may_list(repo):
                self._start_listing(repo)
        limit = scheduler.config.values.max_active_downloads
        while len(self._units) < limit and (record := self.queue.next_unit(self._units)) is not None:
            self._units[record.id] = set()
            if isinstance(record, FileRecord):
                self._start(record, record.id)
            elif self._may_list(record):
                self._start_listing(record)
            elif self.queue.next_file(record.id) is None:
                del self._units[record.id]
        self._fill()
        self.gate.look()

    def _fill(self) -> None:
        """Start files of the repo downloads that have a slot, one of each in turn, as far as there is room."""
        scheduler = self._scheduler
        connections = scheduler.config.values.max_connections
        started = 0
        progressed = True
        while progressed:
            progressed = False
            for unit in self._units_in_turn():
                running = self._units[unit]
                repo = scheduler.index.repos.get(unit)
                # one that moves to another commit: the listing tells which files are still wanted, and of what content
                if repo is None or repo.moving:
                    continue
                record = self.queue.next_file(unit)
                if record is not None and (not running or self._at_work.has_room(record, connections)):
                    if started == _STARTED_IN_A_TURN:
                        self.kick()
                        return
                    self._start(record, unit)
                    self._served = unit
                    started += 1
                    progressed = True

    def _units_in_turn(self) -> list[str]:
        """Those with a slot, beginning behind the one that was served last."""
        units = list(self._units)
        start = units.index(self._served) + 1 if self._served in self._units else 0
        return units[start:] + units[:start]

    def _room_for_small(self) -> int:
        """How many small files may fetch at once: what large ones leave of the connections."""
        return self._scheduler.config.values.max_connections - self._at_work.connections

    def _start(self, record: FileRecord, unit: str) -> None:
        """Start the drive of a queued file."""
        scheduler = self._scheduler
        size = record.size_bytes
        small = is_small(size)
        weight = 1 if size is None else min(scheduler.config.values.max_connections_per_file, 1 + size // _WEIGHT_BYTES)
        self._units[unit].add(record.id)
        drive = Drive(self._scheduler, record, unit, weight)
        self.drives[record.id] = drive
        self._at_work.add(drive)
        phase = Phase.TRANSFERRING if small else Phase.RESOLVING
        scheduler.change(record, Stimulus.START, phase=phase, keep=not small)
        drive.task = scheduler.spawn(drive.run(), f"drive {record.id}")
        # Not a `finally` in the task: one that is cancelled before its first step never gets there.
        drive.task.add_done_callback(lambda _: self._ended(drive))
        scheduler.sampler.wake()

    def _ended(self, drive: Drive) -> None:
        scheduler = self._scheduler
        record = drive.record
        del self.drives[record.id]
        self._at_work.remove(drive)
        scheduler.received_bytes += drive.meter.received_bytes
        if record.state is Status.DOWNLOADING:  # stopped from outside: what is synced is what there is
            record.downloaded_bytes = sum(end - start for start, end in record.synced)
            lifecycle.settle(record)
            scheduler.index.update(record)
            if record.id not in self.stopping and not scheduler.closing:
                log.error("the work on %s ended without a word; it is queued again", record.id)
                scheduler.change(record, Stimulus.WAIT, reason=Reason.RESTARTED, detail="its work ended without a word")
        running = self._units.get(drive.unit)
        if running is not None:
            running.discard(record.id)
        if record.state is Status.QUEUED:
            self.queue.offer(record)
        self.kick()

    def _may_list(self, repo: RepoRecord) -> bool:
        return not repo.listed and repo.state is Status.QUEUED and self.may_start(repo)

    def _start_listing(self, repo: RepoRecord) -> None:
        listing = RepoListing(self._scheduler, repo)
        self.listings[repo.id] = listing
        repo.attempt += 1
        self._scheduler.derive(repo, Status.DOWNLOADING, phase=Phase.LISTING)
        listing.task = self._scheduler.spawn(listing.run(), f"list {repo.id}")
        listing.task.add_done_callback(lambda _: self._listing_ended(listing))

    def _listing_ended(self, listing: RepoListing) -> None:
        del self.listings[listing.repo.id]
        repo = self._scheduler.index.repos.get(listing.repo.id)  # or one that was asked for since that one went
        if repo is not None and repo.state is Status.QUEUED:
            self.queue.offer(repo)
        self.kick()

    async def stop(self, records: list[Record]) -> None:
        """Stop the work on these, and return when not a byte moves any more. Nothing of them starts until `freed`."""
        tasks: list[asyncio.Task[None]] = []
        for record in records:
            self.stopping.add(record.id)
            work = self.drives.get(record.id) or self.listings.get(record.id)
            if work is not None and work.task is not None:
                work.task.cancel()
                tasks.append(work.task)
        if tasks:
            await asyncio.wait(tasks)

    def freed(self, records: list[Record]) -> None:
        """The action that stopped these is through."""
        for record in records:
            self.stopping.discard(record.id)
            if self._scheduler.index.get(record.id) is not record:
                continue
            if record.state is Status.QUEUED:
                self.requeue(record)
            elif record.state is Status.DOWNLOADING and isinstance(record, FileRecord):
                log.error("stopping %s was not seen through; it is queued again", record.id)
                self._scheduler.change(record, Stimulus.WAIT, reason=Reason.RESTARTED, detail="its work was stopped")
        self.kick()


class _Load:
    """What is at work, to tell whether there is something to do for one more file of a repo download."""

    def __init__(self) -> None:
        self.connections = 0
        """What large files may use."""
        self._small: dict[str, int] = {}
        self._small_bytes = 0

    def has_room(self, record: FileRecord, connections: int) -> bool:
        """`connections` is how many there may be in all."""
        if is_small(record.size_bytes):
            most = _SMALL_PER_CONNECTION * (connections - self.connections)  # what large ones leave
            most = min(most, descriptors.share(4))  # each holds a lock
            return len(self._small) < most and self._small_bytes < _SMALL_BYTES_AT_ONCE
        return self.connections < connections

    def add(self, drive: Drive) -> None:
        size_bytes = drive.record.size_bytes
        if size_bytes is not None and is_small(size_bytes):
            self._small[drive.record.id] = size_bytes
            self._small_bytes += size_bytes
        else:
            self.connections += drive.weight

    def remove(self, drive: Drive) -> None:
        """As it was added, though its size may be known only since."""
        size_bytes = self._small.pop(drive.record.id, None)
        if size_bytes is None:
            self.connections -= drive.weight
        else:
            self._small_bytes -= size_bytes
