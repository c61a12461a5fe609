"""Who listens, and what they have not heard yet: bounded, coalescing, encoded once for all.

A listener that keeps up gets every change of status in order. Of mere byte progress it gets the newest. When it lags,
it gets the newest state of each download; when even those pile up beyond the bound, it is told so and let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from hfdmd.wire.types import Download, EventName, Removed, RepoDownload

MAX_WAITING_BYTES = 512 * 1024
_COALESCE_BYTES = 64 * 1024  # from here on, what waits is kept as the newest state per id only

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, framed once. `key` is the id that it is about; None for the stream's own events."""

    name: EventName
    key: str | None
    frame: bytes
    state: Download | RepoDownload | None = None

    @property
    def chunk(self) -> bytes:
        """The frame as one chunk of a chunked body (RFC 9112, section 7.1)."""
        return b"%x\r\n%b\r\n" % (len(self.frame), self.frame)


def frame(name: EventName, data: Any, event_id: str) -> bytes:
    """An event as the bytes that go over the line. Source: WHATWG HTML, server-sent events."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), _encoder.encode(data))


def state_event(view: Download | RepoDownload) -> Event:
    """The event that tells the present state of one download or repo download."""
    name = EventName.PROGRESS if isinstance(view, Download) else EventName.REPO
    return Event(name, view.id, frame(name, view, f"{view.version}:{view.id}"), view)


def removed_event(key: str, version: int) -> Event:
    """The event for a deleted download or repo download."""
    return Event(EventName.REMOVED, key, frame(EventName.REMOVED, Removed(id=key), f"{version}:{key}"))


class Listener:
    """One stream's mailbox. Filled by `Events.publish`, emptied by `take`.

    `direct`, once the stream has told its present state, takes the chunk of a byte progress straight to the peer and
    says whether it could: not while anything waits there. That spares a thousand listeners a thousand task switches.
    """

    __slots__ = ("_bytes", "_slots", "_waiting", "_wake", "direct", "lagging", "wants")

    def __init__(self, wants: Callable[[Event], bool]) -> None:
        self.wants = wants
        self.direct: Callable[[bytes], bool] | None = None
        self.lagging = False
        self._waiting: dict[object, Event] = {}
        self._slots: dict[str, dict[object, None]] = {}  # of `_waiting`, by what the event is about
        self._bytes = 0
        self._wake = asyncio.Event()

    def put(self, event: Event, *, is_status: bool) -> None:
        """Add an event. An older progress of the same id gives way to it."""
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
        """Whether it has heard all so far. One that lags is not empty: it is to hear nothing more."""
        return not self._waiting and not self.lagging

    async def wait(self) -> None:
        """Return when there is something to take, the listener lags, or was woken."""
        await self._wake.wait()

    def take(self) -> list[Event]:
        """Everything that waits, oldest first."""
        events = list(self._waiting.values())
        self._forget()
        self._wake.clear()
        return events

    def wake(self) -> None:
        """Let whoever waits look again, though there may be nothing to take."""
        self._wake.set()


class Events:
    """All listeners. `publish` never blocks and costs nothing where nobody listens."""

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
        """Tell everybody who wants to know. `make` is called once, and only if somebody listens."""
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
        """Wake all streams, so that each can say its `end`."""
        self.closing = True
        for listener in self._listeners:
            listener.wake()
