"""Publishes events to the listeners of event streams: bounded mailboxes, coalescing, each event encoded once.

A listener that keeps up gets every change of status in order, and the newest byte progress. One that lags gets the
newest state of each download. Beyond `MAX_WAITING_BYTES` its stream ends with `lagging`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from hfdmd.wire.types import Download, EventName, Removed, RepoDownload

MAX_WAITING_BYTES = 512 * 1024
_COALESCE_BYTES = 128 * 1024  # above this only the newest state per id is kept

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, framed once. `key` is the id of the download; None for events of the stream itself."""

    name: EventName
    key: str | None
    frame: bytes
    state: Download | RepoDownload | None = None

    @property
    def chunk(self) -> bytes:
        """The frame as one chunk of a chunked body (RFC 9112, section 7.1)."""
        return b"%x\r\n%b\r\n" % (len(self.frame), self.frame)


def frame(name: EventName, data: Any, event_id: str) -> bytes:
    """An event in the format of WHATWG HTML, server-sent events."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), _encoder.encode(data))


def state_event(view: Download | RepoDownload) -> Event:
    """The event with the present state of one download or repo download."""
    name = EventName.PROGRESS if isinstance(view, Download) else EventName.REPO
    return Event(name, view.id, frame(name, view, f"{view.version}:{view.id}"), view)


def removed_event(key: str, version: int) -> Event:
    """The event for a deleted download or repo download."""
    return Event(EventName.REMOVED, key, frame(EventName.REMOVED, Removed(id=key), f"{version}:{key}"))


class Listener:
    """The mailbox of one stream. Filled by `Events.publish`, emptied by `take_all`.

    `direct`, set once the stream has sent its first state, writes the chunk of a byte progress straight to the peer,
    and returns False if data is still buffered there. This saves a task switch per listener.
    """

    __slots__ = ("_bytes", "_slots", "_waiting", "_wake", "direct", "lagging", "wants")

    def __init__(self, wants: Callable[[Event], bool]) -> None:
        self.wants = wants
        self.direct: Callable[[bytes], bool] | None = None
        self.lagging = False
        self._waiting: dict[object, Event] = {}
        self._slots: dict[str, dict[object, None]] = {}  # keys of `_waiting` by `Event.key`
        self._bytes = 0
        self._wake = asyncio.Event()

    def put(self, event: Event, *, is_status: bool) -> None:
        """Add an event. It replaces an older progress event of the same id."""
        if self.lagging:
            return
        if self._bytes > _COALESCE_BYTES:
            for old in self._slots.pop(event.key or "", ()):
                self._drop(old)
        else:
            self._drop(("progress", event.key))
        slot: object = object() if is_status or event.key is None else ("progress", event.key)
        self._waiting[slot] = event
        if event.key is not None:
            self._slots.setdefault(event.key, {})[slot] = None
        self._bytes += len(event.frame)
        if self._bytes > MAX_WAITING_BYTES:
            self.lagging = True
            self._forget()
        self._wake.set()

    def _drop(self, slot: object) -> None:
        old = self._waiting.pop(slot, None)
        if old is not None:
            self._bytes -= len(old.frame)

    def _forget(self) -> None:
        self._waiting.clear()
        self._slots.clear()
        self._bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether no event is pending. A lagging listener is not empty: it gets no more events."""
        return not self._waiting and not self.lagging

    async def wait(self) -> None:
        """Return when an event is pending, the listener lags, or `wake` was called."""
        await self._wake.wait()

    def take_all(self) -> list[Event]:
        """Remove and return all pending events, oldest first."""
        events = list(self._waiting.values())
        self._forget()
        self._wake.clear()
        return events

    def wake(self) -> None:
        """Make `wait` return, even without an event."""
        self._wake.set()


class Events:
    """All listeners. `publish` never blocks and costs nothing without listeners."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self.closing = False

    def __len__(self) -> int:
        return len(self._listeners)

    def subscribe(self, wants: Callable[[Event], bool]) -> Listener:
        listener = Listener(wants)
        self._listeners.add(listener)
        return listener

    def unsubscribe(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    def publish(self, make: Callable[[], Event], *, is_status: bool) -> None:
        """Put an event into the mailbox of each listener that wants it. Without listeners `make` is not called."""
        if not self._listeners:
            return
        event = make()
        chunk = None if is_status else event.chunk
        for listener in self._listeners:
            if not listener.wants(event):
                continue
            if chunk is not None and listener.direct is not None and listener.is_empty and listener.direct(chunk):
                continue
            listener.put(event, is_status=is_status)

    def close(self) -> None:
        """Wake all streams, so that each sends its `end`."""
        self.closing = True
        for listener in self._listeners:
            listener.wake()
