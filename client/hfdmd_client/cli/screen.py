"""The live view of `hfdm watch`: bars, totals, keys."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hfdmd.wire.errors import ApiError
from hfdmd.wire.types import Affected, Download, End, Info, Removed, RepoDownload, Settings, Status
from hfdmd.wire.units import format_duration, format_rate, format_size
from hfdmd_client.cli import render
from hfdmd_client.cli.bars import Bars, in_order
from hfdmd_client.cli.keys import Keys
from hfdmd_client.cli.session import DONE, INTERRUPTED, outcome
from hfdmd_client.client import Client
from hfdmd_client.event_state import FINAL, Event, Item, items_of

_FRAME_S = 0.2
_ASK_EVERY_S = 3.0
_MESSAGE_S = 4.0
_DONE_SHOWN_S = 600.0


class Screen:
    """Shows the downloads that `watched` selects until they have ended or the user leaves."""

    def __init__(self, client: Client, watched: dict[str, Any]) -> None:
        self._client = client
        self._watched = watched
        self._events: queue.SimpleQueue[Event | ApiError | None] = queue.SimpleQueue()
        self._items: dict[str, Item] = {}
        self._selected: str | None = None
        self._message = ("", 0.0)
        self._info: Info | None = None
        self._settings: Settings | None = None
        self._asked_at = 0.0
        self._ended = False
        self._console = Console(highlight=False)

    def run(self) -> int:
        threading.Thread(target=self._listen, name="hfdm-watch", daemon=True).start()
        live = Live(console=self._console, auto_refresh=False, screen=False, transient=True, vertical_overflow="crop")
        try:
            with Keys() as keys, live:
                while not self._ended:
                    self._process_events()
                    self._refresh_info()
                    live.update(self._render(), refresh=True)
                    for key in keys.wait(_FRAME_S):
                        if key in ("q", "escape", "\x04"):
                            return DONE
                        self._press(key)
        except (KeyboardInterrupt, EOFError):
            return INTERRUPTED
        finally:
            self._console.show_cursor(True)
        for item in in_order(self._items.values()):
            self._console.print(render.line(item), markup=False)
        return outcome(list(self._items.values()))

    def _listen(self) -> None:
        """Puts the events into the queue; runs in its own thread."""
        try:
            for event in self._client.watch(**self._watched):
                self._events.put(event)
        except ApiError as error:
            self._events.put(error)
        self._events.put(None)

    def _process_events(self) -> None:
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, ApiError):
                raise event
            if event is None:
                self._ended = True
            elif isinstance(event, (Download, RepoDownload)):
                self._items[event.id] = event
            elif isinstance(event, Removed):
                self._items.pop(event.id, None)
            elif isinstance(event, End):
                self._ended = True

    def _refresh_info(self) -> None:
        """Asks for free space and the limit from time to time: no event reports them."""
        if time.monotonic() - self._asked_at < _ASK_EVERY_S:
            return
        self._asked_at = time.monotonic()
        try:
            self._info, self._settings = self._client.info(), self._client.settings()
        except ApiError:
            self._info = None  # the first line says so; the watching thread reconnects

    def _shown(self) -> list[Item]:
        """All downloads, except the ended files of repo downloads that did not fail."""
        return in_order(
            item
            for item in self._items.values()
            if isinstance(item, RepoDownload) or not item.repo_ids or item.status not in FINAL
            or item.status is Status.FAILED
        )  # fmt: skip

    def _render(self) -> Group:
        items = self._shown()
        if self._selected not in {item.id for item in items}:
            self._selected = items[0].id if items else None
        width, height = self._console.size
        parts: list[Any] = [self._head(items, width)]
        if items:
            parts.append(Bars(items, height - 5, selected=self._selected))
        else:
            parts.append(Text("Nothing to do. In another terminal: hfdm download owner/name", style="dim"))
        chosen = self._items.get(self._selected or "")
        if chosen is not None and chosen.detail and chosen.status is not Status.DONE:
            parts.append(Text(render.squeeze(render.clean(chosen.detail), width), style=render.style(chosen.status)))
        parts.append(self._foot(width))
        return Group(*parts)

    def _head(self, items: list[Item], width: int) -> Text:
        if self._info is None:
            return Text(render.squeeze("The daemon does not answer; reconnecting …", width), style="yellow")
        files = [item for item in items if isinstance(item, Download)]
        downloading = sum(item.status is Status.DOWNLOADING for item in files)
        queued = sum(item.status is Status.QUEUED for item in files)
        per_s = sum(item.bytes_per_second or 0 for item in files if render.speed(item))
        left_bytes = sum(
            (item.total_bytes or 0) - item.downloaded_bytes
            for item in files
            if item.status in (Status.DOWNLOADING, Status.QUEUED)
        )
        facts = [f"{downloading} downloading", f"{queued} queued", format_rate(per_s)]
        if left_bytes > 0:
            eta = f", {format_duration(left_bytes / per_s)}" if per_s else ""
            facts.append(f"{format_size(left_bytes)} left{eta}")
        if self._settings is not None and self._settings.bandwidth_limit:
            facts.append(f"limit {format_rate(self._settings.bandwidth_limit)}")
        if self._info.free_bytes is not None:
            facts.append(f"{format_size(self._info.free_bytes)} free")
        text = facts[0]
        for fact in facts[1:]:  # facts that do not fit are left out completely
            if len(text) + 3 + len(fact) <= width:
                text += f" · {fact}"
        return Text(text, style="bold")

    def _foot(self, width: int) -> Text:
        message, until = self._message
        if time.monotonic() < until:
            return Text(render.squeeze(message, width), style="yellow")
        keys = "space pause/resume · c cancel · r retry · P/R all · q leave"
        return Text(
            render.squeeze(keys if len(keys) <= width else "space pause · c cancel · r retry · q leave", width),
            style="dim",
        )

    def _press(self, key: str) -> None:
        items = self._shown()
        index = next((i for i, item in enumerate(items) if item.id == self._selected), 0)
        if key in ("up", "k", "down", "j") and items:
            step = -1 if key in ("up", "k") else 1
            self._selected = items[max(0, min(len(items) - 1, index + step))].id
        elif key == "P":
            self._act(lambda: self._client.pause(all=True), "paused")
        elif key == "R":
            self._act(lambda: self._client.resume(all=True), "resumed")
        elif items:
            self._press_on(key, items[index])

    def _press_on(self, key: str, item: Item) -> None:
        if key in (" ", "p") and item.status is Status.PAUSED:
            self._act(lambda: self._client.resume(id=item.id), "resumed")
        elif key in (" ", "p"):
            self._act(lambda: self._client.pause(id=item.id), "paused")
        elif key == "c":
            self._act(lambda: self._client.cancel(id=item.id), "cancelled")
        elif key == "r":
            self._act(lambda: self._client.retry(id=item.id), "retried")

    def _act(self, act: Any, done: str) -> None:
        try:
            affected: Affected = act()
        except ApiError as error:
            self._message = (render.clean(error.detail), time.monotonic() + _MESSAGE_S)
            return
        for item in items_of(affected):
            self._items[item.id] = item
        number = len(affected.downloads) + len(affected.repos)
        self._message = (f"{done}: {number}", time.monotonic() + _MESSAGE_S)
