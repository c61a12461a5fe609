"""Tables: fitted to the terminal, or plain aligned lines where there is none."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from hfdmd_client.cli.text import clean, squeeze

Row = Sequence[str]
GAP = "  "


def print_table(head: Row, rows: Sequence[Row], *, right: frozenset[int] = frozenset(), styles: Row = ()) -> None:
    """`rows` under `head` on stdout. The last column gives way when a terminal is too narrow; a pipe gets it all.

    `right` are the columns to align right; `styles` has a rich style for each row's first column.
    """
    cleaned = [[clean(cell) for cell in row] for row in rows]
    keep = [i for i in range(len(head)) if any(row[i] for row in cleaned)] if cleaned else list(range(len(head)))
    columns = [[head[i].upper(), *(row[i] for row in cleaned)] for i in keep]
    widths = [max(map(len, column)) for column in columns]
    if sys.stdout.isatty():
        others = sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
        widths[-1] = max(8, min(widths[-1], shutil.get_terminal_size().columns - others))
    lines = []
    for number in range(len(cleaned) + 1):
        cells = []
        for place, (column, width) in enumerate(zip(columns, widths, strict=True)):
            cell = squeeze(column[number], width) if place == len(widths) - 1 else column[number]
            cells.append(cell.rjust(width) if keep[place] in right else cell.ljust(width))
        lines.append(cells)
    _write(lines, styles)


def _write(lines: list[list[str]], styles: Row) -> None:
    if not sys.stdout.isatty():
        for cells in lines:
            print(GAP.join(cells).rstrip())
        return
    from rich.console import Console  # only for colours, which only a terminal has
    from rich.text import Text

    console = Console(highlight=False)
    for number, cells in enumerate(lines):
        first = "bold" if number == 0 else (styles[number - 1] if styles else "")
        rest = "bold" if number == 0 else ""
        line = Text.assemble((cells[0], first), (GAP + GAP.join(cells[1:]) if len(cells) > 1 else "", rest))
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and values, one a line."""
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        print(f"{name.ljust(width)}{GAP}{clean(value)}".rstrip())
