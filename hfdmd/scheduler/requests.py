"""What is asked for: `POST /api/download`, idempotent for files and for repos."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfdmd.aio import in_thread, yielding
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord, RepoSpec, rfc3339
from hfdmd.wire.errors import QueueFull
from hfdmd.wire.types import Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

QUEUE_FULL_RETRY_S = 60


@dataclass(frozen=True, slots=True)
class Ask:
    """How something is asked for. `priority` None leaves what is known as it is."""

    priority: int | None = None
    retry: bool = False
    update: bool = False


class Requests:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def file(self, spec: FileSpec, ask: Ask) -> tuple[FileRecord, bool]:
        """The download of one file, and whether this call queued it. Its tracker file is on disk on return.

        Raises `QueueFull`, and OSError when the tracker cannot be written.
        """
        return await self._scheduler.see_through(self._file(spec, ask))

    async def _file(self, spec: FileSpec, ask: Ask) -> tuple[FileRecord, bool]:
        scheduler = self._scheduler
        record = self._known(spec)
        if record is None:
            self._check_room()
            now = time.time()
            record = FileRecord(
                id=spec.id,
                spec=spec,
                asked_singly=True,
                priority=ask.priority or 0,
                order=now,
                created_at=rfc3339(now),
                updated_at=rfc3339(now),
                version=scheduler.next_version(),
            )
            scheduler.take_in(record)
            scheduler.persist(record)
            await self._enter(record)
            return record, True
        changed = not record.asked_singly or not scheduler.is_tracked(record)
        record.asked_singly = True
        queued = await self._again(record, ask)
        if not self._is_known(record):
            return await self._file(spec, ask)
        if queued:
            changed = True
        if ask.priority is not None and ask.priority != record.priority:
            await scheduler.ordering.prioritise(record, ask.priority)
            scheduler.admission.queue.recount()
            changed = True
        if changed:
            scheduler.persist(record)
            if record.state is Status.QUEUED:
                scheduler.admission.queue.offer(record)
                scheduler.admission.kick()
        # The request that made it a moment ago may still wait for the disk.
        if changed or not scheduler.store.has_written(record.id):
            await scheduler.store.flush()
        if ask.update:
            scheduler.updates.start(record)
        return record, queued

    async def repo(self, spec: RepoSpec, ask: Ask) -> tuple[RepoRecord, bool]:
        """The download of a repo, or of the part that its globs name, and whether this call queued it."""
        return await self._scheduler.see_through(self._repo(spec, ask))

    async def _repo(self, spec: RepoSpec, ask: Ask) -> tuple[RepoRecord, bool]:
        scheduler = self._scheduler
        record = self._known_repo(spec)
        if record is None:
            self._check_room()
            now = time.time()
            record = RepoRecord(
                id=spec.id,
                spec=spec,
                retry=ask.retry,
                priority=ask.priority or 0,
                order=now,
                created_at=rfc3339(now),
                updated_at=rfc3339(now),
                version=scheduler.next_version(),
            )
            scheduler.take_in(record)
            scheduler.store.put(record)
            await self._enter(record)
            return record, True
        if ask.priority is not None and ask.priority != record.priority:
            await scheduler.ordering.prioritise(record, ask.priority)
            scheduler.admission.queue.recount()
        queued = await scheduler.actions.alone(self._repo_again(record, ask))
        if scheduler.index.repos.get(record.id) is not record:
            return await self._repo(spec, ask)
        await scheduler.store.flush()
        if ask.update:
            scheduler.updates.start(record)
        return record, queued

    async def _enter(self, record: Record) -> None:
        """A request that is new: told, queued, and its tracker file on disk on return."""
        scheduler = self._scheduler
        scheduler.publish(record)
        scheduler.admission.queue.offer(record)
        scheduler.admission.kick()
        await scheduler.store.flush()

    def _known(self, spec: FileSpec) -> FileRecord | None:
        scheduler = self._scheduler
        record = scheduler.index.files.get(spec.id)
        if record is None and scheduler.loading:
            loaded = scheduler.store.load_one(spec)
            if isinstance(loaded, FileRecord):
                scheduler.loader.take_in([loaded])
                return loaded
        return record

    def _known_repo(self, spec: RepoSpec) -> RepoRecord | None:
        scheduler = self._scheduler
        record = scheduler.index.repos.get(spec.id)
        if record is None and scheduler.loading:
            loaded = scheduler.store.load_one(spec)
            if isinstance(loaded, RepoRecord):
                scheduler.loader.take_in([loaded])
                return loaded
        return record

    async def _again(self, record: FileRecord, ask: Ask) -> bool:
        """Asked for again: whether that queues it."""
        scheduler = self._scheduler
        if record.state is Status.CANCELLED:
            scheduler.change(record, Stimulus.ASK)
            return True
        if record.state is Status.FAILED and ask.retry:
            scheduler.change(record, Stimulus.RETRY)
            return True
        if record.state is Status.DONE and not await in_thread(scheduler.reports.is_in_place, record):
            if record.state is not Status.DONE or not self._is_known(record):  # somebody else was quicker
                return False
            record.downloaded_bytes = 0
            scheduler.change(record, Stimulus.ASK)
            return True
        return False

    async def _repo_again(self, repo: RepoRecord, ask: Ask) -> bool:
        """Asked for again: whether that queues it. Only while no action is under way (`Actions.alone`)."""
        scheduler = self._scheduler
        if scheduler.index.repos.get(repo.id) is not repo:
            return False
        dropped, repo.dropped = repo.dropped, set()
        anew = repo.cancelled or repo.state is Status.CANCELLED
        if anew:
            repo.held = repo.cancelled = False
            repo.revive |= not repo.listed
        retries = ask.retry and not repo.listed and not repo.retry
        repo.retry |= retries
        if anew or dropped or retries:
            scheduler.store.put(repo)
        queued = not repo.listed and (repo.state is Status.CANCELLED or (repo.state is Status.FAILED and ask.retry))
        if queued:
            repo.revive = True
            scheduler.derive(repo, Status.QUEUED)
        files = list(scheduler.index.children(repo))
        async for record in yielding([record for record in files if record.state is Status.CANCELLED]):
            if record.state is Status.CANCELLED and self._is_known(record):
                scheduler.change(record, Stimulus.ASK)
                queued = True
        if not repo.listed:
            return queued
        done = [record for record in files if record.state is Status.DONE]
        gone = await in_thread(lambda: any(not scheduler.reports.is_in_place(record) for record in done))
        if ask.retry:
            async for record in yielding(files):
                if record.state is Status.FAILED and self._is_known(record):
                    scheduler.change(record, Stimulus.RETRY)
                    queued = True
        if (dropped or gone) and repo.listed and scheduler.index.repos.get(repo.id) is repo:
            if ask.update:
                repo.commit, repo.moving = None, True
            queued |= scheduler.completion.list_again(repo)
        return queued

    def _is_known(self, record: FileRecord) -> bool:
        """Whether it is still there: it may have been deleted while a thread looked for its file."""
        return self._scheduler.index.files.get(record.id) is record

    def _check_room(self) -> None:
        """`queue_full` counts requests, not a repo's files."""
        scheduler = self._scheduler
        ended = (Status.DONE, Status.FAILED, Status.CANCELLED)
        limit = scheduler.config.values.max_queue
        if len(scheduler.index.files) + len(scheduler.index.repos) < limit:
            return
        waiting = sum(record.asked_singly and record.state not in ended for record in scheduler.index.files.values())
        waiting += sum(record.state not in ended for record in scheduler.index.repos.values())
        if waiting >= limit:
            raise QueueFull(
                f"{waiting} requests wait already, max_queue allows {limit}; try again when some are through",
                retry_after_s=QUEUE_FULL_RETRY_S,
            )
