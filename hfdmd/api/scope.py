"""The scope of an event stream: which downloads it covers, its first events, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec import UNSET
from msgspec.structs import replace

from hfdmd.events import Event
from hfdmd.record import Record
from hfdmd.scheduler.core import Scheduler
from hfdmd.scheduler.views import shown
from hfdmd.wire.types import Download, EndReason, RepoDownload, Selector, Status

_HISTORY = timedelta(hours=24)
_LIVE = (Status.QUEUED, Status.DOWNLOADING, Status.PAUSED, Status.FAILED)
_MOVING = (Status.QUEUED, Status.DOWNLOADING)

_ENDED = {status: EndReason(status) for status in (Status.DONE, Status.FAILED, Status.CANCELLED)}


class Scope:
    """Base: everything, but of ended downloads only the last 24 hours unless `history`. It never ends.

    With a status in the selector: downloads with that status, and one last event when they leave it.
    """

    def __init__(self, scheduler: Scheduler, selector: Selector, *, history: bool = False) -> None:
        self.scheduler = scheduler
        self._selector = selector
        self._history = history
        self._id = selector.id if isinstance(selector.id, str) else ""
        self._status = selector.status if isinstance(selector.status, Status) else None
        self._sent_ids: set[str] = set()
        self.wake: Callable[[], None] = lambda: None
        """Called for an event that is not sent, but after which the stream may end."""

    def begin(self) -> list[Record]:
        """The records for the first events. From now on `wants` must be called for every change."""
        records = self.present()
        if self._status is not None:
            self._sent_ids.update(record.id for record in records)
        return records

    def present(self) -> list[Record]:
        """The records of the scope now, ordered by `createdAt`, id."""
        since = (datetime.now(UTC) - _HISTORY).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        index = self.scheduler.index
        everything = (index.get(key) for _, key in index.ordered())
        return [
            record
            for record in everything
            if record is not None
            and (self._status is None or record.state is self._status)
            and (self._history or record.state in _LIVE or record.updated_at >= since)
        ]

    def wants(self, event: Event) -> bool:
        """Whether the listener gets this event. Called once for each event, in order."""
        if event.state is None:  # `removed`: a client ignores unknown ids
            return True
        return self._status is None or self._has_or_had_status(event.state)

    def end_reason(self) -> EndReason | None:
        """Why the stream ends now; None while it continues."""
        return None

    def _has_or_had_status(self, state: Download | RepoDownload) -> bool:
        if state.status is self._status:
            self._sent_ids.add(state.id)
            return True
        had = state.id in self._sent_ids
        self._sent_ids.discard(state.id)
        return had


class OneFile(Scope):
    """One download; ends when it is done, failed or cancelled."""

    def present(self) -> list[Record]:
        record = self.scheduler.index.get(self._id)
        return [] if record is None else [record]

    def wants(self, event: Event) -> bool:
        return event.key == self._id

    def end_reason(self) -> EndReason | None:
        record = self.scheduler.index.get(self._id)
        if record is None:
            return EndReason.CANCELLED
        return None if self.scheduler.updates.is_pending(self._id) else _ENDED.get(record.state)


class OneRepoDownload(Scope):
    """One repo download and its files; ends when no status among them can change by itself."""

    def present(self) -> list[Record]:
        repo = self.scheduler.index.repos.get(self._id)
        return [] if repo is None else [*self.scheduler.index.children(repo), repo]

    def wants(self, event: Event) -> bool:
        if event.state is None or event.key == self._id:
            return True
        return isinstance(event.state, Download) and self._id in event.state.repo_ids

    def end_reason(self) -> EndReason | None:
        repo = self.scheduler.index.repos.get(self._id)
        if repo is None:
            return EndReason.IDLE
        may_move = shown(self.scheduler.index, repo).status in _MOVING or self.scheduler.updates.is_pending(self._id)
        return None if may_move else EndReason.IDLE


class RepoScope(Scope):
    """All downloads of one repo; ends when no status among them can change by itself (counted event by event)."""

    def __init__(self, scheduler: Scheduler, selector: Selector) -> None:
        super().__init__(scheduler, selector)
        self._any_status = replace(selector, status=UNSET)
        self._moving: set[str] = set()

    def begin(self) -> list[Record]:
        for record in self.scheduler.index.match(self._any_status):
            if record.state in _MOVING:
                self._moving.add(record.id)
        return super().begin()

    def present(self) -> list[Record]:
        return self.scheduler.index.match(self._selector)

    def wants(self, event: Event) -> bool:
        state = event.state
        if state is None:
            self._moving.discard(event.key or "")
            return True
        if not self._matches(state):
            return False
        if state.status in _MOVING:
            self._moving.add(state.id)
        else:
            self._moving.discard(state.id)
        if self._status is None or self._has_or_had_status(state):
            return True
        if not self._moving:
            self.wake()
        return False

    def end_reason(self) -> EndReason | None:
        may_move = self._moving or self.scheduler.updates.any_pending(self._any_status)
        return None if may_move else EndReason.IDLE

    def _matches(self, state: Download | RepoDownload) -> bool:
        if self._selector.in_cache is True and state.local_dir is not None:
            return False
        wanted = (
            (self._selector.model_repo, state.model_repo),
            (self._selector.revision, state.revision),
            (self._selector.repo_type, state.repo_type),
            (self._selector.local_dir, state.local_dir),
        )
        return all(value == has for value, has in wanted if isinstance(value, str))
