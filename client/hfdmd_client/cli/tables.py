"""Tables: fitted to the terminal, otherwise plain aligned lines."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from hfdmd_client.cli.render import clean, squeeze

Row = Sequence[str]
GAP = "  "
_COMFORTABLE_WIDTH = 32


def print_table(
    head: Row,
    rows: Sequence[Row],
    *,
    right: frozenset[int] = frozenset(),
    styles: Row = (),
    optional: Sequence[int] = (),
) -> None:
    """`rows` under `head` on stdout. A terminal that is too narrow shortens the last column; a pipe gets all of it.

    `right` are the columns to align right; `styles` has a rich style for each row's first column; `optional` are
    columns that a narrow terminal leaves out, in this order.
    """
    cleaned = [[_shown(cell) for cell in row] for row in rows]
    keep = [i for i in range(len(head)) if any(row[i] for row in cleaned)] if cleaned else list(range(len(head)))
    columns = {i: [head[i].upper(), *(row[i] for row in cleaned)] for i in keep}
    widths = {i: max(map(len, columns[i])) for i in keep}
    if sys.stdout.isatty():
        last, terminal_width = keep[-1], shutil.get_terminal_size().columns
        for unneeded in [i for i in optional if i in keep]:
            if _room(widths, keep, terminal_width) >= min(widths[last], _COMFORTABLE_WIDTH):
                break
            keep.remove(unneeded)
        widths[last] = max(8, min(widths[last], _room(widths, keep, terminal_width)))
    lines = []
    for number in range(len(cleaned) + 1):
        cells = []
        for i in keep:
            cell = squeeze(columns[i][number], widths[i])
            cells.append(cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]))
        lines.append(cells)
    _write(lines, styles)


def _shown(text: str) -> str:
    """`text`: exactly, for a program that reads it; made safe for a terminal."""
    return clean(text) if sys.stdout.isatty() else text


def _room(widths: dict[int, int], keep: Sequence[int], terminal_width: int) -> int:
    """The width that remains for the last column."""
    return terminal_width - sum(widths[i] + len(GAP) for i in keep[:-1])


def _write(lines: list[list[str]], styles: Row) -> None:
    if not sys.stdout.isatty():
        for cells in lines:
            print(GAP.join(cells).rstrip())
        return
    from rich.console import Console  # only for colours on a terminal
    from rich.text import Text

    console = Console(highlight=False)
    for number, cells in enumerate(lines):
        first = "bold" if number == 0 else (styles[number - 1] if styles else "")
        rest = "bold" if number == 0 else ""
        line = Text.assemble((cells[0], first), (GAP + GAP.join(cells[1:]) if len(cells) > 1 else "", rest))
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Prints names and values, one pair in each line."""
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        print(f"{name.ljust(width)}{GAP}{_shown(value)}".rstrip())
