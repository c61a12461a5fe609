"""Brings the downloads of a repo download in line with a listing: adds, joins, moves, wakes and drops files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hfdmd.aio import yielding
from hfdmd.lifecycle import Stimulus
from hfdmd.record import Entry, FileRecord, RepoRecord, new_file
from hfdmd.scheduler import reconcile, selection, views
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger
from hfdmd.scheduler.ordering import CHILD_STEP
from hfdmd.scheduler.reconcile import Join, New
from hfdmd.scheduler.stopping import Stopper
from hfdmd.scheduler.storage_batches import StorageBatches
from hfdmd.scheduler.supervisor import Supervisor
from hfdmd.scheduler.updates import Updates
from hfdmd.wire.types import Reason, Status


@dataclass(slots=True, eq=False)
class Merger:
    _index: Index
    _ledger: Ledger
    _stopper: Stopper
    _storage: StorageBatches
    _supervisor: Supervisor
    _updates: Updates

    async def take_in(
        self, repo: RepoRecord, numbered: Iterable[tuple[int, Entry]], listed_at: float, before: Iterable[str] = ()
    ) -> list[FileRecord]:
        """Add and join what was listed; the files among `before` (ids) that were not, for `drop`.

        `listed_at` is in seconds since the epoch.
        """
        unlisted: list[FileRecord] = []
        async for step in yielding(reconcile.reconcile(repo, self._index.files, before, numbered)):
            if isinstance(step, New):
                self._add(repo, step, listed_at)
            elif isinstance(step, Join):
                await self._join(repo, step)
            else:
                unlisted.append(step.record)
        return unlisted

    def _add(self, repo: RepoRecord, step: New, listed_at: float) -> None:
        spec = repo.spec.file(step.entry.path)
        record = new_file(
            spec,
            self._ledger.next_version(),
            listed_at + step.number * 2e-6,  # 1e-6 is sometimes rounded to the same time
            order=repo.order + step.number * CHILD_STEP,
            source=step.entry.source,
            repo_ids=[repo.id],
            priority=repo.priority,
        )
        self._ledger.add_child(record)
        if repo.implied_status is Status.QUEUED:
            self._ledger.announce(record)
        else:
            self._apply(record, reconcile.held(repo.implied_status))

    async def _join(self, repo: RepoRecord, step: Join) -> None:
        record, entry, ledger = step.record, step.entry, self._ledger
        if step.is_new_here:
            ledger.note(record, repo_ids=[*record.repo_ids, repo.id])
        if record.source is None:  # a drive that is asking the Hub finds the answer here (`Drive._resolve`)
            ledger.note(record, source=entry.source)
        implied = views.implied_status(self._index.parents(record))
        self._apply(record, reconcile.released(record, is_tracked=ledger.is_tracked(record), implied=implied))
        ledger.edit(record)
        moved = reconcile.moves(repo, step)
        is_other = record.source is not None and not record.source.same_content(entry.source)
        if moved and reconcile.needs_stop(record):
            await self._updates.move_file(record, entry.source)
            if not self._index.holds(record):
                return
        elif moved:
            ledger.edit(record, source=entry.source)
        is_missing = repo.revive and record.state is Status.DONE and not self._storage.is_in_place(record)
        stimulus = reconcile.wake(repo, step, moved=moved, is_other=is_other, is_missing=is_missing)
        if stimulus is None:
            return
        if stimulus is Stimulus.ASK:
            ledger.note(record, downloaded_bytes=0)
        ledger.change(record, stimulus)
        if selection.held_by_others(record, self._index.parents(record)) is Stimulus.PAUSE:
            ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)

    def _apply(self, record: FileRecord, steps: list[Stimulus]) -> None:
        for stimulus in steps:
            reason = Reason.REQUESTED if stimulus is Stimulus.PAUSE else None
            self._ledger.change(record, stimulus, reason=reason)

    async def drop(self, repo: RepoRecord, records: Iterable[FileRecord]) -> None:
        """The repo has these files no more: what no request wants and is not done is forgotten."""
        unwanted: list[FileRecord] = []
        for record in records:
            if not self._index.holds(record):  # deleted while the list was read
                continue
            self._ledger.note(record, repo_ids=[repo_id for repo_id in record.repo_ids if repo_id != repo.id])
            if reconcile.is_unwanted(record):
                unwanted.append(record)
            else:
                self._ledger.edit(record)
        if unwanted:
            await self._supervisor.exclusive(self._forget(unwanted))

    async def _forget(self, records: list[FileRecord]) -> None:
        """Remove trackers and part files. Some may have been asked for again while others were being listed."""
        async with self._stopper.stopped(records):
            for record in records:
                if not self._index.holds(record):
                    continue
                if not reconcile.is_unwanted(record):
                    self._ledger.save(record)
                    continue
                if record.source is not None and record.synced:
                    await self._storage.discard(record.spec, record.source)
                self._ledger.forget(record)
