"""Runs contenders in alternating rounds and tabulates their medians."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.contenders import Contender, Sample, Task
from tests.benchmarks.machine import WARM_BYTES, settle
from tests.benchmarks.report import Table, median, number

Samples = dict[str, list[Sample]]


def compare(task: Task, contenders: Sequence[Contender], rounds: int, work: Path) -> Samples:
    """`rounds` runs of each (or its own number); every other round in reverse order."""
    samples: Samples = {contender.name: [] for contender in contenders}
    warm_bytes = min(WARM_BYTES, task.size_bytes * 3 // 2)
    for number_ in range(rounds):
        for contender in contenders if number_ % 2 == 0 else reversed(contenders):
            if contender.rounds is not None and number_ >= contender.rounds:
                continue
            folder = Path(tempfile.mkdtemp(prefix="run-", dir=work))
            settle(warm_bytes)
            sample = contender.go(task, folder)
            samples[contender.name].append(sample)
            print(f"  {number_ + 1}/{rounds} {contender.name:24} {sample.wall_s:7.2f} s", file=sys.stderr, flush=True)
            contender.clean(folder)
    return samples


def wall(samples: Samples, name: str) -> float:
    return median(sample.wall_s for sample in samples[name])


def table(samples: Samples, title: str, against: str, size_bytes: int) -> Table:
    """Medians; the fourth column is the share of `against`'s time."""
    gib = size_bytes / 2**30
    rows = []
    for name, runs in samples.items():
        walls = [run.wall_s for run in runs]
        rows.append(
            (
                name,
                f"{median(walls):.2f}",
                f"{min(walls):.2f}–{max(walls):.2f}",
                number(median(walls) / wall(samples, against)),
                f"{median(run.cpu_s for run in runs) / gib:.2f}"
                if gib >= 0.25
                else f"{median(run.cpu_s for run in runs):.2f}",
                f"{median(run.rss_bytes for run in runs) / 1e6:.0f}",
                str(len(runs)),
            )
        )
    cpu = "CPU s/GiB" if gib >= 0.25 else "CPU s"
    return Table(title, ("", "wall s", "min–max", f"× {against}", cpu, "peak MB", "n"), rows)


def raw(samples: Samples) -> dict[str, object]:
    return {name: [asdict(sample) for sample in runs] for name, runs in samples.items()}
