"""Waits for downloads and shows their progress: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from hfdmd.wire.errors import UnknownDownload
from hfdmd.wire.types import Download, Removed, RepoDownload, Status
from hfdmd.wire.units import format_duration, format_size
from hfdmd_client.cli import render
from hfdmd_client.client import IDLE_POLL_S, Client
from hfdmd_client.event_state import FINAL, Item, Ready
from hfdmd_client.reconnect import left_s

if TYPE_CHECKING:
    from hfdmd_client.cli.bars import Bars

_LINE_EVERY_S = 10.0
_REFRESH_PER_S = 8
_LINES_FOR = 40
"""Repos with more files than this leave no line for each."""


class Display(Protocol):
    """Shows progress. `is_part`: `item` is a file of a requested repo, not requested itself."""

    def show(self, item: Item, *, is_part: bool = False) -> None: ...


class Nothing:
    """Shows nothing: `--quiet`."""

    def show(self, item: Item, *, is_part: bool = False) -> None:
        return


@dataclass(frozen=True, slots=True)
class _Shown:
    """The last line of a download."""

    state: str
    at_s: float
    waited: bool
    downloaded_bytes: int

    def is_still(self, item: Item) -> bool:
        """Whether it waited, and nothing has come since."""
        moves = item.status in (Status.DOWNLOADING, Status.QUEUED)
        return self.waited and moves and item.downloaded_bytes <= self.downloaded_bytes


class Lines:
    """A line at each change of status, and every 10 s; for the files of a repo only when they have ended.

    While a download waits for something that will pass, its tries are no changes: it waits until a byte comes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown: dict[str, _Shown] = {}

    def show(self, item: Item, *, is_part: bool = False) -> None:
        if is_part and item.status not in FINAL:
            return
        state, now = f"{item.status.value} {item.reason}", time.monotonic()
        last = self._shown.get(item.id)
        if last is not None and now - last.at_s < _LINE_EVERY_S and (state == last.state or last.is_still(item)):
            return
        self._shown[item.id] = _Shown(state, now, render.waits(item), item.downloaded_bytes)
        print(render.line(item), file=self._stream, flush=True)


class LiveBars:
    """Progress bars on stderr, one for each unfinished file, removed at the end; done files leave a line above."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        from hfdmd_client.cli.terminal_title import TerminalTitle

        self._items: dict[str, Item] = {}
        self._asked: dict[str, Item] = {}
        self._running: set[str] = set()
        self._console = Console(stderr=True, highlight=False)
        self._title = TerminalTitle(sys.stderr)
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=_REFRESH_PER_S,
            transient=True,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()
        self._title.close(self._asked.values())

    def show(self, item: Item, *, is_part: bool = False) -> None:
        self._items[item.id] = item
        if not is_part:
            self._asked[item.id] = item
            self._title.show(self._asked.values())
        elif item.status is Status.DOWNLOADING:
            self._running.add(item.id)
        elif item.status in FINAL and item.id in self._running and self._are_few():
            self._running.discard(item.id)
            self._console.print(summary(item, None), style="dim", markup=False)

    def _are_few(self) -> bool:
        """Whether a line for each done file helps; of hundreds only the count does."""
        return all(
            (repo.files_total or 0) <= _LINES_FOR for repo in self._asked.values() if isinstance(repo, RepoDownload)
        )

    def _render(self) -> Bars:
        from hfdmd_client.cli.bars import Bars, in_order

        items = in_order(self._items.values())
        repos = {item.id for item in items if isinstance(item, RepoDownload)}
        ended = [item for item in items if item.status in FINAL and isinstance(item, Download) and repos]
        shown = [item for item in items if item not in ended]
        return Bars(shown, self._console.size.height - 1)


def display(quiet: bool) -> AbstractContextManager[Display]:
    """The display for this terminal, or for none."""
    if quiet:
        return nullcontext(Nothing())
    if sys.stderr.isatty() and not is_dumb():
        return LiveBars()
    return nullcontext(Lines(sys.stderr))


def is_dumb() -> bool:
    """Whether the terminal cannot move its cursor."""
    return os.environ.get("TERM", "") in ("", "dumb", "unknown")


def wait(client: Client, targets: Iterable[Item], shown: Display, until: float | None) -> list[Item]:
    """Waits until all `targets`, which have the same repo and revision, have ended; returns their last states.

    Raises `UnknownDownload` when one is removed meanwhile, `WaitTimeout` at `until`, in `time.monotonic` seconds.
    """
    states = {item.id: item for item in targets}
    for item in states.values():
        shown.show(item)
    while _unfinished(states):
        _watch(client, states, shown, left_s(until))
        if _unfinished(states):  # the others are paused and may be resumed
            time.sleep(IDLE_POLL_S)
    return list(states.values())


def _watch(client: Client, states: dict[str, Item], shown: Display, timeout_s: float | None) -> None:
    """Follows one event stream, until all of `states` have ended or the stream ends."""
    one = next(iter(states.values()))
    if len(states) == 1:
        events = client.watch(id=one.id, timeout_s=timeout_s)
    else:
        repo_type = one.repo_type.value
        events = client.watch(one.model_repo, revision=one.revision, repo_type=repo_type, timeout_s=timeout_s)
    named: set[str] = set()
    for event in events:
        if isinstance(event, (Download, RepoDownload)):
            named.add(event.id)
            if event.id in states:
                states[event.id] = event
                shown.show(event)
            elif isinstance(event, Download) and not states.keys().isdisjoint(event.repo_ids):
                shown.show(event, is_part=True)
        elif isinstance(event, Removed) and event.id in states:
            raise _removed(states[event.id])
        elif isinstance(event, Ready) and (missing := states.keys() - named):
            raise _removed(states[missing.pop()])
        if states.keys() <= named and not _unfinished(states):
            return


def _removed(item: Item) -> UnknownDownload:
    return UnknownDownload(f"{render.title(item)} was removed during the wait")


def _unfinished(states: dict[str, Item]) -> bool:
    return any(item.status not in FINAL for item in states.values())


def summary(item: Item, took_s: float | None) -> str:
    """The result as one line."""
    if item.status is Status.DONE:
        size = format_size(item.total_bytes) if item.total_bytes is not None else ""
        took = f" in {format_duration(took_s)}" if took_s is not None and took_s >= 1 else ""
        return f"✓ {render.title(item)}{f', {size}' if size else ''}{took}"
    why = render.clean(item.error or item.detail or "")
    return f"✗ {render.title(item)}: {item.status.value}{f', {why}' if why else ''}"
