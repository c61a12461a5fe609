"""A repo download's first step: which files it means. One listing tells sizes and digests of all."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfdmd.aio import in_thread, yielding
from hfdmd.failure import Failure
from hfdmd.hub.globs import matches
from hfdmd.lifecycle import Stimulus
from hfdmd.record import Entry, FileRecord, Record, RepoRecord, rfc3339
from hfdmd.scheduler.ordering import CHILD_STEP
from hfdmd.transfer.disk.part_file import disk_failure
from hfdmd.wire.types import Reason, Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

log = logging.getLogger("hfdmd.listing")


@dataclass(slots=True)
class RepoListing:
    """The task that lists one repo download, for as long as it holds a slot."""

    scheduler: Scheduler
    repo: RepoRecord
    task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until the files are known, or it failed or waits. Raises nothing but CancelledError."""
        try:
            try:
                await self._list()
            except Failure as failure:
                if not self._is_gone(failure):
                    raise
                log.warning(
                    "%s: %s; resolving %s anew", self.repo.spec.model_repo, failure.detail, self.repo.spec.revision
                )
                self.repo.commit = None
                await self._list()
        except Failure as failure:
            self._stopped_by(failure)
        except OSError as error:
            self._stopped_by(disk_failure(error, f"listing {self.repo.spec.model_repo}"))
        except Exception as error:
            log.exception("a fault of hfdmd itself stopped the listing of %s", self.repo.spec.model_repo)
            self._stopped_by(
                Failure(Reason.INTERNAL, f"a fault of hfdmd itself ({type(error).__name__}); its log has the story")
            )

    def _is_gone(self, failure: Failure) -> bool:
        commit = self.repo.commit
        return failure.reason is Reason.REVISION_NOT_FOUND and commit is not None and commit != self.repo.spec.revision

    def _stopped_by(self, failure: Failure) -> None:
        from hfdmd.scheduler.reports import wait_s

        scheduler, repo = self.scheduler, self.repo
        if failure.is_final:
            if failure.reason is Reason.FILE_NOT_FOUND:
                repo.commit = None  # there is nothing to stay at: a later commit may have what is asked for
            scheduler.derive(repo, Status.FAILED, reason=failure.reason, detail=failure.detail)
            return
        retry_at = rfc3339(time.time() + wait_s(failure, repo.attempt))
        scheduler.derive(repo, Status.QUEUED, reason=failure.reason, detail=failure.detail, retry_at=retry_at)

    async def _list(self) -> None:
        repo, scheduler = self.repo, self.scheduler
        listing = await scheduler.hub.list_repo(repo.spec, commit=repo.commit, told_at=repo.told_at)
        repo.commit, repo.told_at = listing.commit, listing.told_at
        scheduler.store.put(repo)
        entries: list[Entry] = []
        wanted: list[Entry] = []
        async for page in listing.pages():
            entries.extend(page)
            wanted.extend(entry for entry in page if matches(entry.path, repo.spec.include, repo.spec.exclude))
        if not wanted:
            globs = f" that match {list(repo.spec.include)}" if repo.spec.include else ""
            raise Failure(
                Reason.FILE_NOT_FOUND,
                f"{repo.spec.model_repo} at {repo.spec.revision} has no files{globs}; it has {len(entries)} in all",
            )
        # With the tree in place an incomplete snapshot is known to be incomplete by whoever reads the cache.
        known = [*entries, *listing.left_out]  # what the client would fetch it is to miss, not to think that is all
        await in_thread(scheduler.storage.write_tree, repo.spec, listing.commit, known)
        known_files = scheduler.index.sums[repo.id].files
        before = set(known_files)
        now = time.time()
        taken = [await self._take_in(entry, now, number) async for number, entry in yielding(enumerate(wanted))]
        await in_thread(self._keep, listing.commit, listing.told_at, now, wanted)
        await self._let_go(before.difference(taken))
        if self._chooses:
            await scheduler.updates.take_along(repo)
        if not known_files:
            await scheduler.actions.alone(self._go_with_the_last())
            if scheduler.index.repos.get(repo.id) is not repo:
                return
        for key, entry in zip(taken, wanted, strict=True):
            if key not in known_files:  # deleted; wanted if somebody asked for the repo again meanwhile
                await self._take_in(entry, now, len(wanted))
        repo.revive = repo.retry = repo.moving = False
        repo.listed = True
        repo.attempt = 0
        repo.note = None
        if listing.refused_total:
            path, why = listing.refused[0]
            repo.note = f"{listing.refused_total} files are left out for their unsafe names; {path!r} {why}"
            log.warning("%s: %s", repo.spec.model_repo, repo.note)
        scheduler.reports.listed(repo)

    async def _go_with_the_last(self) -> None:
        """A person deleted all of its files while they were being listed: the request goes with them."""
        scheduler, repo = self.scheduler, self.repo
        if scheduler.index.repos.get(repo.id) is repo and repo.dropped:
            scheduler.forget(repo)

    def _keep(self, commit: str, told_at: float, listed_at: float, wanted: list[Entry]) -> None:
        try:
            self.scheduler.lists.write(self.repo.id, commit, told_at, listed_at, wanted)
        except OSError as error:  # nothing is lost: the Hub still has it
            log.warning("cannot keep the list of %s, a restart will ask for it: %s", self.repo.spec.model_repo, error)

    async def recall(self) -> None:
        """Take in the files of a listing that ended before the daemon did. Asks nobody; only while trackers load."""
        repo, scheduler = self.repo, self.scheduler
        if not repo.listed or repo.commit is None:
            return
        remembered = await in_thread(scheduler.lists.read, repo.id, repo.commit)
        if remembered is None:
            return
        known = scheduler.index.sums[repo.id].files
        async for number, entry in yielding(enumerate(remembered.entries)):
            if repo.spec.file(entry.path).id not in known:
                await self._take_in(entry, remembered.listed_at, number)

    @property
    def _chooses(self) -> bool:
        """Whether files that are known already follow this listing: not when it only mends what a crash left."""
        return self.repo.revive or self.repo.moving

    async def _take_in(self, entry: Entry, now: float, number: int) -> str:
        """The id of its download, new or known."""
        repo, scheduler = self.repo, self.scheduler
        spec = repo.spec.file(entry.path)
        key = spec.id
        if entry.path in repo.dropped:
            return key
        record = scheduler.index.files.get(key)
        if record is not None:
            await self._join(record, entry)
            return key
        created = rfc3339(now + number * 2e-6)  # 1e-6 now and then rounds to the same time
        record = FileRecord(
            id=key,
            spec=spec,
            source=entry.source,
            repo_ids=[repo.id],
            priority=repo.priority,
            order=repo.order + number * CHILD_STEP,
            created_at=created,
            updated_at=created,
            version=scheduler.next_version(),
        )
        scheduler.take_in(record)
        scheduler.is_new_child(record)
        if repo.unbegun is Status.QUEUED:
            scheduler.publish(record)
            scheduler.admission.queue.offer(record)
            scheduler.admission.kick()
        else:
            self._hold(record, repo.unbegun)
        return key

    def _hold(self, record: FileRecord, status: Status) -> None:
        if status is Status.PAUSED:
            self.scheduler.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
        elif status is Status.CANCELLED:
            self.scheduler.change(record, Stimulus.CANCEL)

    async def _join(self, record: FileRecord, entry: Entry) -> None:
        """A file that is known already is wanted by this repo download too, and of its commit: a snapshot is of one."""
        repo, scheduler = self.repo, self.scheduler
        is_new_here = repo.id not in record.repo_ids
        if is_new_here:
            record.repo_ids = [*record.repo_ids, repo.id]
        if record.source is None:  # who is just asking the Hub for it finds it told (`Drive`)
            record.source = entry.source
        scheduler.index.update(record)
        self._loosen(record)
        scheduler.touch(record)
        moves = self._chooses and record.source.commit != entry.source.commit
        is_other = not record.source.same_content(entry.source)
        if moves and (record.synced or record.mismatches or record.state is Status.DOWNLOADING):
            await scheduler.actions.alone(scheduler.updates.move_file(record, entry.source))
            if scheduler.index.files.get(record.id) is not record:
                return
        elif moves:
            record.source = entry.source
            scheduler.index.update(record)
            scheduler.touch(record)
        # what the repo download had already was cancelled after somebody had asked for it
        was_cancelled = record.state is Status.CANCELLED and is_new_here
        again = repo.revive and (was_cancelled or self._is_gone_from_disk(record))
        if again or (moves and record.state is Status.DONE):
            record.downloaded_bytes = 0
            scheduler.change(record, Stimulus.ASK)
        elif (repo.retry or (moves and is_other)) and record.state is Status.FAILED:
            scheduler.change(record, Stimulus.RETRY)
        elif record.state is Status.QUEUED:
            scheduler.admission.queue.offer(record)

    def _loosen(self, record: FileRecord) -> None:
        """A file that has not begun is held no more than by the request that wants it most."""
        scheduler = self.scheduler
        held = record.state in (Status.PAUSED, Status.CANCELLED)
        if not held or scheduler.is_tracked(record) or scheduler.is_implied(record):
            return
        scheduler.change(record, Stimulus.RESUME if record.state is Status.PAUSED else Stimulus.ASK)
        self._hold(record, self.repo.unbegun)

    def _is_gone_from_disk(self, record: FileRecord) -> bool:
        return record.state is Status.DONE and not self.scheduler.reports.is_in_place(record)

    async def _let_go(self, file_ids: set[str]) -> None:
        """Files that the repo no longer has: those that nobody else wants and that are not done are forgotten."""
        scheduler = self.scheduler
        unwanted: list[Record] = []
        for file_id in file_ids:
            record = scheduler.index.files.get(file_id)
            if record is None:  # deleted while the list was read
                continue
            record.repo_ids = [repo_id for repo_id in record.repo_ids if repo_id != self.repo.id]
            scheduler.index.update(record)
            if not record.repo_ids and not record.asked_singly and record.state is not Status.DONE:
                unwanted.append(record)
            else:
                scheduler.touch(record)
        if unwanted:
            await scheduler.actions.alone(self._forget(unwanted))

    async def _forget(self, records: list[Record]) -> None:
        """Their trackers go, and their part files. Some may have been taken up again while others were listed."""
        scheduler = self.scheduler
        await scheduler.admission.stop(records)
        try:
            for record in records:
                if not isinstance(record, FileRecord) or scheduler.index.files.get(record.id) is not record:
                    continue
                if record.repo_ids or record.asked_singly or record.state is Status.DONE:
                    scheduler.persist(record)
                    continue
                if record.source is not None and record.synced:
                    await scheduler.storage_batches.discard(record.spec, record.source)
                scheduler.forget(record)
        finally:
            scheduler.admission.freed(records)
