"""The ledger: the only module that changes records. State, index, tracker, version, log and event change together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Container
from typing import Any

from msgspec.structs import replace

from hfdmd import lifecycle
from hfdmd.aio import Batcher
from hfdmd.events import Events, removed_event, state_event
from hfdmd.lifecycle import InvalidTransition, Stimulus
from hfdmd.record import FileRecord, Record, RepoRecord, Span, rfc3339
from hfdmd.scheduler import invariants, views
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.running import Running
from hfdmd.scheduler.tracked import synced_counters, tracked
from hfdmd.scheduler.views import Standing, Views
from hfdmd.statuslog import StatusLog
from hfdmd.store import Store
from hfdmd.transfer.job import is_small
from hfdmd.versions import Versions
from hfdmd.wire.types import Phase, Reason, Status

_HISTORY = 2000  # changes of status that are remembered, to explain one that is not legal


class Observer:
    """Called after the tracker was handed to the store and before listeners get the event. Override what is needed."""

    def changed(self, record: Record, before: Status) -> None:
        """The record changed; `before` equals its status when something else than the status changed."""

    def offered(self, record: Record) -> None:
        """Nothing changed, but the record may start now: its work has ended, or an action has released it."""

    def summed(self, repo: RepoRecord, standing: Standing) -> None:
        """What the files of a listed repo download add up to changed, but not the status that it shows.

        `standing` is the status that follows from the files: it differs from the shown one when that is yet to become
        `done`, which needs a look at the disk first.
        """

    def forgotten(self, record: Record) -> None:
        """The record was removed."""


class Ledger:
    """Four ways to change a record, by what has to follow:

    `change` and `derive` give it another status; `edit` changes other fields. All three write its tracker, raise its
    version and publish it. `save` writes the tracker alone. `note` changes memory alone: for counters, and for fields
    that the next change in the same step publishes. All keep the index up to date and take the fields to set by name.
    """

    def __init__(self, index: Index, queue: Queue, running: Running, store: Store, versions: Versions, events: Events):
        self.observers: tuple[Observer, ...] = ()
        """Set once, by the scheduler; called in this order."""
        self._index = index
        self._queue = queue
        self._running = running
        self._store = store
        self._versions = versions
        self._events = events
        self._views = Views(index, queue, running)
        self._status_log = StatusLog()
        self._untracked: set[str] = set()
        self._finishing: set[str] = set()
        self._durable = Batcher(store.flush_each)
        self._history: deque[tuple[str, str, str]] = deque(maxlen=_HISTORY)

    # Adding and removing

    def now(self) -> str:
        return rfc3339(time.time())

    def next_version(self) -> int:
        return self._versions.next()

    def enter(self, record: Record) -> None:
        """Add a new request; its tracker is on its way to disk (`flush`)."""
        self._index.add(record)
        self._write(record)
        self._published(record, record.state)

    def add_child(self, record: FileRecord) -> None:
        """Add a file that a listing named. It gets a tracker when it becomes more than that (`is_implied`).

        The caller publishes it by `announce` or `change`.
        """
        self._index.add(record)
        self._untracked.add(record.id)

    def restore(self, record: Record) -> None:
        """Add a record that was read from disk. One that was running is queued again."""
        self._versions.seen(record.version)
        version = record.version
        if record.state in (Status.QUEUED, Status.DOWNLOADING) or isinstance(record, RepoRecord):
            version = self.next_version()  # progress was published with versions that no tracker has
        record.version = max(version, self._versions.floor)
        self._index.add(record)
        if record.state is Status.DOWNLOADING:
            self.restarted(record)

    def restarted(self, record: Record) -> None:
        """Queue what was running, or waited to be listed, when the daemon ended."""
        detail = "the daemon was restarted"
        if isinstance(record, FileRecord):
            self.change(record, Stimulus.RESTART, reason=Reason.RESTARTED, detail=detail)
            return
        lifecycle.derive(
            record, Status.QUEUED, self.now(), version=self.next_version(), reason=Reason.RESTARTED, detail=detail
        )

    def forget(self, record: Record, *, gone: Container[str] = ()) -> None:
        """Remove a record whose work has stopped, and its tracker. A repo download must have no files any more.

        `gone`: repo downloads that are about to be removed too; they are not brought up to date any more.
        """
        parents = self._index.parents(record) if isinstance(record, FileRecord) else []
        self._untracked.discard(record.id)
        self._index.remove(record)
        self._status_log.forget(record.id)
        self._store.forget(record)
        for observer in self.observers:
            observer.forgotten(record)
        version = self.next_version()
        self._events.publish(lambda: removed_event(record.id, version), is_status=True)
        for repo in parents:
            if repo.id not in gone:
                self.refresh(repo)

    # Changing

    def change(
        self,
        record: FileRecord,
        stimulus: Stimulus,
        *,
        phase: Phase | None = None,
        reason: Reason | None = None,
        detail: str | None = None,
        retry_at: str | None = None,
        save: bool = True,
        **fields: Any,
    ) -> None:
        """Change the status of a download as `lifecycle.TRANSITIONS` says; its repo downloads follow.

        `save=False` leaves the tracker file to the next change, which is soon to come. Raises `InvalidTransition`.
        """
        self._set(record, fields)
        before = record.state
        self._advance(
            record, stimulus, self.now(), self.next_version(), phase=phase, reason=reason, detail=detail,
            retry_at=retry_at,
        )  # fmt: skip
        self._follow(record, before, save=save)

    def derive(
        self,
        repo: RepoRecord,
        status: Status,
        *,
        phase: Phase | None = None,
        reason: Reason | None = None,
        detail: str | None = None,
        retry_at: str | None = None,
        **fields: Any,
    ) -> None:
        """Give a repo download a status."""
        self._set(repo, fields)
        before = repo.state
        if status is Status.DONE:
            repo.held = False  # nothing is left to hold
            if repo.path is None:
                first = next(self._index.children(repo), None)
                repo.path = views.repo_path(first) if first is not None else None
        if status in (Status.DOWNLOADING, Status.DONE):
            detail = detail or repo.note
        lifecycle.derive(
            repo, status, self.now(), version=self.next_version(), phase=phase, reason=reason, detail=detail
        )
        repo.retry_at = retry_at
        self._history.append((repo.id, "derive", f"{before} -> {status}"))
        self._absorb(repo)
        self._write(repo)
        self._status_log.log_change(repo, before)
        self._published(repo, before)

    def edit(self, record: Record, *, save: bool | None = None, **fields: Any) -> None:
        """Set fields, with a new version, for the tracker and for listeners.

        `save`: whether the tracker is written; by default unless its repo downloads say all there is to say.
        """
        self._set(record, fields)
        self._stamp(record)
        if save if save is not None else not self.is_implied(record):
            self._write(record)
        self._published(record, record.state)

    def save(self, record: Record, **fields: Any) -> None:
        """Set fields and write the tracker; no new version, no event."""
        self._set(record, fields)
        self._write(record)

    def note(self, record: Record, **fields: Any) -> None:
        """Set fields in memory alone; a later change writes and publishes them."""
        self._set(record, fields)

    def announce(self, record: Record) -> None:
        """Let observers and listeners see a record that was added."""
        self._published(record, record.state)

    def offer(self, record: Record) -> None:
        """Let observers look at a record again, without an event."""
        for observer in self.observers:
            observer.offered(record)

    def progress(self, record: FileRecord, reason: Reason | None, detail: str | None, **fields: Any) -> None:
        """Byte progress of a running download, and why there is none: an event, no tracker."""
        self._set(record, {"reason": reason, "detail": detail, **fields})
        self._stamp(record)
        self._publish(record, is_status=False)

    def repo_progress(self, repo: RepoRecord, reason: Reason | None, detail: str | None, *, save: bool) -> None:
        """Byte progress of a repo download, and why there is none: an event, and its tracker when `save`."""
        self._absorb(repo)
        self._set(repo, {"reason": reason, "detail": detail})
        self._stamp(repo)
        self._publish(repo, is_status=False)
        if save:
            self._write(repo)

    def fall_back(self, record: FileRecord) -> None:
        """The work on a download was stopped: only synced bytes count as downloaded."""
        self._set(record, synced_counters(record))
        lifecycle.settle(record)

    async def checkpoint(self, record: FileRecord, spans: list[Span]) -> None:
        """`spans` are synced; returns when the tracker on disk says so. Raises OSError."""
        self.save(record, synced=spans)
        await self._store.flush(record.id)

    async def finish(
        self,
        record: FileRecord,
        *,
        path: str,
        size_bytes: int,
        mtime_ns: int,
        adopted: bool,
        detail: str | None,
        **fields: Any,
    ) -> None:
        """The file is in its place, verified and synced: first the tracker on disk says `done`, then the API.

        `fields` are set with the status. Raises OSError when the tracker cannot be written.
        """
        fields["downloaded_bytes"] = size_bytes
        placed = {"path": path, "placed_bytes": size_bytes, "placed_mtime_ns": mtime_ns, "adopted": adopted}
        self._set(record, {**placed, "synced": [], "mismatches": 0})
        done = replace(record, **fields)
        self._advance(done, Stimulus.FINISH, self.now(), self.next_version(), detail=detail)
        self._untracked.discard(record.id)
        self._store.put(done)
        self._finishing.add(record.id)
        try:
            await self._durable(record.id)
            # An edit meanwhile has written the record as still downloading, or published a newer version.
            is_overtaken = record.id not in self._finishing or record.version >= done.version
        finally:
            self._finishing.discard(record.id)
        before = record.state
        self._set(record, fields)
        now, version = (self.now(), self.next_version()) if is_overtaken else (done.updated_at, done.version)
        self._advance(record, Stimulus.FINISH, now, version, detail=detail)
        self._follow(record, before, save=is_overtaken)

    def detach(self, child: FileRecord, repo: RepoRecord) -> None:
        """The repo download does not want the file any more."""
        self.edit(child, repo_ids=[repo_id for repo_id in child.repo_ids if repo_id != repo.id])

    def refresh(self, repo: RepoRecord) -> None:
        """Bring the status of a repo download up to what its files add up to."""
        if not self._index.is_complete:
            return
        changed = self._absorb(repo)
        if not repo.listed:
            if repo.state is not Status.DOWNLOADING:
                self._notify_sums(repo, Standing(repo.state, repo.phase, repo.reason, repo.detail))
            return
        standing = views.standing(self._index, repo)
        is_same = standing.status is repo.state and standing.reason is repo.reason
        if is_same and standing.status is Status.FAILED:
            is_same = standing.detail == repo.detail
        if is_same:
            if changed or (standing.status is Status.QUEUED and standing.detail != repo.detail):
                self._notify_sums(repo, standing)
        elif standing.status is Status.DONE:
            self._notify_sums(repo, standing)
        else:
            self.derive(repo, standing.status, phase=standing.phase, reason=standing.reason, detail=standing.detail)

    async def flush(self, *records: Record) -> None:
        """Return when the trackers of the `records` are on disk. Raises OSError when one could not be written."""
        await self._store.flush(*(record.id for record in records))

    # Trackers

    def is_tracked(self, record: FileRecord) -> bool:
        """Whether the download has a tracker file."""
        return record.id not in self._untracked

    def is_implied(self, record: Record) -> bool:
        """Whether the trackers of its repo downloads say all there is to remember of a file: it needs none itself."""
        if isinstance(record, RepoRecord) or self.is_tracked(record):
            return False
        if record.asked_singly or record.retry_at is not None:
            return False
        return record.state is views.implied_status(self._index.parents(record))

    def validate(self) -> list[str]:
        """What contradicts itself; empty when all is well. For tests (docs/how-it-works.md, invariants)."""
        return invariants.violations(self._index, self._queue, self._running, self._versions.bound)

    # Steps

    def _set(self, record: Record, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            setattr(record, name, value)
        if fields and isinstance(record, FileRecord) and self._index.holds(record):
            self._index.update(record)

    def _advance(self, record: FileRecord, stimulus: Stimulus, now: str, version: int, **why: Any) -> None:
        before = record.state
        try:
            lifecycle.advance(record, stimulus, now, version=version, **why)
        except InvalidTransition as error:
            history = [f"{stimulus}: {change}" for key, stimulus, change in self._history if key == record.id]
            raise InvalidTransition(f"{error}; before that: {'; '.join(history) or 'nothing'}") from None
        self._history.append((record.id, stimulus, f"{before} -> {record.state}"))

    def _follow(self, record: FileRecord, before: Status, *, save: bool) -> None:
        """Everything that follows from a new status of a download."""
        self._index.update(record)
        is_implied = self.is_implied(record)
        if save and not is_implied:
            self._write(record)
        is_brief = is_implied or (not save and not record.asked_singly and is_small(record.size_bytes))
        self._status_log.log_change(record, before, is_brief=is_brief)
        self._published(record, before)
        for repo in self._index.parents(record):
            self.refresh(repo)

    def _stamp(self, record: Record) -> None:
        record.updated_at = self.now()
        record.version = self.next_version()
        lifecycle.settle(record)

    def _absorb(self, repo: RepoRecord) -> bool:
        """Take what the files add up to into the record; whether that changed it."""
        totals = views.live_totals(self._index, repo)
        if totals is None or totals == views.stored_totals(repo):
            return False
        self._set(repo, totals._asdict())
        lifecycle.settle(repo)
        return True

    def _write(self, record: Record) -> None:
        """Hand the record to the store. A tracker never counts more than what is synced."""
        if isinstance(record, FileRecord):
            self._untracked.discard(record.id)
            self._finishing.discard(record.id)
        running = () if isinstance(record, FileRecord) else self._running.of_repo(record.id)
        self._store.put(tracked(record, (active.record for active in running)))

    def _published(self, record: Record, before: Status) -> None:
        for observer in self.observers:
            observer.changed(record, before)
        self._publish(record)

    def _notify_sums(self, repo: RepoRecord, standing: Standing) -> None:
        for observer in self.observers:
            observer.summed(repo, standing)

    def _publish(self, record: Record, *, is_status: bool = True) -> None:
        self._events.publish(lambda: state_event(self._views.of(record)), is_status=is_status)
