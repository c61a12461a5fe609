"""What the API's benchmarks share: percentiles, the table, the JSON file."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured number and its limit."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)]


def parser(description: str | None) -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--json", metavar="FILE", help="write the figures there")
    return arguments


def report(title: str, figures: Sequence[Figure], file: str | None) -> int:
    """Print the table, write the JSON; 1 when a figure does not hold."""
    print(f"\n{title}")
    for figure in figures:
        bound = f"<= {figure.at_most:g}" if figure.at_most is not None else ""
        bound = f">= {figure.at_least:g}" if figure.at_least is not None else bound
        mark = "" if not bound else "ok" if figure.holds else "NOT MET"
        print(f"  {figure.name:<58} {figure.value:>12,.2f} {figure.unit:<8} {bound:>10} {mark}")
    if file is not None:
        rows = [{**asdict(figure), "holds": figure.holds} for figure in figures]
        Path(file).write_text(json.dumps({"title": title, "figures": rows}, indent=2) + "\n")
    return 0 if all(figure.holds for figure in figures) else 1
