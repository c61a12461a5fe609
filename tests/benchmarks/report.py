"""The result of a measurement: tables, goals met or missed, bars for a plot."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Goal:
    """A measured number and its limit, which is the maximum, or with `at_least` the minimum."""

    what: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def row(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        unit = f" {self.unit}" if self.unit else ""
        return [
            self.what,
            f"{number(self.value)}{unit}",
            f"{sign} {number(self.limit)}{unit}",
            "PASS" if self.met else "MISS",
        ]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a heading; the first column is a name, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Bars:
    """A plot: one bar a contender. `ours` are drawn in another colour."""

    file: str
    title: str
    unit: str
    bars: Sequence[tuple[str, float]]


@dataclass(slots=True)
class Section:
    """The results of one measurement."""

    name: str
    title: str
    text: str
    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    plots: list[Bars] = field(default_factory=list)
    raw: dict[str, object] = field(default_factory=dict)
    failed: bool = False


def number(value: float) -> str:
    """A number with three significant digits."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def plain(table: Table) -> str:
    """A table for a terminal."""
    lines = [list(table.columns), *[list(row) for row in table.rows]]
    widths = [max(len(row[i]) for row in lines) for i in range(len(table.columns))]
    out = [f"  {table.title}"] if table.title else []
    for at, row in enumerate(lines):
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        out.append("    " + "  ".join(cells).rstrip())
        if at == 0:
            out.append("    " + "  ".join("-" * width for width in widths))
    return "\n".join(out)


def goals_table(goals: Sequence[Goal], title: str = "Goals") -> Table:
    return Table(title, ("goal", "measured", "limit", ""), [goal.row for goal in goals])


def all_goals(sections: Sequence[Section], title: str) -> Table:
    """The goals of all sections, each beside its section's name."""
    rows = [[f"{section.name}: {goal.row[0]}", *goal.row[1:]] for section in sections for goal in section.goals]
    return Table(title, ("goal", "measured", "limit", ""), rows)


def shown(section: Section) -> str:
    """A section for a terminal."""
    parts = [f"\n{section.title}", *[plain(table) for table in section.tables]]
    if section.goals:
        parts.append(plain(goals_table(section.goals)))
    return "\n".join(parts)
