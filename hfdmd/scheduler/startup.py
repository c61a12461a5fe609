"""What the tracker files say at start: taken in, set going again, and cleaned up after."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hfdmd import lifecycle
from hfdmd.aio import in_thread
from hfdmd.failure import Failure
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord
from hfdmd.scheduler.repo_listing import RepoListing
from hfdmd.wire.types import Reason, Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

log = logging.getLogger("hfdmd.scheduler")

_MOVING = (Status.QUEUED, Status.DOWNLOADING)


class Startup:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def run(self) -> None:
        scheduler = self._scheduler
        gc.disable()  # what is loaded stays: looking through it again and again costs as much as the loading
        try:
            batches = scheduler.store.load()
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                self.take_in(batch)
            await self._recall_lists()
            gc.freeze()
        finally:
            gc.enable()
        await self._drop_orphans()
        scheduler.loading = False
        scheduler.loaded.set()
        for record in scheduler.index.forget_unknown_repos():
            scheduler.touch(record)
        for repo in list(scheduler.index.repos.values()):
            self._revive_repo(repo)
        for record in list(scheduler.index.files.values()):
            if record.state is Status.QUEUED:
                scheduler.admission.requeue(record)
        log.info(
            "loaded %d downloads and %d repo downloads",
            len(scheduler.index.files),
            len(scheduler.index.repos),
        )
        scheduler.admission.kick()

    def lacks_files(self, repo: RepoRecord) -> bool:
        """Whether there are files of it that no tracker tells of: only when all is loaded they are known."""
        return repo.state is not Status.DONE and len(self._scheduler.index.sums[repo.id].files) != repo.files_total

    async def first(self, read: Callable[[], list[Record]]) -> None:
        """Take in what somebody asks for by name before the rest. `read` runs in a thread."""
        self.take_in(await in_thread(read))

    def take_in(self, records: list[Record]) -> None:
        """Take in what was read from disk and is not known yet."""
        scheduler = self._scheduler
        for record in records:
            scheduler.versions.seen(record.version)
            if record.id in scheduler.index:
                continue
            if record.state in _MOVING or isinstance(record, RepoRecord):
                record.version = scheduler.next_version()  # byte progress was shown with versions that no tracker has
            record.version = max(record.version, scheduler.versions.floor)
            scheduler.take_in(record)
            if isinstance(record, FileRecord) and record.state is Status.DONE:
                scheduler.written_files.note(record)
            if record.state is Status.DOWNLOADING:  # it is not, and whoever asks meanwhile is not to be told so
                self._restarted(record)

    def _restarted(self, record: Record) -> None:
        scheduler, detail = self._scheduler, "the daemon was restarted"
        if isinstance(record, FileRecord):
            scheduler.change(record, Stimulus.RESTART, reason=Reason.RESTARTED, detail=detail)
        else:
            lifecycle.derive(
                record, Status.QUEUED, scheduler.now(), version=scheduler.next_version(), reason=Reason.RESTARTED,
                detail=detail,
            )  # fmt: skip

    def _revive_repo(self, repo: RepoRecord) -> None:
        scheduler = self._scheduler
        sums = scheduler.index.sums[repo.id]
        if repo.state is Status.DONE or (repo.listed and len(sums.files) == repo.files_total):
            if repo.listed:
                scheduler.refresh(repo)
            return
        repo.listed = False  # some are not known any more: the Hub's listing names them again
        if repo.state is Status.QUEUED:
            self._restarted(repo)
            scheduler.admission.queue.offer(repo)

    async def _recall_lists(self) -> None:
        """Files that never left the queue have no tracker: what was listed names them again."""
        scheduler = self._scheduler
        unfinished = [repo for repo in scheduler.index.repos.values() if repo.state is not Status.DONE]
        for repo in sorted(unfinished, key=lambda repo: repo.created_at):  # a file is as old as who named it first
            if self.lacks_files(repo):
                await RepoListing(scheduler, repo).recall()
        try:
            await in_thread(scheduler.lists.sweep, {repo.id for repo in unfinished})
        except OSError as error:
            log.warning("cannot look for leftover lists of files: %s", error)

    async def _drop_orphans(self) -> None:
        """Part files that no tracker names are removed: only what hfdmd itself wrote, by their names."""
        scheduler = self._scheduler
        if scheduler.store.left_alone:
            return  # one of those trackers may name what looks like an orphan
        known: set[Path] = set()
        loose: list[FileSpec] = []
        try:
            for record in scheduler.index.files.values():
                if record.synced and record.source is not None and record.state is not Status.DONE:
                    known.add(scheduler.storage.part_location(record.spec))
                elif record.spec.local_dir is not None:
                    loose.append(record.spec)
            orphans = await in_thread(scheduler.storage.orphan_parts, known)
            for orphan in orphans:
                log.info("removing %s: no tracker names it", orphan)
                await in_thread(orphan.unlink, missing_ok=True)
            await in_thread(scheduler.storage.discard_leftovers, loose)
        except (Failure, OSError) as error:
            log.warning("cannot look for leftover part files: %s", error)
        for repo in list(scheduler.index.repos.values()):
            if repo.spec.local_dir is not None and repo.state is not Status.DONE:
                try:
                    await in_thread(scheduler.storage.discard_unlisted, repo.spec, repo.commit, known)
                except (Failure, OSError) as error:
                    log.warning("cannot look for what a crash left in %s: %s", repo.spec.local_dir, error)
