"""The scheduler: owns all records, and is the one door through which they change."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Container, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from hfdmd import lifecycle
from hfdmd.aio import in_thread
from hfdmd.cache.storage import Storage
from hfdmd.config import Config, Paths
from hfdmd.events import Events, removed_event, state_event
from hfdmd.hub.client import Hub
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, Record, RepoRecord, rfc3339
from hfdmd.scheduler import views
from hfdmd.scheduler.actions import Actions
from hfdmd.scheduler.admission import Admission
from hfdmd.scheduler.completion import Completion
from hfdmd.scheduler.content_locks import ContentLocks
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.limits import limits_of
from hfdmd.scheduler.listing_cache import ListingCache
from hfdmd.scheduler.ordering import Ordering
from hfdmd.scheduler.reports import Reports
from hfdmd.scheduler.requests import Requests
from hfdmd.scheduler.sampler import Sampler
from hfdmd.scheduler.startup import Startup
from hfdmd.scheduler.storage_batches import StorageBatches
from hfdmd.scheduler.updates import Updates
from hfdmd.scheduler.written_files import WrittenFiles
from hfdmd.statuslog import StatusLog
from hfdmd.store import Store
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.transfer.engine import Engine
from hfdmd.transfer.job import is_small
from hfdmd.versions import Versions
from hfdmd.wire.errors import Loading as StillLoading
from hfdmd.wire.types import Download, Phase, Reason, RepoDownload, Status

log = logging.getLogger("hfdmd.scheduler")

T = TypeVar("T")


@dataclass(slots=True)
class Rooms:
    """What the scheduler joins. Made by `hfdmd.service`, which also opens and closes them."""

    config: Config
    paths: Paths
    store: Store
    versions: Versions
    hub: Hub
    storage: Storage
    space: DiskReservations
    engine: Engine
    events: Events


class Scheduler:
    def __init__(self, rooms: Rooms) -> None:
        self.config = rooms.config
        self.paths = rooms.paths
        self.store = rooms.store
        self.hub = rooms.hub
        self.storage = rooms.storage
        self.engine = rooms.engine
        self.events = rooms.events
        self.versions = rooms.versions
        self.lists = ListingCache(rooms.paths.state_dir / "lists")
        self.index = Index()
        self.content = ContentLocks()
        self.loading = True
        self.loaded = asyncio.Event()
        self.received_bytes = 0
        self._untracked: set[str] = set()
        self._closing = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self.admission = Admission(self)
        self.sampler = Sampler(self)
        self.reports = Reports(self, rooms.space)
        self.storage_batches = StorageBatches(rooms.storage)
        self.written_files = WrittenFiles(self)
        self.actions = Actions(self)
        self.requests = Requests(self)
        self.ordering = Ordering(self)
        self.updates = Updates(self)
        self.completion = Completion(self)
        self.loader = Startup(self)
        self.status_log = StatusLog()

    # Running

    async def run(self) -> None:
        """Work until `close` is called; then stop every transfer, synced and claimed."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            loader = group.create_task(self.loader.run(), name="load")
            sampler = group.create_task(self.sampler.run(), name="sample")
            clock = group.create_task(self.sampler.clock(), name="schedule")
            await self._closing.wait()
            for task in (loader, sampler, clock, *self._errands):
                task.cancel()
            self.admission.close()
        self._group = None

    def close(self) -> None:
        self._closing.set()

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` as a task that the scheduler owns and waits for."""
        if self._group is None:
            work.close()
            raise RuntimeError("the scheduler does not run")
        return self._group.create_task(_told(work, name), name=name)

    def errand(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` as a task that a stop of the daemon ends at once."""
        task = self.spawn(work, name)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def see_through(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` to its end even if the caller is cancelled: a client that hangs up stops nothing half-way."""
        if self._group is None:
            work.close()
            raise StillLoading("the daemon is stopping", retry_after_s=1)
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
        return self.versions.next()

    def take_in(self, record: Record) -> None:
        """Add a record that was read from disk or is new."""
        self.index.add(record)

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
        stamp: tuple[str, int] | None = None,
    ) -> None:
        """Change a download: the table decides, the tracker follows, listeners hear of it.

        `keep=False` leaves the tracker file for the next change, soon to come; what is implied needs none. `stamp` is
        the time and version that a tracker says already.
        """
        before = record.state
        now, version = stamp or (self.now(), self.next_version())
        lifecycle.advance(
            record,
            stimulus,
            now,
            version=version,
            phase=phase,
            reason=reason,
            detail=detail,
            retry_at=retry_at,
        )
        after = record.state
        self.index.update(record)
        is_implied = self.is_implied(record)
        if keep and not is_implied:
            self.persist(record)
        if after is Status.QUEUED:
            self.admission.requeue(record)
        elif before is Status.QUEUED:
            self.admission.queue.changed()
        is_brief = is_implied or (not keep and not record.asked_singly and is_small(record.size_bytes))
        self.status_log.log_change(record, before, is_brief=is_brief)
        self.publish(record)
        for repo_id in record.repo_ids:
            repo = self.index.repos.get(repo_id)
            if repo is not None:
                self.refresh(repo)

    def persist(self, record: FileRecord) -> None:
        """Hand the record to the store. A tracker never claims more than what is synced, so neither do its numbers."""
        self._untracked.discard(record.id)
        self.reports.written(record)
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
        if self.loading:
            return  # not all of its files are known yet
        sums = self.index.sums[repo.id]
        views.absorb(repo, sums)
        listing = self.admission.listings.get(repo.id)
        if not repo.listed:
            if listing is None and sums.by_status[Status.DOWNLOADING] and repo.state is not Status.DOWNLOADING:
                self.sampler.mark(repo)
            return
        status, phase, reason, detail = views.standing(self.index, repo)
        if status is repo.state and reason is repo.reason and (status is not Status.FAILED or detail == repo.detail):
            self.sampler.mark(repo)
        elif status is Status.DONE:
            self.completion.look(repo)
        else:
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
        if status in (Status.DOWNLOADING, Status.DONE):
            detail = detail or repo.note
        if status is Status.DONE:
            repo.held = False  # there is nothing left to hold
        lifecycle.derive(
            repo, status, self.now(), version=self.next_version(), phase=phase, reason=reason, detail=detail
        )
        repo.retry_at = retry_at
        self._absorb(repo)
        self.store.put(repo)
        self.sampler.told(repo)
        self.status_log.log_change(repo, before)
        self.publish(repo)
        if status is Status.QUEUED and not repo.listed:
            self.admission.requeue(repo)
        elif status is Status.DONE and before is not Status.DONE:
            self._forget_list(repo)

    def _forget_list(self, repo: RepoRecord) -> None:
        """All its files have trackers now, or none is wanted. What a stop of the daemon leaves, its start sweeps."""
        self.errand(in_thread(self.lists.forget, repo.id), f"forget the list of {repo.id}")

    def _absorb(self, repo: RepoRecord) -> None:
        """Sum up, unless it is deleted, or not all files are loaded: its tracker tells then whether any are missing."""
        if not self.loading and repo.id in self.index.repos:
            views.absorb(repo, self.index.sums[repo.id])

    def publish(self, record: Record, *, is_status: bool = True) -> None:
        self.events.publish(lambda: state_event(self.view(record)), is_status=is_status)

    def forget(self, record: Record, *, gone: Container[str] = ()) -> None:
        """Drop a record whose work has stopped; its tracker goes too. A repo download has no files any more.

        `gone`: repo downloads that are about to be forgotten too, so that what is left of them says nothing any more.
        """
        if isinstance(record, FileRecord):
            self._untracked.discard(record.id)
        else:
            self.admission.queue.drop_repo(record.id)
            self.sampler.drop(record)
            self._forget_list(record)
        parents = record.repo_ids if isinstance(record, FileRecord) else []
        self.index.remove(record)
        self.status_log.forget(record.id)
        self.store.forget(record)
        self.admission.queue.changed()
        version = self.next_version()
        self.events.publish(lambda: removed_event(record.id, version), is_status=True)
        for repo_id in parents:
            repo = self.index.repos.get(repo_id)
            if repo is not None and repo_id not in gone:
                self.refresh(repo)

    def leave(self, child: FileRecord, repo: RepoRecord) -> None:
        """The repo download does not want the file any more."""
        child.repo_ids = [repo_id for repo_id in child.repo_ids if repo_id != repo.id]
        self.index.update(child)
        self.touch(child)

    def touch(self, record: Record) -> None:
        """Something but its status changed: a new version, for the tracker and for listeners."""
        record.updated_at = self.now()
        record.version = self.next_version()
        lifecycle.settle(record)
        if isinstance(record, RepoRecord):
            self.store.put(record)
        elif not self.is_implied(record):
            self.persist(record)
        self.publish(record)

    # Views

    def view(self, record: Record) -> Download | RepoDownload:
        if isinstance(record, RepoRecord):
            return self.repo_view(record)
        return self.file_view(record)

    def file_view(self, record: FileRecord) -> Download:
        drive = self.admission.drives.get(record.id)
        position = self.admission.queue.positions().get(record.id) if record.state is Status.QUEUED else None
        return views.file_view(
            record,
            bytes_per_second=drive.speed.bytes_per_second if drive is not None else None,
            queue_position=position,
        )

    def repo_view(self, repo: RepoRecord) -> RepoDownload:
        self._absorb(repo)
        rate: int | None = None
        for file_id in self._running(repo.id):
            part = self.admission.drives[file_id].speed.bytes_per_second
            if part is not None:
                rate = (rate or 0) + part
        return views.repo_view(repo, bytes_per_second=rate)

    @property
    def bytes_per_second(self) -> int:
        return sum(drive.speed.bytes_per_second or 0 for drive in self.admission.drives.values())

    def _running(self, repo_id: str) -> list[str]:
        return [file_id for file_id, drive in self.admission.drives.items() if repo_id in drive.record.repo_ids]

    # Settings

    def apply_settings(self) -> None:
        """The settings changed: engine and admission follow."""
        self.engine.apply(limits_of(self.config.values))
        self.admission.kick()

    def is_new_child(self, record: FileRecord) -> None:
        """A file that a listing named: it gets its tracker file when it is first more than that (`is_implied`)."""
        self._untracked.add(record.id)

    def tracked(self, record: FileRecord) -> None:
        """The record has a tracker file now."""
        self._untracked.discard(record.id)

    def is_tracked(self, record: FileRecord) -> bool:
        return record.id not in self._untracked

    def is_implied(self, record: FileRecord) -> bool:
        """Whether the trackers of its repo downloads say all there is to remember of it: it needs none of its own."""
        if self.is_tracked(record) or record.asked_singly or record.retry_at is not None:
            return False
        repos = self.index.repos
        return record.state is views.unbegun(repos[repo_id] for repo_id in record.repo_ids if repo_id in repos)


async def _told(work: Coroutine[Any, Any, None], name: str) -> None:
    """Let a fault of one task be that task's alone: the others, and the daemon, go on."""
    try:
        await work
    except Exception:
        log.exception("a fault of hfdmd itself ended the task %r", name)


def _told_to_nobody(outcome: asyncio.Future[Any]) -> None:
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        log.warning("an action failed after its client had gone: %s", error)
