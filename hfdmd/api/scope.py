"""What one stream is about: which downloads it tells of, what it begins with, when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from hfdmd.events import Event
from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.core import Scheduler
from hfdmd.scheduler.index import matches
from hfdmd.wire.types import RepoDownload, Selector, Status

_HISTORY = timedelta(hours=24)
_LIVE = (Status.QUEUED, Status.DOWNLOADING, Status.PAUSED, Status.FAILED)
_MOVES_BY_ITSELF = (Status.QUEUED, Status.DOWNLOADING)

EndReason = Literal["done", "failed", "cancelled", "idle", "lagging", "shutdown"]


class Scope:
    """Base: everything, newest history only."""

    def __init__(self, scheduler: Scheduler, selector: Selector, *, history: bool = False) -> None:
        self.scheduler = scheduler
        self.selector = selector
        self.history = history

    def wants(self, event: Event) -> bool:
        if event.state is None:
            return True  # `removed`: a client that never knew the id does nothing
        if not isinstance(self.selector.status, str):
            return True
        return event.state.status == self.selector.status

    def present(self) -> list[Record]:
        """The records that the stream begins with."""
        since = (datetime.now(UTC) - _HISTORY).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return [
            record
            for record in self.scheduler.index.match(self.selector)
            if self.history or record.state in _LIVE or record.updated_at >= since
        ]

    def over(self) -> EndReason | None:
        """Why the stream ends now; None while it goes on."""
        return None


class OneFile(Scope):
    """One download: until it is done, failed or cancelled."""

    def __init__(self, scheduler: Scheduler, record: FileRecord) -> None:
        super().__init__(scheduler, Selector(id=record.id))
        self._id = record.id

    def wants(self, event: Event) -> bool:
        return event.key == self._id

    def present(self) -> list[Record]:
        record = self.scheduler.index.get(self._id)
        return [] if record is None else [record]

    def over(self) -> EndReason | None:
        record = self.scheduler.index.get(self._id)
        if record is None:
            return "cancelled"
        ends: dict[Status, EndReason] = {
            Status.DONE: "done",
            Status.FAILED: "failed",
            Status.CANCELLED: "cancelled",
        }
        return ends.get(record.state)


class OneRepoDownload(Scope):
    """One repo download and its files: until nothing in it can move by itself."""

    def __init__(self, scheduler: Scheduler, record: RepoRecord) -> None:
        super().__init__(scheduler, Selector(id=record.id))
        self._id = record.id

    def wants(self, event: Event) -> bool:
        if event.state is None or event.key == self._id:
            return True
        return not isinstance(event.state, RepoDownload) and self._id in event.state.repo_ids

    def present(self) -> list[Record]:
        repo = self.scheduler.index.repos.get(self._id)
        return [] if repo is None else [*self.scheduler.index.children(repo), repo]

    def over(self) -> EndReason | None:
        repo = self.scheduler.index.repos.get(self._id)
        return "idle" if repo is None or repo.state not in _MOVES_BY_ITSELF else None


class RepoScope(Scope):
    """All that concerns one repo: until nothing in it can move by itself."""

    def wants(self, event: Event) -> bool:
        if event.state is None:
            return True
        record = self.scheduler.index.get(event.state.id)
        return record is not None and matches(record, self.selector)

    def present(self) -> list[Record]:
        return self.scheduler.index.match(self.selector)

    def over(self) -> EndReason | None:
        moving = any(record.state in _MOVES_BY_ITSELF for record in self.present())
        return None if moving else "idle"
