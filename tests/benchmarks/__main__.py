"""`python -m tests.benchmarks`: everything side by side in one run."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import (
    measure_busy,
    measure_clients,
    measure_delta,
    measure_large,
    measure_memory,
    measure_resume,
    measure_small,
    measure_sparse,
    measure_xet,
    measure_xet_resume,
)
from tests.benchmarks.bench import Bench
from tests.benchmarks.machine import load
from tests.benchmarks.page import write
from tests.benchmarks.report import Section, all_goals, plain, shown

MEASUREMENTS: dict[str, Callable[[Bench], Section]] = {
    "http": measure_large.unlimited_http,
    "https": measure_large.unlimited_https,
    "capped": measure_large.capped,
    "distant": measure_large.distant,
    "busy": measure_busy.full_speed,
    "sparse": measure_sparse.sparse,
    "small": measure_small.near,
    "small-far": measure_small.far,
    "queue": measure_busy.long_queue,
    "clients": measure_clients.clients,
    "resume": measure_resume.resume,
    "memory": measure_memory.memory,
    "xet": measure_xet.xet,
    "xet-delta": measure_delta.delta,
    "xet-resume": measure_xet_resume.interruptions,
}


def main() -> int:
    """Measure, print, and with `--write` renew docs/benchmarks.md. Exit code 1 when a goal is missed."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that servers and lines are ended
    names = options.only or list(MEASUREMENTS)
    rounds = options.rounds or (1 if options.quick else 5)
    began, load_before = time.monotonic(), load()
    sections = []
    work = Path(tempfile.mkdtemp(prefix="hfdmd-bench-", dir=options.dir))
    ram = Path(tempfile.mkdtemp(prefix="hfdmd-bench-", dir=_memory(work)))
    ram.chmod(0o755)
    try:
        bench = Bench(work, ram, rounds, options.quick, options.sparse_gib)
        for name in names:
            print(f"{name} …", file=sys.stderr, flush=True)
            section = _measured(name, bench)
            print(shown(section), flush=True)
            sections.append(section)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(ram, ignore_errors=True)
    sections.sort(key=lambda section: list(MEASUREMENTS).index(section.name))
    goals = [goal for section in sections for goal in section.goals]
    print(f"\n{plain(all_goals(sections, 'All goals'))}")
    print(f"\n  {time.monotonic() - began:.0f} s; load before {load_before:.1f}, after {load():.1f}")
    if options.json:
        content = [{"name": s.name, "goals": [g.row for g in s.goals], "raw": s.raw} for s in sections]
        options.json.write_text(json.dumps(content, indent=1))
    if options.write:
        write(sections, options.dir, rounds, time.monotonic() - began, load_before)
    return 0 if all(goal.met for goal in goals) and not any(section.failed for section in sections) else 1


def _measured(name: str, bench: Bench) -> Section:
    """One measurement; if it fails, the others still run."""
    try:
        return MEASUREMENTS[name](bench)
    except Exception:
        traceback.print_exc()
        return Section(name, name, "This measurement broke in this run; there are no figures of it.", failed=True)


def _memory(otherwise: Path) -> Path:
    shm = Path("/dev/shm")  # the tmpfs itself
    return shm if shm.is_dir() and shutil.disk_usage(shm).free > 6 << 30 else otherwise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small files, one round: shows that it works")
    parser.add_argument("--only", nargs="+", choices=list(MEASUREMENTS), metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, help="runs of each contender (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every single sample")
    parser.add_argument("--write", action="store_true", help="renew docs/benchmarks.md and its plots")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="a folder on the disk to measure")
    parser.add_argument("--sparse-gib", type=int, default=64, help="size of the large sparse file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
