"""The scheduler: owns all records, and is the one door through which they change."""

from __future__ import annotations

import asyncio
import heapq
import logging
import os
import time
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hfdmd import lifecycle
from hfdmd.bandwidth import limit_at
from hfdmd.config import Config, Limits, Places, Values
from hfdmd.events import Event, Events, frame, state_event
from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.hub.shelf import Placed, Shelf
from hfdmd.lifecycle import Stimulus
from hfdmd.net.courtesy import backoff_s
from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord, Source, Span, rfc3339
from hfdmd.scheduler import views
from hfdmd.scheduler.actions import Actions
from hfdmd.scheduler.batch import Batcher
from hfdmd.scheduler.content import ContentLocks
from hfdmd.scheduler.drive import LOCKED_RETRY_S, Drive, Hold
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.listing import RepoListing
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.requests import Requests
from hfdmd.scheduler.threads import in_thread
from hfdmd.scheduler.updates import Updates
from hfdmd.statuslog import log_change
from hfdmd.store import Store
from hfdmd.transfer.engine import Engine
from hfdmd.transfer.job import SMALL_FILE_BYTES, Meter
from hfdmd.transfer.space import Space
from hfdmd.versions import Versions
from hfdmd.wire.errors import Loading
from hfdmd.wire.types import Download, Phase, Reason, Removed, RepoDownload, Status

log = logging.getLogger("hfdmd.scheduler")

T = TypeVar("T")

SAMPLE_S = 0.25
REPO_TRACKER_S = 2.0
RETRY_CAP_S = 60.0
DISK_RETRY_S = 10.0
_WEIGHT_BYTES = 8 << 20  # a file keeps about one connection busy for each of these, up to its limit


@dataclass(slots=True)
class Rooms:
    """What the scheduler joins. Made by `hfdmd.service`, which also opens and closes them."""

    config: Config
    places: Places
    store: Store
    versions: Versions
    hub: Hub
    shelf: Shelf
    engine: Engine
    events: Events


class Scheduler:
    def __init__(self, rooms: Rooms) -> None:
        self.config = rooms.config
        self.places = rooms.places
        self.store = rooms.store
        self.hub = rooms.hub
        self.shelf = rooms.shelf
        self.engine = rooms.engine
        self.events = rooms.events
        self.space = Space()
        self.index = Index()
        self.content = ContentLocks()
        self.drives: dict[str, Drive] = {}
        self.listings: dict[str, RepoListing] = {}
        self.stopping: set[str] = set()
        self.loading = True
        self.loaded = asyncio.Event()
        self.retries_by_reason: dict[Reason, int] = {}
        self.received_bytes = 0
        self.queue = Queue(self.index, self._may_start)
        self._versions = rooms.versions
        self._units: dict[str, set[str]] = {}
        self._untracked: set[str] = set()
        self._targets: dict[str, set[str]] = {}
        self._dirty_repos: set[str] = set()
        self._repo_written_at: dict[str, float] = {}
        self._finishing: dict[str, bool] = {}
        self._retries: list[tuple[float, str]] = []
        self._retry_timer: asyncio.TimerHandle | None = None
        self._admit_soon: asyncio.Handle | None = None
        self._busy = asyncio.Event()
        self._closing = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self.actions = Actions(self)
        self.requests = Requests(self)
        self.updates = Updates(self)
        self.prepare = Batcher(self._prepare_all)
        self.place_small = Batcher(self._place_all)
        self._durable = Batcher(self._flush_all)

    # Running

    async def run(self) -> None:
        """Work until `close` is called; then stop every transfer, synced and claimed."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._load(), name="load")
            sampler = group.create_task(self._sample_loop(), name="sample")
            clock = group.create_task(self._clock_loop(), name="schedule")
            await self._closing.wait()
            sampler.cancel()
            clock.cancel()
            tasks = [drive.task for drive in self.drives.values() if drive.task is not None]
            tasks += [listing.task for listing in self.listings.values() if listing.task is not None]
            for task in tasks:
                task.cancel()
            if self._retry_timer is not None:
                self._retry_timer.cancel()
            if self._admit_soon is not None:
                self._admit_soon.cancel()
        self._group = None

    def close(self) -> None:
        self._closing.set()

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def spawn(self, work: Awaitable[None], name: str) -> asyncio.Task[None]:
        """Run `work` as a task that the scheduler owns and waits for."""
        if self._group is None:
            raise RuntimeError("the scheduler does not run")

        async def owned() -> None:
            await work

        return self._group.create_task(owned(), name=name)

    async def see_through(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` to its end even if the caller is cancelled: a client that hangs up stops nothing half-way."""
        if self._group is None:
            work.close()
            raise Loading("the daemon is stopping", retry_after_s=1)
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def owned() -> None:
            try:
                result = await work
            except Exception as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

        self._group.create_task(owned())
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            outcome.add_done_callback(_told_to_nobody)
            raise

    def now(self) -> str:
        return rfc3339(time.time())

    def next_version(self) -> int:
        return self._versions.next()

    # Loading

    async def _load(self) -> None:
        batches = self.store.load()
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            for record in batch:
                self._versions.seen(record.version)
                if record.id not in self.index:
                    self.take_in(record)
        await self._drop_orphans()
        self.loading = False
        self.loaded.set()
        for repo in list(self.index.repos.values()):
            self._revive_repo(repo)
        for record in list(self.index.files.values()):
            self._revive(record)
        log.info("loaded %d downloads and %d repo downloads", len(self.index.files), len(self.index.repos))
        self.kick()

    def take_in(self, record: Record) -> None:
        """Add a record that was read from disk or is new."""
        self.index.add(record)
        if isinstance(record, FileRecord) and record.spec.local_dir is not None:
            self._targets.setdefault(_target(record.spec), set()).add(record.id)

    def _revive(self, record: FileRecord) -> None:
        if record.state is Status.DOWNLOADING:
            self.change(record, Stimulus.RESTART, reason=Reason.RESTARTED, detail="the daemon was restarted")
        elif record.state is Status.QUEUED:
            self._requeue(record)

    def _revive_repo(self, repo: RepoRecord) -> None:
        sums = self.index.sums[repo.id]
        if repo.state is Status.DONE or (repo.listed and len(sums.files) == repo.files_total):
            if repo.listed:
                self.refresh(repo)
            return
        repo.listed = False  # files that never left the queue have no tracker: the listing names them again
        if repo.state in (Status.DOWNLOADING, Status.QUEUED):
            lifecycle.derive(
                repo, Status.QUEUED, self.now(), version=self.next_version(), reason=Reason.RESTARTED,
                detail="the daemon was restarted",
            )  # fmt: skip
            self.queue.offer(repo)

    async def _drop_orphans(self) -> None:
        """Part files that no tracker names are removed: only what hfdmd itself wrote, by their names."""
        known: set[Path] = set()
        for record in self.index.files.values():
            if record.synced and record.source is not None and record.state is not Status.DONE:
                known.add(self.shelf.part_path(record.spec, record.source))
        try:
            orphans = await in_thread(self.shelf.orphan_parts, known)
            for orphan in orphans:
                log.info("removing %s: no tracker names it", orphan)
                await in_thread(orphan.unlink, missing_ok=True)
        except OSError as error:
            log.warning("cannot look for leftover part files: %s", error)

    # The one door

    def change(
        self,
        record: FileRecord,
        stimulus: Stimulus,
        *,
        phase: Phase | None = None,
        reason: Reason | None = None,
        detail: str | None = None,
        retry_at: str | None = None,
        keep: bool = True,
    ) -> None:
        """Change a download: the table decides, the tracker follows, listeners hear of it.

        `keep=False` leaves the tracker file for the next change, soon to come.
        """
        before = record.state
        lifecycle.advance(
            record,
            stimulus,
            self.now(),
            version=self.next_version(),
            phase=phase,
            reason=reason,
            detail=detail,
            retry_at=retry_at,
        )
        after = record.state
        self.index.update(record)
        if keep:
            self.persist(record)
        if after is Status.QUEUED:
            self._requeue(record)
        elif before is Status.QUEUED:
            self.queue.changed()
        log_change(record, before)
        self.publish(record)
        if stimulus is Stimulus.WAIT and reason is not None:
            for repo_id in record.repo_ids:
                self.index.sums[repo_id].waits = (reason, detail)
        for repo_id in record.repo_ids:
            repo = self.index.repos.get(repo_id)
            if repo is not None:
                self.refresh(repo)

    def persist(self, record: FileRecord) -> None:
        """Hand the record to the store. A tracker never claims more than what is synced, so neither do its numbers."""
        self._untracked.discard(record.id)
        if record.id in self._finishing:
            self._finishing[record.id] = True  # this write replaces the one that says done: it is to be said again
        if record.state is not Status.DOWNLOADING:
            self.store.put(record)
            return
        shown = record.downloaded_bytes
        record.downloaded_bytes = sum(end - start for start, end in record.synced)
        lifecycle.settle(record)
        self.store.put(record)
        record.downloaded_bytes = shown
        lifecycle.settle(record)

    def refresh(self, repo: RepoRecord) -> None:
        """Bring a repo download's status up to what its files add up to."""
        sums = self.index.sums[repo.id]
        views.absorb(repo, sums)
        listing = self.listings.get(repo.id)
        if not repo.listed:
            if listing is None and sums.by_status[Status.DOWNLOADING] and repo.state is not Status.DOWNLOADING:
                self._dirty_repos.add(repo.id)
            return
        status, phase, reason = views.derived(sums)
        if status is repo.state and status is not Status.FAILED:
            self._dirty_repos.add(repo.id)
            return
        detail = sums.waits[1] if status is Status.QUEUED else None
        if status is Status.FAILED:
            reason, detail = self._failed_files(repo)
            if repo.state is status and repo.detail == detail:
                return
        self.derive(repo, status, phase=phase, reason=reason, detail=detail)

    def derive(
        self,
        repo: RepoRecord,
        status: Status,
        *,
        phase: Phase | None = None,
        reason: Reason | None = None,
        detail: str | None = None,
        retry_at: str | None = None,
    ) -> None:
        """Give a repo download a status; tracker and listeners follow."""
        before = repo.state
        if status is Status.DONE and repo.path is None:
            first = next(self.index.children(repo), None)
            repo.path = views.repo_path(first) if first is not None else None
        lifecycle.derive(
            repo, status, self.now(), version=self.next_version(), phase=phase, reason=reason, detail=detail
        )
        repo.retry_at = retry_at
        views.absorb(repo, self.index.sums[repo.id])
        self.store.put(repo)
        self._repo_written_at[repo.id] = time.monotonic()
        if status in (Status.DONE, Status.FAILED, Status.CANCELLED, Status.PAUSED):
            self._repo_written_at.pop(repo.id, None)
        self._dirty_repos.discard(repo.id)
        log_change(repo, before)
        self.publish(repo)
        if status is Status.QUEUED and not repo.listed:
            self._requeue(repo)

    def _failed_files(self, repo: RepoRecord) -> tuple[Reason, str]:
        sums = self.index.sums[repo.id]
        failed = [self.index.files[file_id] for file_id in list(sums.failed)[:5]]
        named = ", ".join(f"{record.spec.file_path} ({record.reason})" for record in failed)
        more = len(sums.failed) - len(failed)
        detail = f"{len(sums.failed)} of {len(sums.files)} files failed: {named}. {failed[0].detail}" + (
            f" and {more} more" if more else ""
        )
        return failed[0].reason or Reason.INTERNAL, detail

    def publish(self, record: Record, *, is_status: bool = True) -> None:
        self.events.publish(lambda: state_event(self.view(record)), is_status=is_status)

    def forget(self, record: Record) -> None:
        """Drop a record whose work has stopped; its tracker goes too."""
        if isinstance(record, FileRecord):
            if record.spec.local_dir is not None:
                owners = self._targets.get(_target(record.spec), set())
                owners.discard(record.id)
            self._untracked.discard(record.id)
        else:
            self.queue.drop_repo(record.id)
            self._dirty_repos.discard(record.id)
        parents = record.repo_ids if isinstance(record, FileRecord) else []
        self.index.remove(record)
        self.store.forget(record)
        self.queue.changed()
        version = self.next_version()
        removed = frame("removed", Removed(id=record.id), f"{version}:{record.id}")
        self.events.publish(lambda: Event("removed", record.id, removed), is_status=True)
        for repo_id in parents:
            repo = self.index.repos.get(repo_id)
            if repo is not None:
                self.refresh(repo)

    # Views

    def view(self, record: Record) -> Download | RepoDownload:
        if isinstance(record, RepoRecord):
            return self.repo_view(record)
        return self.file_view(record)

    def file_view(self, record: FileRecord) -> Download:
        drive = self.drives.get(record.id)
        position = self.queue.positions().get(record.id) if record.state is Status.QUEUED else None
        return views.file_view(
            record,
            bytes_per_second=drive.speed.bytes_per_second if drive is not None else None,
            queue_position=position,
        )

    def repo_view(self, repo: RepoRecord) -> RepoDownload:
        views.absorb(repo, self.index.sums[repo.id])
        rate: int | None = None
        for file_id in self._running(repo.id):
            part = self.drives[file_id].speed.bytes_per_second
            if part is not None:
                rate = (rate or 0) + part
        return views.repo_view(repo, bytes_per_second=rate)

    @property
    def bytes_per_second(self) -> int:
        return sum(drive.speed.bytes_per_second or 0 for drive in self.drives.values())

    def _running(self, repo_id: str) -> list[str]:
        return [file_id for file_id, drive in self.drives.items() if repo_id in drive.record.repo_ids]

    # Admission

    def kick(self) -> None:
        """Something changed that may let another download start."""
        if self._admit_soon is None and not self.closing and not self.loading:
            self._admit_soon = asyncio.get_running_loop().call_soon(self._admit)

    def _may_start(self, record: Record) -> bool:
        if record.id in self.stopping:
            return False
        return record.retry_at is None or record.retry_at <= self.now()

    def _requeue(self, record: Record) -> None:
        """A record is queued: now, or when its `retry_at` comes."""
        if record.retry_at is not None and record.retry_at > self.now():
            due = datetime.fromisoformat(record.retry_at).timestamp()
            heapq.heappush(self._retries, (due, record.id))
            self._arm_retry_timer()
        self.queue.offer(record)
        self.kick()

    def _arm_retry_timer(self) -> None:
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None
        if self._retries and not self.closing:
            delay_s = max(0.0, self._retries[0][0] - time.time()) + 0.001
            self._retry_timer = asyncio.get_running_loop().call_later(delay_s, self._retry_due)

    def _retry_due(self) -> None:
        self._retry_timer = None
        now = time.time()
        while self._retries and self._retries[0][0] <= now:
            _, key = heapq.heappop(self._retries)
            record = self.index.get(key)
            if record is not None and record.state is Status.QUEUED:
                self.queue.offer(record)
        self._arm_retry_timer()
        self.kick()

    def network_is_back(self) -> None:
        """One download got through: those that wait for the network need not wait for their time."""
        waiting, self._retries = self._retries, []
        for due, key in waiting:
            record = self.index.get(key)
            if record is None or record.state is not Status.QUEUED or record.retry_at is None:
                continue
            if record.reason is Reason.NETWORK:
                record.retry_at = None
                self.queue.offer(record)
            else:
                self._retries.append((due, key))
        heapq.heapify(self._retries)
        self._arm_retry_timer()
        self.kick()

    def _admit(self) -> None:
        """Give free slots to who is next, and fill the repo downloads that have one."""
        self._admit_soon = None
        if self.closing:
            return
        for unit in [unit for unit, running in self._units.items() if not running and unit not in self.listings]:
            if unit not in self.index.repos or self.queue.next_file(unit) is None:
                del self._units[unit]
        limit = self.config.values.max_active_downloads
        while len(self._units) < limit and (record := self.queue.next_unit(self._units)) is not None:
            self._units[record.id] = set()
            if isinstance(record, FileRecord):
                self._start(record, record.id)
            elif not record.listed:
                self._start_listing(record)
            elif self.queue.next_file(record.id) is None:
                del self._units[record.id]
        capacity = self.config.values.max_connections - sum(drive.weight for drive in self.drives.values())
        progressed = True
        while progressed:
            progressed = False
            for unit, running in self._units.items():
                if unit not in self.index.repos or (running and capacity <= 0):
                    continue
                record = self.queue.next_file(unit)
                if record is not None:
                    capacity -= self._start(record, unit)
                    progressed = True

    def _start(self, record: FileRecord, unit: str) -> int:
        """Start the drive of a queued file; its weight in connections."""
        size = record.source.size_bytes if record.source is not None else None
        small = size is not None and size <= SMALL_FILE_BYTES
        weight = 1 if size is None else min(self.config.values.max_connections_per_file, 1 + size // _WEIGHT_BYTES)
        self._units[unit].add(record.id)
        drive = Drive(self, record, unit, weight)
        self.drives[record.id] = drive
        self.change(record, Stimulus.START, phase=Phase.RESOLVING, keep=not small)
        drive.task = self.spawn(self._drive(drive), f"drive {record.id}")
        self._busy.set()
        return weight

    async def _drive(self, drive: Drive) -> None:
        try:
            await drive.run()
        finally:
            self._ended(drive)

    def _ended(self, drive: Drive) -> None:
        record = drive.record
        del self.drives[record.id]
        self.received_bytes += drive.meter.received_bytes
        if record.state is Status.DOWNLOADING:  # stopped from outside: what is synced is what there is
            record.downloaded_bytes = sum(end - start for start, end in record.synced)
            lifecycle.settle(record)
            self.index.update(record)
            if record.id not in self.stopping and not self.closing:
                log.error("the work on %s ended without a word; it is queued again", record.id)
                self.change(record, Stimulus.WAIT, reason=Reason.RESTARTED, detail="its work ended without a word")
        running = self._units.get(drive.unit)
        if running is not None:
            running.discard(record.id)
        if not self.drives:
            self._busy.clear()
        self.kick()

    def _start_listing(self, repo: RepoRecord) -> None:
        listing = RepoListing(self, repo)
        self.listings[repo.id] = listing
        repo.attempt += 1
        self.derive(repo, Status.DOWNLOADING, phase=Phase.LISTING)
        listing.task = self.spawn(self._list(listing), f"list {repo.id}")

    async def _list(self, listing: RepoListing) -> None:
        try:
            await listing.run()
        finally:
            del self.listings[listing.repo.id]
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
            if record.id in self.index and record.state is Status.QUEUED:
                self._requeue(record)
        self.kick()

    # What a drive tells

    def previous(self, record: FileRecord) -> Placed | None:
        """What hfdmd itself placed for this download before."""
        if record.path is None or record.placed_mtime_ns is None or record.placed_bytes is None:
            return None
        return Placed(Path(record.path), record.placed_bytes, record.placed_mtime_ns)

    def check_target(self, record: FileRecord) -> None:
        """A place in a folder belongs to one download. Raises Failure(PATH_TAKEN)."""
        if record.spec.local_dir is None:
            return
        for other_id in self._targets.get(_target(record.spec), set()):
            other = self.index.files.get(other_id)
            if other is None or other is record or other.state in (Status.CANCELLED, Status.FAILED):
                continue
            if (other.created_at, other.id) < (record.created_at, record.id):
                raise Failure(
                    Reason.PATH_TAKEN,
                    f"{_target(record.spec)} belongs to another download: {other.spec.file_path} of"
                    f" {other.spec.model_repo} at {other.spec.revision} (id {other.id})",
                )

    def resolved(self, record: FileRecord, source: Source) -> None:
        """The first resolve: what the file is, pinned from now on."""
        record.source = source
        self.index.update(record)
        self.phase(record, Phase.RESOLVING)
        self.network_is_back()

    def measured(self, record: FileRecord, size_bytes: int) -> Source:
        """The Hub told no size; the transfer has found it."""
        source = record.source
        if source is None:
            raise RuntimeError("measured before it was resolved")
        record.source = Source(
            commit=source.commit,
            etag=source.etag,
            size_bytes=size_bytes,
            digest=source.digest,
            xet_hash=source.xet_hash,
        )
        self.index.update(record)
        return record.source

    def unpin(self, record: FileRecord, detail: str) -> None:
        """Let go of the pinned commit and of what was fetched of it."""
        record.source = None
        record.synced = []
        record.downloaded_bytes = 0
        self.change(record, Stimulus.PHASE, phase=Phase.RESOLVING, detail=detail)

    def phase(self, record: FileRecord, phase: Phase, *, keep: bool = True) -> None:
        self.change(record, Stimulus.PHASE, phase=phase, detail=record.detail, keep=keep)

    def reserve(self, key: str, part: Path, need_bytes: int) -> None:
        """Raises Failure(DISK_FULL) when what is still to come of everything in flight does not fit."""
        self.space.reserve(key, part, need_bytes, self.config.values.min_free_bytes)

    async def claim(self, record: FileRecord, spans: list[Span]) -> None:
        """What is synced now; returns when the tracker says so."""
        record.synced = spans
        self.persist(record)
        await self.store.flush()

    async def finish(self, record: FileRecord, placed: Placed) -> None:
        """In place, verified and synced: first the tracker says so, then everybody else."""
        record.path = str(placed.path)
        record.placed_mtime_ns = placed.mtime_ns
        record.placed_bytes = placed.size_bytes
        record.synced = []
        detail = _unverified_note(record.source)
        done = msgspec.structs.replace(record, downloaded_bytes=placed.size_bytes)
        lifecycle.advance(done, Stimulus.FINISH, self.now(), version=self.next_version(), detail=detail)
        self._finishing[record.id] = False
        try:
            self.store.put(done)
            await self._durable(record.id)
            written_meanwhile = self._finishing[record.id]
        finally:
            del self._finishing[record.id]
        record.downloaded_bytes = placed.size_bytes
        self._untracked.discard(record.id)
        self.change(record, Stimulus.FINISH, detail=detail, keep=written_meanwhile)

    def stopped_by(self, record: FileRecord, failure: Failure, meter: Meter) -> None:
        """A drive gave up: for good, or until `retry_at`."""
        if record.state is not Status.DOWNLOADING:
            log.error("%s stopped in status %s: %s", record.id, record.state, failure)
            return
        record.downloaded_bytes = sum(end - start for start, end in record.synced)
        if meter.received_bytes:
            record.attempt = 1
        if failure.is_final:
            self.change(record, Stimulus.FAIL, reason=failure.reason, detail=failure.detail)
            return
        self.retries_by_reason[failure.reason] = self.retries_by_reason.get(failure.reason, 0) + 1
        retry_at = rfc3339(time.time() + wait_s(failure, record.attempt))
        self.change(record, Stimulus.WAIT, reason=failure.reason, detail=failure.detail, retry_at=retry_at)

    async def _prepare_all(self, holds: list[Hold]) -> list[Placed | Exception | None]:
        return await in_thread(self._prepare_in_thread, holds)

    def _prepare_in_thread(self, holds: list[Hold]) -> list[Placed | Exception | None]:
        """Lock each blob, then see what is there already: an app may have fetched it while we waited."""
        results: dict[int, Placed | Exception | None] = {}
        locked: list[Hold] = []
        for hold in holds:
            try:
                hold.lock = self.shelf.lock(hold.spec, hold.source)
            except (Failure, OSError) as error:
                results[id(hold)] = error
                continue
            if hold.lock is None:
                results[id(hold)] = Failure(
                    Reason.LOCKED,
                    "another program is fetching this file into the same cache; waiting for it",
                    retry_after_s=LOCKED_RETRY_S,
                )
            else:
                locked.append(hold)
        adopted = self.shelf.adopt([(hold.spec, hold.source, hold.previous) for hold in locked])
        for hold, outcome in zip(locked, adopted, strict=True):
            results[id(hold)] = outcome
            if outcome is not None:
                hold.release()
        return [results[id(hold)] for hold in holds]

    async def _place_all(self, items: list[tuple[FileSpec, Source, bytes, Placed | None]]) -> list[Placed | Exception]:
        return list(await in_thread(self.shelf.place_small, items))

    async def _flush_all(self, items: list[str]) -> list[Exception | None]:
        await self.store.flush()
        return [None] * len(items)

    # Sampling

    async def _sample_loop(self) -> None:
        """Four times a second, while something is at work: byte progress for listeners."""
        while True:
            await self._busy.wait()
            await asyncio.sleep(SAMPLE_S)
            for drive in list(self.drives.values()):
                self._sample(drive)
            dirty, self._dirty_repos = self._dirty_repos, set()
            for repo_id in dirty:
                repo = self.index.repos.get(repo_id)
                if repo is not None:
                    self._sample_repo(repo)

    def _sample(self, drive: Drive) -> None:
        record, meter = drive.record, drive.meter
        had_speed = drive.speed.bytes_per_second is not None
        drive.speed.sample(meter.downloaded_bytes)
        if record.state is not Status.DOWNLOADING:
            return
        if meter.phase is Phase.VERIFYING and record.phase is Phase.TRANSFERRING:
            record.downloaded_bytes = meter.downloaded_bytes
            self.phase(record, Phase.VERIFYING)
            return
        trouble = meter.trouble[1] if meter.trouble is not None else None
        stalled_now = had_speed and drive.speed.bytes_per_second is None
        if meter.downloaded_bytes == record.downloaded_bytes and trouble == record.detail and not stalled_now:
            return
        record.downloaded_bytes = meter.downloaded_bytes
        record.detail = trouble
        record.updated_at = self.now()
        record.version = self.next_version()
        lifecycle.settle(record)
        self.index.update(record)
        if record.source is not None and record.source.size_bytes is not None:
            self.space.update(record.id, record.source.size_bytes - record.downloaded_bytes)
        self.publish(record, is_status=False)
        self._dirty_repos.update(record.repo_ids)

    def _sample_repo(self, repo: RepoRecord) -> None:
        views.absorb(repo, self.index.sums[repo.id])
        repo.updated_at = self.now()
        repo.version = self.next_version()
        self.publish(repo, is_status=False)
        now = time.monotonic()
        if now - self._repo_written_at.get(repo.id, 0.0) >= REPO_TRACKER_S:
            self._repo_written_at[repo.id] = now
            self.store.put(repo)

    # Settings

    def apply_settings(self) -> None:
        """The settings changed: engine and admission follow."""
        self.engine.apply(limits_of(self.config.values))
        self.kick()

    async def _clock_loop(self) -> None:
        """Once a minute, while there is a weekly schedule and something to limit."""
        while True:
            await self._busy.wait()
            self.engine.apply(limits_of(self.config.values))
            await asyncio.sleep(60 - time.time() % 60 + 0.01 if self.config.values.schedule else 60)

    def listed(self, repo: RepoRecord, note: str | None) -> None:
        """The files of a repo download are known now."""
        sums = self.index.sums[repo.id]
        views.absorb(repo, sums)
        status, phase, reason = views.derived(sums)
        self.derive(repo, status, phase=phase, reason=reason, detail=note)
        self.network_is_back()
        self.queue.offer(repo)
        self.kick()

    def is_new_child(self, record: FileRecord) -> None:
        """A file that a listing named: it gets its tracker file when it first leaves the queue."""
        self._untracked.add(record.id)

    def is_tracked(self, record: FileRecord) -> bool:
        return record.id not in self._untracked


def _told_to_nobody(outcome: asyncio.Future[Any]) -> None:
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        log.warning("an action failed after its client had gone: %s", error)


def limits_of(values: Values) -> Limits:
    """What the settings allow the engine right now; the bandwidth limit may depend on the hour."""
    return Limits(
        max_connections=values.max_connections,
        max_connections_per_file=values.max_connections_per_file,
        bandwidth_bytes_per_s=limit_at(datetime.now().astimezone(), values.schedule, values.bandwidth_limit),
        stall_timeout_s=values.stall_timeout,
    )


def wait_s(failure: Failure, attempt: int) -> float:
    """How long to wait before the next attempt, as the other side asked or by backoff."""
    if failure.retry_after_s is not None:
        return failure.retry_after_s
    if failure.reason is Reason.DISK_FULL:
        return DISK_RETRY_S
    return backoff_s(attempt, cap_s=RETRY_CAP_S)


def _target(spec: FileSpec) -> str:
    return os.path.join(spec.local_dir or "", spec.file_path)


def _unverified_note(source: Source | None) -> str | None:
    if source is not None and source.digest is None:
        return "not verified: the Hub gave no digest, and allow_unverified is set"
    return None
