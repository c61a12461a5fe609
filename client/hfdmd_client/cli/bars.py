"""Downloads as rows with bars, for a terminal of any width: the total first, then the files that move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from hfdmd.wire.types import Download, RepoDownload
from hfdmd_client.cli import render
from hfdmd_client.cli.rows import distinct, facts_width, row
from hfdmd_client.event_state import Item

MAX_FILES = 8
"""More files than this that change at the same time cannot be followed by eye."""


def in_order(items: Iterable[Item]) -> list[Item]:
    """Sorted by status, from downloading to done; repos before their files, then the largest file first."""
    return sorted(
        items,
        key=lambda item: (
            isinstance(item, Download),
            render.STATUS_ORDER.index(item.status),
            item.queue_position or 0,
            -(item.total_bytes or 0),
            item.created_at,
            item.id,
        ),
    )


class Bars:
    """Renders `items` in at most `height` lines; the last line counts those that do not fit."""

    def __init__(self, items: list[Item], height: int) -> None:
        self._items = items
        repos = [item for item in items if isinstance(item, RepoDownload)]
        files = [item for item in items if isinstance(item, Download)][:MAX_FILES]
        self._shown: list[Item] = [*repos, *files]
        if len(items) > height or len(self._shown) < len(items):
            self._shown = self._shown[: max(1, height - 1)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        with_repo = len({render.repo_name(item) for item in self._shown}) > 1
        names = [
            render.file_name(item) if isinstance(item, Download) and not with_repo else render.title(item)
            for item in self._shown
        ]
        name_width = min(width - facts_width(width), max(map(len, names), default=0))
        for item, name in zip(self._shown, distinct(names, name_width), strict=True):
            yield row(item, name, name_width, width)
        hidden = Counter(item.status for item in self._items) - Counter(item.status for item in self._shown)
        if hidden:
            counts = ", ".join(f"{hidden[status]} {status.value}" for status in render.STATUS_ORDER if hidden[status])
            yield Text(f"… and {hidden.total()} more files: {counts}", style="dim")
