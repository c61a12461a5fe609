"""Pause, resume, cancel, retry, reorder, delete: each answers when it is true, not when it is planned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from hfdmd import lifecycle
from hfdmd.aio import in_thread, yielding
from hfdmd.cache.storage import Placed
from hfdmd.failure import Failure
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord, Source
from hfdmd.scheduler import views
from hfdmd.scheduler.index import in_order, matches
from hfdmd.wire.errors import NotAllowedNow, UnknownDownload
from hfdmd.wire.types import Affected, Download, Reason, RepoDownload, RepoType, Selector, Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

log = logging.getLogger("hfdmd.actions")

T = TypeVar("T")

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

Check = Callable[[list[Record]], None]

_Place = tuple[RepoType, str, str | None, str, str | None]


class Actions:
    """One action at a time: so none sees the half-done work of another."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._one_at_a_time = asyncio.Lock()

    async def alone(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work`, which stops and changes downloads, while no action is under way; to its end in any case."""
        return await self._scheduler.see_through(self._alone(work))

    async def _alone(self, work: Coroutine[Any, Any, T]) -> T:
        async with self._one_at_a_time:
            return await work

    async def act(self, stimulus: Stimulus, selector: Selector, check: Check | None = None) -> Affected:
        """Do it to all that the selector means and that it fits; return every match as it stands then.

        `check` sees all that match, before anything is done, and raises what forbids it.
        Raises `UnknownDownload` when nothing matches, `NotAllowedNow` when one was named that it does not fit.
        """
        return await self._scheduler.see_through(self._act(stimulus, selector, check))

    async def reorder(self, selector: Selector, *, priority: int | None, position: int | None) -> Affected:
        """Give what is queued another priority, or a position: 1 is next, with that neighbour's priority."""
        return await self._scheduler.see_through(self._reorder(selector, priority, position))

    async def delete(self, selector: Selector, check: Check | None = None, *, delete_file: bool) -> Affected:
        """Forget them, cancelling first; with `delete_file` their files too. Returns them as they were.

        `check` as in `act`.
        """
        return await self._scheduler.see_through(self._delete(selector, check, delete_file=delete_file))

    async def _act(self, stimulus: Stimulus, selector: Selector, check: Check | None) -> Affected:
        async with self._one_at_a_time:
            matched = await self._matched(selector)
            if check is not None:
                check(matched)
            fitting = [record async for record in yielding(matched) if self._fits(record, stimulus)]
            if not fitting and _is_narrow(selector):
                self._refuse(stimulus, matched)
            repos = [record for record in fitting if isinstance(record, RepoRecord)]
            if stimulus in (Stimulus.PAUSE, Stimulus.CANCEL):
                await self._scheduler.admission.stop([*repos])  # a listing that goes on would add files meanwhile
            files = await self._files_of(fitting, stimulus)
            await {
                Stimulus.PAUSE: self._pause,
                Stimulus.RESUME: self._resume,
                Stimulus.CANCEL: self._cancel,
                Stimulus.RETRY: self._retry,
            }[stimulus](files, repos)
            await self._scheduler.store.flush()
            return await self._affected(matched)

    async def _reorder(self, selector: Selector, priority: int | None, position: int | None) -> Affected:
        async with self._one_at_a_time:
            matched = await self._matched(selector)
            queued = [record for record in matched if record.state is Q]
            if not queued:
                raise NotAllowedNow(f"only what is queued can be reordered; {_standing(matched)}")
            if priority is not None:
                async for record in yielding(queued):
                    await self._scheduler.ordering.prioritise(record, priority)
            elif position is not None:
                await self._scheduler.ordering.move([one for one in queued if isinstance(one, FileRecord)], position)
                await self._scheduler.ordering.move([one for one in queued if isinstance(one, RepoRecord)], position)
            self._scheduler.admission.queue.recount()
            self._scheduler.admission.kick()
            await self._scheduler.store.flush()
            return await self._affected(matched)

    async def _delete(self, selector: Selector, check: Check | None, *, delete_file: bool) -> Affected:
        scheduler = self._scheduler
        async with self._one_at_a_time:
            matched = await self._matched(selector)
            if check is not None:
                check(matched)
            answer = await self._affected(matched)
            repos = [record for record in matched if isinstance(record, RepoRecord)]
            files = {record.id: record for record in matched if isinstance(record, FileRecord)}
            gone = {repo.id for repo in repos}
            await scheduler.admission.stop([*repos])  # a listing that goes on would add files meanwhile
            for repo in repos:
                async for child in yielding(scheduler.index.children(repo)):
                    if not child.asked_singly and gone.issuperset(child.repo_ids):
                        files[child.id] = child
            emptied = self._emptied(files)
            repos += [repo for repo in emptied if repo.id not in gone]
            gone |= {repo.id for repo in emptied}
            records: list[Record] = [*files.values(), *repos]
            await scheduler.admission.stop(records)
            left: dict[str, RepoRecord] = {}
            shared: list[FileRecord] = []
            try:
                await self._remove(list(files.values()), delete_file=delete_file)
                async for record in yielding(records):
                    if scheduler.index.get(record.id) is not record:
                        continue
                    if isinstance(record, FileRecord):
                        left |= self._drop(record, gone)
                    else:
                        async for child in yielding(scheduler.index.children(record)):
                            scheduler.leave(child, record)
                            shared.append(child)
                    scheduler.forget(record, gone=gone)
            finally:
                for repo in left.values():
                    scheduler.store.put(repo)
                await self._freed(records)
            await self._hold_back(shared)
            await scheduler.store.flush()
            return answer

    def _emptied(self, files: dict[str, FileRecord]) -> list[RepoRecord]:
        """Repo downloads that go with their last file: nothing is left of what was asked for."""
        index = self._scheduler.index
        parents = {repo_id: index.repos.get(repo_id) for record in files.values() for repo_id in record.repo_ids}
        return [
            repo
            for repo in parents.values()
            if repo is not None and repo.listed and index.sums[repo.id].files.keys() <= files.keys()
        ]

    async def _hold_back(self, files: list[FileRecord]) -> None:
        """Files that went on for a request that is gone: whoever else wants them may have paused or cancelled."""
        repos = self._scheduler.index.repos
        held: dict[Status, list[FileRecord]] = {P: [], C: []}
        async for record in yielding(files):
            wanted = views.unbegun(repos[repo_id] for repo_id in record.repo_ids if repo_id in repos)
            if wanted in held and not record.asked_singly and record.state in (Q, D):
                held[wanted].append(record)
        await self._pause(held[P], [])
        await self._cancel(held[C], [])

    def _drop(self, record: FileRecord, gone: set[str]) -> dict[str, RepoRecord]:
        """Let the repo downloads that stay remember that it was deleted: their listing would name it again."""
        repos = self._scheduler.index.repos
        left = {key: repos[key] for key in record.repo_ids if key in repos and key not in gone}
        for repo in left.values():
            repo.dropped.add(record.spec.file_path)
        return left

    async def _matched(self, selector: Selector) -> list[Record]:
        found = self._scheduler.index.found(selector)
        matched = in_order([record async for record in yielding(found) if matches(record, selector)])
        if not matched:
            raise UnknownDownload("no download matches; `GET /api/progress` lists what there is")
        return matched

    def _fits(self, record: Record, stimulus: Stimulus) -> bool:
        """Whether there is something to do; a repo download may be at work for one file and need it for another."""
        if record.state in _ACTS_ON[stimulus]:
            return True
        if not isinstance(record, RepoRecord) or not record.listed:
            return False
        sums = self._scheduler.index.sums[record.id]
        return (stimulus is Stimulus.RESUME and record.held and sums.by_status[P] > 0) or (
            stimulus is Stimulus.RETRY and bool(sums.failed)
        )

    def _refuse(self, stimulus: Stimulus, matched: list[Record]) -> None:
        already = _ALREADY_SO[stimulus]
        if not any(record.state in already for record in matched):
            raise NotAllowedNow(f"cannot {stimulus}: {_standing(matched)}")

    async def _files_of(self, fitting: list[Record], stimulus: Stimulus) -> list[FileRecord]:
        """The files that the action is for: those matched, and those of the matched repos that are theirs alone.

        A file that another request which is not paused wants stays as it is, when it is paused or cancelled only by
        way of a repo download (docs/api.md, section 2).
        """
        scheduler = self._scheduler
        files = {record.id: record for record in fitting if isinstance(record, FileRecord)}
        acting = {record.id for record in fitting if isinstance(record, RepoRecord)}
        for repo_id in acting:
            async for child in yielding(scheduler.index.children(scheduler.index.repos[repo_id])):
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
            repo_id not in acting and repo_id in repos and repos[repo_id].unbegun is Q for repo_id in child.repo_ids
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
        for repo in repos:
            repo.cancelled = True  # it wants nothing any more, not even what goes on for another request
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
            async for record in yielding(files):
                if discard and record.source is not None and record.state is not OK and scheduler.is_tracked(record):
                    await scheduler.storage_batches.discard(record.spec, record.source)
                    record.synced = []
                    record.downloaded_bytes = 0
                each_file(record)
            for repo in repos:
                each_repo(repo)
        finally:
            await self._freed(records)

    async def _freed(self, records: list[Record]) -> None:
        async for record in yielding(records):
            self._scheduler.admission.freed([record])

    def _apply(self, record: FileRecord, stimulus: Stimulus, *, reason: Reason | None = None) -> None:
        """Change it, unless it came to its end, or was let go, while it was being stopped."""
        known = self._scheduler.index.files.get(record.id) is record
        if known and lifecycle.allows(record.state, stimulus):
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
        async for record in yielding(files):
            self._apply(record, Stimulus.RESUME)
        for repo in repos:
            if repo.listed:
                scheduler.store.put(repo)
                scheduler.refresh(repo)
            else:
                scheduler.derive(repo, Q)

    async def _retry(self, files: list[FileRecord], repos: list[RepoRecord]) -> None:
        scheduler = self._scheduler
        cancelled = {repo.id for repo in repos if repo.state is C}
        async for record in yielding(files):
            if record.state is not Q or record.retry_at is not None:
                self._apply(record, Stimulus.RETRY)
        for repo in repos:
            anew = repo.id in cancelled
            if anew:
                repo.held = repo.cancelled = False
            if not repo.listed and (repo.state is not Q or repo.retry_at is not None):
                repo.revive |= anew
                scheduler.derive(repo, Q)
            if anew:
                async for child in yielding(scheduler.index.children(repo)):
                    if child.state is C:
                        scheduler.change(child, Stimulus.RETRY)
                scheduler.store.put(repo)

    async def _remove(self, files: list[FileRecord], *, delete_file: bool) -> None:
        """Delete part files; with `delete_file` also what hfdmd wrote, unless it has changed or is needed."""
        scheduler = self._scheduler
        needed = await self._needed_beside(files) if delete_file else set()
        placed: list[tuple[FileSpec, Source, Placed]] = []
        for record in files:
            if record.source is None:
                continue
            if record.state is not OK and scheduler.is_tracked(record):
                await scheduler.storage_batches.discard(record.spec, record.source)
            there = scheduler.reports.previous(record)
            if delete_file and there is not None and not record.adopted and _place(record) not in needed:
                placed.append((record.spec, record.source, there))
        if placed:
            for outcome in await in_thread(scheduler.storage.delete_all, placed):
                if isinstance(outcome, Failure):
                    log.error("a file could not be deleted: %s", outcome.detail)

    async def _needed_beside(self, files: list[FileRecord]) -> set[_Place]:
        """Where other downloads have their files or bring them just now: revisions of one commit share a snapshot."""
        going = {record.id for record in files}
        needed: set[_Place] = set()
        for model_repo in {record.spec.model_repo for record in files}:
            async for other in yielding([*self._scheduler.index.of_repo(model_repo)]):
                if isinstance(other, FileRecord) and other.id not in going and other.state in (OK, D):
                    needed.add(_place(other))
        return needed

    async def _affected(self, matched: list[Record]) -> Affected:
        downloads: list[Download] = []
        repos: list[RepoDownload] = []
        async for record in yielding(matched):
            if isinstance(record, RepoRecord):
                repos.append(self._scheduler.repo_view(record))
            else:
                downloads.append(self._scheduler.file_view(record))
        return Affected(downloads=downloads, repos=repos)


def _place(record: FileRecord) -> _Place:
    """What tells the places of files apart, in the cache and in folders."""
    spec = record.spec
    commit = None if record.source is None else record.source.commit
    return spec.repo_type, spec.model_repo, spec.local_dir, spec.file_path, commit


def _is_narrow(selector: Selector) -> bool:
    """Whether it names one download, so that an action which does not fit it is an error."""
    return isinstance(selector.id, str) or isinstance(selector.file_path, str)


def _standing(matched: list[Record]) -> str:
    return ", ".join(sorted({f"it is {record.state}" for record in matched}))
