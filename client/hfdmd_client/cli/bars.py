"""Downloads as bars, one a line, for a terminal of any width."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

from hfdmd.wire.types import Download, Status
from hfdmd_client.cli import render
from hfdmd_client.event_state import Item

_FACTS_FROM = 70
"""The terminal width from which a line also shows the remaining time."""


def in_order(items: Iterable[Item]) -> list[Item]:
    """Sorted by status, from downloading to done; repos before their files."""
    return sorted(
        items,
        key=lambda item: (
            render.STATUS_ORDER.index(item.status),
            isinstance(item, Download),
            (item.queue_position or 0) if isinstance(item, Download) else 0,
            item.created_at,
            item.id,
        ),
    )


class Bars:
    """Renders `items` in at most `height` lines; the last line counts those that do not fit."""

    def __init__(self, items: list[Item], height: int, *, selected: str | None = None) -> None:
        self._items = items
        self._height = max(1, height)
        self._selected = selected
        self._with_repo = len({render.repo_name(item) for item in items}) > 1
        self._longest = max((len(self._name(item)) for item in items), default=0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown, width = self._shown(), options.max_width
        name_width = min([self._longest, *(self._room(item, width) for item in shown)])
        for item in shown:
            yield from self._line(item, console, width, max(8, name_width))
        hidden = len(self._items) - len(shown)
        if hidden:
            counts: dict[str, int] = {}
            for item in self._items:
                if item not in shown:
                    counts[item.status.value] = counts.get(item.status.value, 0) + 1
            yield Text(f"  … and {', '.join(f'{n} {status}' for status, n in counts.items())}", style="dim")

    def _shown(self) -> list[Item]:
        if len(self._items) <= self._height:
            return self._items
        room = self._height - 1
        place = next((i for i, item in enumerate(self._items) if item.id == self._selected), 0)
        first = max(0, min(place - room // 2, len(self._items) - room))
        return self._items[first : first + room]

    def _room(self, item: Item, width: int) -> int:
        """The width that is left for the name."""
        bar_width = _bar_width(item, width)
        mark_width = 0 if self._selected is None else 2
        return width - len(self._facts(item, width)) - bar_width - mark_width - (2 if bar_width else 1) - 1

    def _line(self, item: Item, console: Console, width: int, name_width: int) -> Iterable[Text]:
        bar_width = _bar_width(item, width)
        mark = "" if self._selected is None else ("▶ " if item.id == self._selected else "  ")
        name = self._name(item)
        line = Text(mark, style="bold")
        line.append(render.squeeze(name, name_width).ljust(name_width), style="" if _has_bar(item) else "dim")
        line.append(" ")
        if bar_width:
            bar = ProgressBar(total=100, completed=item.progress, width=bar_width)
            options = console.options.update(width=bar_width)
            begins = len(line)
            for segment in console.render(bar, options):
                if isinstance(segment, Segment) and segment.text.strip("\n"):
                    line.append(segment.text.strip("\n"), style=segment.style)
            line.pad_right(begins + bar_width + 1 - len(line))  # without colours the empty part is not drawn
        line.append(self._facts(item, width), style=render.style(item.status))
        line.truncate(width)
        yield line

    def _name(self, item: Item) -> str:
        """The title, without the repo when all lines have the same one."""
        return render.file_name(item) if isinstance(item, Download) and not self._with_repo else render.title(item)

    def _facts(self, item: Item, width: int) -> str:
        """The right end of the line, with fixed widths so that columns stay in place."""
        if render.waits(item):  # why it waits matters more than the end of a long name
            percentage = f"{render.percent(item):>6} " if _has_bar(item) else ""
            return percentage + render.cut(render.why(item), max(8, width // 2 - len(percentage)))
        if not _has_bar(item):
            return render.state(item)
        percentage = f"{render.percent(item):>6}"
        if item.status is not Status.DOWNLOADING or (item.phase and item.phase.value != "transferring"):
            return f"{percentage} {render.state(item)}"
        facts = f"{percentage} {render.speed(item):>10}"
        if width >= _FACTS_FROM:
            facts += f" {render.amount(item):>20}" if width >= 100 else ""
            facts += f" {render.eta(item):>7}"
        return facts


def _bar_width(item: Item, width: int) -> int:
    return max(8, min(40, width // 4)) if _has_bar(item) else 0


def _has_bar(item: Item) -> bool:
    if item.status is Status.DOWNLOADING or item.status is Status.PAUSED:
        return item.total_bytes is not None
    return item.status is Status.QUEUED and bool(item.downloaded_bytes) and item.total_bytes is not None
