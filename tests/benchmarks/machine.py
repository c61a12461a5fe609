"""The machine: its description, and how each run starts in the same state."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

WARM_BYTES = 3 << 30
_POPULATE = (
    "import mmap, sys;"
    "mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, 'MAP_POPULATE', 0))"
)


def settle(warm_bytes: int = WARM_BYTES) -> None:
    """Before each run: dirty pages written back, and free memory touched.

    A virtual machine's balloon gives free pages back to its host within seconds; the first touch of 2 GiB then costs
    up to 1.5 s of system time, which would be charged to the program that runs first.
    """
    os.sync()
    if warm_bytes:
        subprocess.run([sys.executable, "-c", _POPULATE, str(warm_bytes)], check=True)


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def described(work: Path) -> str:
    """One line about this machine, for the report."""
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    free_gib = shutil.disk_usage(work).free / 2**30
    return (
        f"{os.cpu_count()} cores ({_cpu()}), {memory_gib:.0f} GiB of memory, {_file_system(work)} with"
        f" {free_gib:.0f} GiB free, Linux {platform.release()}, Python {platform.python_version()}"
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(path: Path) -> str:
    best, kind = "", "?"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, at, name, *_ = line.split()
        if (path == Path(at) or path.is_relative_to(at)) and len(at) >= len(best):
            best, kind = at, name
    return kind


def first_line(command: list[str]) -> str:
    """The first line of a program's output, for its version."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]
