"""Pause, resume, cancel, retry, reorder, delete. Each call returns after the change has taken effect."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hfdmd import lifecycle
from hfdmd.aio import in_thread, yielding
from hfdmd.cache.storage import Placed, Storage
from hfdmd.failure import Failure
from hfdmd.lifecycle import Stimulus
from hfdmd.net.retry_after import Exemption
from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord, Source
from hfdmd.scheduler import selection
from hfdmd.scheduler.completion import Completion
from hfdmd.scheduler.index import Index, in_order, matches
from hfdmd.scheduler.ledger import Ledger
from hfdmd.scheduler.ordering import Ordering
from hfdmd.scheduler.running import Running
from hfdmd.scheduler.selection import FilePlace
from hfdmd.scheduler.stopping import Stopper
from hfdmd.scheduler.storage_batches import StorageBatches, previous
from hfdmd.scheduler.supervisor import Supervisor
from hfdmd.scheduler.views import Views
from hfdmd.scheduler.written_files import WrittenFiles
from hfdmd.wire.errors import NotAllowedNow, UnknownDownload
from hfdmd.wire.types import Affected, Download, Reason, RepoDownload, Selector, Status

log = logging.getLogger("hfdmd.actions")

Check = Callable[[list[Record]], None]


@dataclass(slots=True, eq=False)
class Actions:
    """One action at a time, so that none sees the half-done work of another."""

    _index: Index
    _ledger: Ledger
    _running: Running
    _views: Views
    _ordering: Ordering
    _stopper: Stopper
    _storage: Storage
    _batches: StorageBatches
    _supervisor: Supervisor
    _completion: Completion
    _written_files: WrittenFiles

    async def act(self, stimulus: Stimulus, selector: Selector, check: Check | None = None) -> Affected:
        """Apply the action to everything that matches and that it fits; return that as it is afterwards.

        A selector that names one download is answered with every match.
        `check` gets all matches before anything is done, and raises what forbids the action.
        Raises `UnknownDownload` when nothing matches, `NotAllowedNow` when one was named that it does not fit.
        """
        return await self._supervisor.exclusive(self._act(stimulus, selector, check))

    async def reorder(self, selector: Selector, *, priority: int | None, position: int | None) -> Affected:
        """Give what is queued another priority, or a position: 1 is next, with that neighbour's priority."""
        return await self._supervisor.exclusive(self._reorder(selector, priority, position))

    async def delete(self, selector: Selector, check: Check | None = None, *, delete_file: bool) -> Affected:
        """Forget everything that matches, cancelled first; with `delete_file` its files too. Returns it as it was.

        `check` as in `act`.
        """
        return await self._supervisor.exclusive(self._delete(selector, check, delete_file=delete_file))

    async def _act(self, stimulus: Stimulus, selector: Selector, check: Check | None) -> Affected:
        matched = await self._matched(selector)
        if check is not None:
            check(matched)
        sums = self._index.sums
        fitting = [one async for one in yielding(matched) if selection.fits(one, stimulus, sums.get(one.id))]
        if not fitting and selection.is_narrow(selector):
            selection.check_already(stimulus, matched)
        repos = [record for record in fitting if isinstance(record, RepoRecord)]
        single = [record for record in fitting if isinstance(record, FileRecord)]
        if stimulus is Stimulus.PAUSE:
            await self._pause(single, repos)
        elif stimulus is Stimulus.CANCEL:
            await self._cancel(single, repos)
        elif stimulus is Stimulus.RESUME:
            await self._resume(await self._with_children(single, repos, stimulus), repos)
        else:
            await self._retry(await self._with_children(single, repos, stimulus), repos)
        await self._ledger.flush(*fitting)
        return await self._affected(selector, matched, fitting)

    async def _reorder(self, selector: Selector, priority: int | None, position: int | None) -> Affected:
        matched = await self._matched(selector)
        queued = [record for record in matched if record.state is Status.QUEUED]
        if not queued:
            raise NotAllowedNow(f"only what is queued can be reordered; {selection.shown_statuses(matched)}")
        if priority is not None:
            await self._ordering.prioritise(queued, priority)
        elif position is not None:
            await self._ordering.move([one for one in queued if isinstance(one, FileRecord)], position)
            await self._ordering.move([one for one in queued if isinstance(one, RepoRecord)], position)
        await self._ledger.flush(*queued)
        return await self._affected(selector, matched, queued)

    async def _delete(self, selector: Selector, check: Check | None, *, delete_file: bool) -> Affected:
        matched = await self._matched(selector)
        if check is not None:
            check(matched)
        answer = await self._affected(selector, matched, matched)
        repos = [record for record in matched if isinstance(record, RepoRecord)]
        files = {record.id: record for record in matched if isinstance(record, FileRecord)}
        gone = {repo.id for repo in repos}
        shared: list[FileRecord] = []
        async with self._stopper.stopped(repos):  # a listing that goes on would add files meanwhile
            for repo in repos:
                async for child in yielding(self._index.children(repo)):
                    if not child.asked_singly and gone.issuperset(child.repo_ids):
                        files[child.id] = child
            also = [repo for repo in selection.emptied(files, self._index) if repo.id not in gone]
            gone |= {repo.id for repo in also}
            async with self._stopper.stopped([*files.values(), *also]):
                await self._remove(list(files.values()), delete_file=delete_file)
                remembering = self._remember_dropped(files.values(), gone)
                async for record in yielding(list(files.values())):
                    if self._index.holds(record):
                        self._ledger.forget(record, gone=gone)
                for repo in remembering:
                    self._ledger.save(repo)  # with its new totals, which a restart compares with its files
                for repo in [*repos, *also]:
                    async for child in yielding(self._index.children(repo)):
                        self._ledger.detach(child, repo)
                        shared.append(child)
                    if self._index.holds(repo):
                        self._ledger.forget(repo, gone=gone)
        await self._hold_back(shared)
        await self._ledger.flush(*repos, *files.values())
        return answer

    def _remember_dropped(self, files: Iterable[FileRecord], gone: set[str]) -> list[RepoRecord]:
        """The repo downloads that stay remember which files were deleted: a listing would name them again."""
        paths: dict[str, set[str]] = {}
        for record in files:
            for repo in self._index.parents(record):
                if repo.id not in gone:
                    paths.setdefault(repo.id, set()).add(record.spec.file_path)
        remembering = [self._index.repos[repo_id] for repo_id in paths]
        for repo in remembering:
            self._ledger.save(repo, dropped=repo.dropped | paths[repo.id])
        return remembering

    async def _hold_back(self, files: list[FileRecord]) -> None:
        """Files that only a deleted request kept going: the others that want them may have paused or cancelled."""
        held: dict[Stimulus, list[FileRecord]] = {Stimulus.PAUSE: [], Stimulus.CANCEL: []}
        async for record in yielding(files):
            stimulus = selection.held_by_others(record, self._index.parents(record))
            if stimulus is not None:
                held[stimulus].append(record)
        await self._pause(held[Stimulus.PAUSE], [])
        await self._cancel(held[Stimulus.CANCEL], [])

    async def _matched(self, selector: Selector) -> list[Record]:
        found = self._index.found(selector)
        matched = in_order([record async for record in yielding(found) if matches(record, selector)])
        if not matched:
            raise UnknownDownload("no download matches; `GET /api/progress` lists what there is")
        return matched

    async def _with_children(
        self, files: list[FileRecord], repos: list[RepoRecord], stimulus: Stimulus
    ) -> list[FileRecord]:
        """`files`, and those of `repos` that the action is for."""
        found = {record.id: record for record in files}
        acting = {repo.id for repo in repos}
        for repo in repos:
            async for child in yielding(self._index.children(repo)):
                if selection.covers(child, stimulus, acting, self._index.repos):
                    found[child.id] = child
        return list(found.values())

    async def _pause(self, single: list[FileRecord], repos: list[RepoRecord]) -> None:
        async with self._stopper.stopped(repos):  # a listing that goes on would add files meanwhile
            files = await self._with_children(single, repos, Stimulus.PAUSE)
            for repo in repos:
                self._ledger.note(repo, held=True)
            async with self._stopper.stopped(files):
                async for record in yielding(files):
                    self._apply(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
            await self._restate(repos, Status.PAUSED, Reason.REQUESTED)

    async def _cancel(self, single: list[FileRecord], repos: list[RepoRecord]) -> None:
        async with self._stopper.stopped(repos):
            files = await self._with_children(single, repos, Stimulus.CANCEL)
            for repo in repos:
                self._ledger.note(repo, cancelled=True)  # it wants nothing any more, even what another request fetches
            async with self._stopper.stopped(files):
                async for record in yielding(files):
                    await self._discard(record)
                    self._apply(record, Stimulus.CANCEL)
            await self._restate(repos, Status.CANCELLED, None)

    async def _discard(self, record: FileRecord) -> None:
        """Delete the part file of a download that is not done."""
        is_begun = record.source is not None and self._ledger.is_tracked(record)
        if record.source is not None and is_begun and record.state is not Status.DONE:
            await self._batches.discard(record.spec, record.source)
            self._ledger.note(record, synced=[], downloaded_bytes=0)

    def _apply(self, record: FileRecord, stimulus: Stimulus, *, reason: Reason | None = None) -> None:
        """Change a download, unless it ended or was deleted while it was being stopped."""
        if self._index.holds(record) and lifecycle.allows(record.state, stimulus):
            self._ledger.change(record, stimulus, reason=reason)

    async def _restate(self, repos: Sequence[RepoRecord], status: Status, reason: Reason | None) -> None:
        """The part of repo downloads themselves: what is not listed yet is held too."""
        for repo in repos:
            if repo.listed:
                self._ledger.save(repo)
                await self._completion.settle(repo)
            else:
                self._ledger.derive(repo, status, reason=reason)

    async def _resume(self, files: list[FileRecord], repos: list[RepoRecord]) -> None:
        for repo in repos:
            self._ledger.note(repo, held=False)
        async for record in yielding(files):
            self._apply(record, Stimulus.RESUME)
        await self._restate(repos, Status.QUEUED, None)

    async def _retry(self, files: list[FileRecord], repos: list[RepoRecord]) -> None:
        self._running.at_once |= dict.fromkeys((record.id for record in (*files, *repos)), Exemption())
        cancelled = {repo.id for repo in repos if repo.state is Status.CANCELLED}
        async for record in yielding(files):
            self._apply(record, Stimulus.RETRY)
        for repo in repos:
            anew = repo.id in cancelled
            if anew:
                self._ledger.note(repo, held=False, cancelled=False)
            if not repo.listed and (repo.state is not Status.QUEUED or repo.retry_at is not None):
                self._ledger.derive(repo, Status.QUEUED, revive=repo.revive or anew)
            if anew:
                async for child in yielding(self._index.children(repo)):
                    if child.state is Status.CANCELLED:
                        self._ledger.change(child, Stimulus.RETRY)
                self._ledger.save(repo)

    async def _remove(self, files: list[FileRecord], *, delete_file: bool) -> None:
        """Delete part files; with `delete_file` also what hfdmd wrote, unless it has changed or is needed."""
        needed = await self._needed_elsewhere(files) if delete_file else set()
        placed: list[tuple[FileSpec, Source, Placed]] = []
        async for record in yielding(files):
            if record.source is None:
                continue
            if record.state is not Status.DONE and self._ledger.is_tracked(record):
                await self._batches.discard(record.spec, record.source)
            there = previous(record)
            if delete_file and there is not None and not record.adopted and selection.place_of(record) not in needed:
                placed.append((record.spec, record.source, there))
        if placed:
            for outcome in await in_thread(self._storage.delete_all, placed):
                if isinstance(outcome, Failure):
                    log.error("a file could not be deleted: %s", outcome.detail)
        await self._written_files.keep(files)

    async def _needed_elsewhere(self, files: list[FileRecord]) -> set[FilePlace]:
        """Places that other downloads have filled or fill just now: revisions of one commit share a snapshot."""
        going = {record.id for record in files}
        needed: set[FilePlace] = set()
        for model_repo in {record.spec.model_repo for record in files}:
            async for other in yielding([*self._index.of_repo(model_repo)]):
                is_file = isinstance(other, FileRecord) and other.id not in going
                if is_file and isinstance(other, FileRecord) and other.state in (Status.DONE, Status.DOWNLOADING):
                    needed.add(selection.place_of(other))
        return needed

    async def _affected(self, selector: Selector, matched: list[Record], changed: list[Record]) -> Affected:
        downloads: list[Download] = []
        repos: list[RepoDownload] = []
        async for record in yielding(matched if selection.is_narrow(selector) else changed):
            if isinstance(record, RepoRecord):
                repos.append(self._views.repo(record))
            else:
                downloads.append(self._views.file(record))
        return Affected(downloads=downloads, repos=repos, unchanged=len(matched) - len(changed))
