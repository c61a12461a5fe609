"""Merges the events of successive connections: the newest version wins, no event is repeated. Pure.

Source of the rules: docs/api.md, section 5. A stream begins with the present state, so a reconnect needs no history: a
live download that is not reported before `ready` no longer exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from hfdmd.wire.types import (
    MALFORMED,
    RECONNECT_REASONS,
    Affected,
    Download,
    Downloads,
    End,
    EndReason,
    EventName,
    Removed,
    RepoDownload,
    Status,
)
from hfdmd_client.errors import ProtocolError
from hfdmd_client.sse import SseEvent

FINAL = frozenset({Status.DONE, Status.FAILED, Status.CANCELLED})
_ALWAYS_REPORTED = frozenset({Status.QUEUED, Status.DOWNLOADING, Status.PAUSED, Status.FAILED})


class Ready(msgspec.Struct, frozen=True):
    """The present state is complete; changes follow. Repeated after each reconnect."""


Item: TypeAlias = Download | RepoDownload
Event: TypeAlias = Download | RepoDownload | Removed | Ready | End
"""What a watch yields. `End` is always the last event."""


def items_of(found: Affected | Downloads) -> list[Item]:
    """Repo downloads and downloads in one list, in this order."""
    items: list[Item] = []
    items += found.repos
    items += found.downloads
    return items


@dataclass(slots=True)
class _Known:
    version: int
    live: bool


class EventState:
    """The known downloads of a watch. Filters the events of its streams down to changes."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._reported: set[str] = set()
        self.last_event_id = ""
        self.end: End | None = None
        self.stopping = False

    def seed(self, item: Download | RepoDownload) -> None:
        """Adds an `item` that the caller has already; only newer versions are reported."""
        self._upsert(item)

    def connected(self) -> None:
        """To be called when a new stream has been opened."""
        self._reported.clear()
        self.stopping = False

    def feed(self, sse: SseEvent) -> list[Event]:
        """The changes in `sse`, in order. Sets `end` at the last event, and `stopping` when the daemon stops."""
        self.last_event_id = sse.id
        try:
            match sse.event:
                case EventName.PROGRESS:
                    return self._upsert(msgspec.json.decode(sse.data, type=Download))
                case EventName.REPO:
                    return self._upsert(msgspec.json.decode(sse.data, type=RepoDownload))
                case EventName.REMOVED:
                    removed = msgspec.json.decode(sse.data, type=Removed)
                    return [removed] if self._known.pop(removed.id, None) else []
                case EventName.READY:
                    return [*self._missing(), Ready()]
                case EventName.END:
                    return self._end(msgspec.json.decode(sse.data, type=End))
        except MALFORMED as error:
            raise ProtocolError(f"the stream has an unreadable {sse.event!r} event: {error}") from error
        return []  # an event of a newer API version

    def all_removed(self) -> list[Event]:
        """Removes everything: the daemon no longer has what is watched."""
        removed: list[Event] = [Removed(id=id) for id in self._known]
        self._known.clear()
        return removed

    def _upsert(self, item: Download | RepoDownload) -> list[Event]:
        self._reported.add(item.id)
        known = self._known.get(item.id)
        if known is not None and item.version <= known.version:
            return []
        self._known[item.id] = _Known(item.version, item.status in _ALWAYS_REPORTED)
        return [item]

    def _missing(self) -> list[Event]:
        missing = [id for id, known in self._known.items() if known.live and id not in self._reported]
        for id in missing:
            del self._known[id]
        return [Removed(id=id) for id in missing]

    def _end(self, end: End) -> list[Event]:
        if end.reason in RECONNECT_REASONS:
            self.stopping = end.reason is EndReason.SHUTDOWN
            return []
        self.end = end
        return [end]
