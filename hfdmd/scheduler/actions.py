"""Pause, resume, cancel, retry, reorder, delete: each answers when it is true, not when it is planned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from hfdmd import lifecycle
from hfdmd.failure import Failure
from hfdmd.hub.shelf import Placed
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord, Source
from hfdmd.scheduler.queue import key
from hfdmd.scheduler.threads import in_thread
from hfdmd.wire.errors import NotAllowedNow, UnknownDownload
from hfdmd.wire.types import Affected, Download, Reason, RepoDownload, Selector, Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

log = logging.getLogger("hfdmd.actions")

Q, D, P, OK, F, C = (
    Status.QUEUED,
    Status.DOWNLOADING,
    Status.PAUSED,
    Status.DONE,
    Status.FAILED,
    Status.CANCELLED,
)

_ACTS_ON: dict[Stimulus, frozenset[Status]] = {
    Stimulus.PAUSE: frozenset({Q, D}),
    Stimulus.RESUME: frozenset({P}),
    Stimulus.CANCEL: frozenset({Q, D, P, F}),
    Stimulus.RETRY: frozenset({F, C, Q}),
}
_ALREADY_SO: dict[Stimulus, frozenset[Status]] = {
    Stimulus.PAUSE: frozenset({P}),
    Stimulus.RESUME: frozenset({Q, D}),
    Stimulus.CANCEL: frozenset({C}),
    Stimulus.RETRY: frozenset({D}),
}


class Actions:
    """One action at a time: so none sees the half-done work of another."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._one_at_a_time = asyncio.Lock()

    async def act(self, stimulus: Stimulus, selector: Selector) -> Affected:
        """Do it to all that the selector means and that it fits; return every match as it stands then.

        Raises `UnknownDownload` when nothing matches, `NotAllowedNow` when one was named that it does not fit.
        """
        return await self._scheduler.see_through(self._act(stimulus, selector))

    async def reorder(self, selector: Selector, *, priority: int | None, position: int | None) -> Affected:
        """Give what is queued another priority, or a position: 1 is next, with that neighbour's priority."""
        return await self._scheduler.see_through(self._reorder(selector, priority, position))

    async def delete(self, selector: Selector, *, delete_file: bool) -> Affected:
        """Forget them, cancelling first; with `delete_file` their files too. Returns them as they were."""
        return await self._scheduler.see_through(self._delete(selector, delete_file=delete_file))

    async def _act(self, stimulus: Stimulus, selector: Selector) -> Affected:
        async with self._one_at_a_time:
            matched = self._matched(selector)
            fitting = [record for record in matched if record.state in _ACTS_ON[stimulus]]
            if not fitting and _is_narrow(selector):
                self._refuse(stimulus, matched)
            files = self._files_of(fitting, stimulus)
            repos = [record for record in fitting if isinstance(record, RepoRecord)]
            await {
                Stimulus.PAUSE: self._pause,
                Stimulus.RESUME: self._resume,
                Stimulus.CANCEL: self._cancel,
                Stimulus.RETRY: self._retry,
            }[stimulus](files, repos)
            await self._scheduler.store.flush()
            return self._affected(matched)

    async def _reorder(self, selector: Selector, priority: int | None, position: int | None) -> Affected:
        async with self._one_at_a_time:
            matched = self._matched(selector)
            queued = [record for record in matched if record.state is Q]
            if not queued and (_is_narrow(selector) or matched):
                raise NotAllowedNow(f"only what is queued can be reordered; {_standing(matched)}")
            if priority is not None:
                for record in queued:
                    self.prioritise(record, priority)
            elif position is not None:
                for offset, record in enumerate(queued):
                    self._move(record, position + offset)
            self._scheduler.admission.queue.recount()
            self._scheduler.admission.kick()
            await self._scheduler.store.flush()
            return self._affected(matched)

    async def _delete(self, selector: Selector, *, delete_file: bool) -> Affected:
        scheduler = self._scheduler
        async with self._one_at_a_time:
            matched = self._matched(selector)
            answer = self._affected(matched)
            repos = [record for record in matched if isinstance(record, RepoRecord)]
            files = {record.id: record for record in matched if isinstance(record, FileRecord)}
            gone = {repo.id for repo in repos}
            for repo in repos:
                for child in scheduler.index.children(repo):
                    if not child.asked_singly and set(child.repo_ids) <= gone:
                        files[child.id] = child
            records: list[Record] = [*files.values(), *repos]
            await scheduler.admission.stop(records)
            try:
                await self._remove(list(files.values()), delete_file=delete_file)
                for record in records:
                    scheduler.forget(record)
            finally:
                scheduler.admission.freed(records)
            await scheduler.store.flush()
            return answer

    def prioritise(self, record: Record, priority: int) -> None:
        """Give a record, and the queued files of a repo, another priority."""
        scheduler = self._scheduler
        record.priority = priority
        self._reordered(record)
        if isinstance(record, RepoRecord):
            for child in scheduler.index.children(record):
                if child.state is Q and child.priority != priority:
                    child.priority = priority
                    self._reordered(child)

    def _reordered(self, record: Record) -> None:
        scheduler = self._scheduler
        record.updated_at = scheduler.now()
        record.version = scheduler.next_version()
        if isinstance(record, RepoRecord):
            scheduler.store.put(record)
        elif scheduler.is_tracked(record):
            scheduler.persist(record)
        scheduler.admission.queue.offer(record)
        scheduler.publish(record)

    def _move(self, record: Record, position: int) -> None:
        """Put it so that it comes to stand at `position` among what is queued of its kind."""
        scheduler = self._scheduler
        pool: list[Record] = (
            [repo for repo in scheduler.index.repos.values() if repo.state is Q]
            if isinstance(record, RepoRecord)
            else [file for file in scheduler.index.files.values() if file.state is Q]
        )
        others = sorted((other for other in pool if other is not record), key=key)
        if not others:
            return
        place = min(position - 1, len(others))
        after = others[place - 1] if place > 0 else None
        before = others[place] if place < len(others) else None
        neighbour = before or after
        if neighbour is None:
            return
        record.priority = neighbour.priority
        low = after.order if after is not None and after.priority == neighbour.priority else None
        high = before.order if before is not None else None
        if low is not None and high is not None:
            record.order = (low + high) / 2
            if not low < record.order < high:  # no number left between them: everybody behind moves up
                record.order = low
                for number, other in enumerate(others[place:], 1):
                    other.order = max(other.order, low) + number * 1e-3
                    self._reordered(other)
                record.order = low + 5e-4
        elif high is not None:
            record.order = high - 1.0
        elif low is not None:
            record.order = low + 1.0
        self._reordered(record)

    def _matched(self, selector: Selector) -> list[Record]:
        matched = self._scheduler.index.match(selector)
        if not matched:
            raise UnknownDownload("no download matches; `GET /api/progress` lists what there is")
        return matched

    def _refuse(self, stimulus: Stimulus, matched: list[Record]) -> None:
        already = _ALREADY_SO[stimulus]
        if not any(record.state in already for record in matched):
            raise NotAllowedNow(f"cannot {stimulus}: {_standing(matched)}")

    def _files_of(self, fitting: list[Record], stimulus: Stimulus) -> list[FileRecord]:
        """The files that the action is for: those matched, and those of the matched repos that are theirs alone.

        A file that another request which is not paused wants stays as it is, when it is paused or cancelled only by
        way of a repo download (contract, section 2).
        """
        scheduler = self._scheduler
        files = {record.id: record for record in fitting if isinstance(record, FileRecord)}
        acting = {record.id for record in fitting if isinstance(record, RepoRecord)}
        for repo_id in acting:
            for child in scheduler.index.children(scheduler.index.repos[repo_id]):
                if child.state not in _ACTS_ON[stimulus]:
                    continue
                if stimulus in (Stimulus.PAUSE, Stimulus.CANCEL) and self._wanted_elsewhere(child, acting):
                    continue
                if stimulus is Stimulus.RETRY and child.state is C:
                    continue
                files[child.id] = child
        return list(files.values())

    def _wanted_elsewhere(self, child: FileRecord, acting: set[str]) -> bool:
        if child.asked_singly and child.state is not P:
            return True
        repos = self._scheduler.index.repos
        return any(
            repo_id not in acting and repo_id in repos and not repos[repo_id].held and repos[repo_id].state is not C
            for repo_id in child.repo_ids
        )

    async def _pause(self, files: list[FileRecord], repos: list[RepoRecord]) -> None:
        for repo in repos:
            repo.held = True
        await self._stopped(
            files,
            repos,
            lambda record: self._apply(record, Stimulus.PAUSE, reason=Reason.REQUESTED),
            lambda repo: self._hold(repo, P, Reason.REQUESTED),
        )

    async def _cancel(self, files: list[FileRecord], repos: list[RepoRecord]) -> None:
        await self._stopped(
            files,
            repos,
            lambda record: self._apply(record, Stimulus.CANCEL),
            lambda repo: self._hold(repo, C, None),
            discard=True,
        )

    async def _stopped(
        self,
        files: list[FileRecord],
        repos: list[RepoRecord],
        each_file: Callable[[FileRecord], None],
        each_repo: Callable[[RepoRecord], None],
        *,
        discard: bool = False,
    ) -> None:
        """Stop the work first, and only then say so."""
        scheduler = self._scheduler
        records: list[Record] = [*files, *repos]
        await scheduler.admission.stop(records)
        try:
            for record in files:
                if discard and record.source is not None and record.state is not OK:
                    await in_thread(scheduler.shelf.discard_part, record.spec, record.source)
                    record.synced = []
                    record.downloaded_bytes = 0
                each_file(record)
            for repo in repos:
                each_repo(repo)
        finally:
            scheduler.admission.freed(records)

    def _apply(self, record: FileRecord, stimulus: Stimulus, *, reason: Reason | None = None) -> None:
        """Change it, unless it came to its end while it was being stopped."""
        if lifecycle.allows(record.state, stimulus):
            self._scheduler.change(record, stimulus, reason=reason)

    def _hold(self, repo: RepoRecord, status: Status, reason: Reason | None) -> None:
        """A repo download's own part: what is not listed yet is held too."""
        scheduler = self._scheduler
        if repo.listed:
            scheduler.store.put(repo)
            scheduler.refresh(repo)
        else:
            scheduler.derive(repo, status, reason=reason)

    async def _resume(self, files: list[FileRecord], repos: list[RepoRecord]) -> None:
        scheduler = self._scheduler
        for repo in repos:
            repo.held = False
        for record in files:
            scheduler.change(record, Stimulus.RESUME)
        for repo in repos:
            if repo.listed:
                scheduler.store.put(repo)
                scheduler.refresh(repo)
            else:
                scheduler.derive(repo, Q)

    async def _retry(self, files: list[FileRecord], repos: list[RepoRecord]) -> None:
        scheduler = self._scheduler
        for record in files:
            if record.state is not Q or record.retry_at is not None:
                scheduler.change(record, Stimulus.RETRY)
        for repo in repos:
            if not repo.listed and (repo.state is not Q or repo.retry_at is not None):
                repo.held = False
                repo.revive = True
                scheduler.derive(repo, Q)
            elif repo.state is C:
                for child in scheduler.index.children(repo):
                    if child.state is C:
                        scheduler.change(child, Stimulus.RETRY)

    async def _remove(self, files: list[FileRecord], *, delete_file: bool) -> None:
        """Delete part files; with `delete_file` also what was placed, as long as it is what was recorded."""
        scheduler = self._scheduler
        placed: list[tuple[FileSpec, Source, Placed]] = []
        for record in files:
            if record.source is None:
                continue
            if record.state is not OK:
                await in_thread(scheduler.shelf.discard_part, record.spec, record.source)
            there = scheduler.reports.previous(record)
            if delete_file and there is not None:
                placed.append((record.spec, record.source, there))
        if placed:
            for outcome in await in_thread(scheduler.shelf.delete_all, placed):
                if isinstance(outcome, Failure):
                    log.error("a file could not be deleted: %s", outcome.detail)

    def _affected(self, matched: list[Record]) -> Affected:
        downloads: list[Download] = []
        repos: list[RepoDownload] = []
        for record in matched:
            if isinstance(record, RepoRecord):
                repos.append(self._scheduler.repo_view(record))
            else:
                downloads.append(self._scheduler.file_view(record))
        return Affected(downloads=downloads, repos=repos)


def _is_narrow(selector: Selector) -> bool:
    """Whether it names one download, so that an action which does not fit it is an error."""
    return isinstance(selector.id, str) or isinstance(selector.file_path, str)


def _standing(matched: list[Record]) -> str:
    return ", ".join(sorted({f"it is {record.state}" for record in matched}))
