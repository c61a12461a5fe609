"""Runs a program to its end and measures its costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LOOK_EVERY_S = 0.05
BIN = Path(sys.executable).parent


def clean_env(**more: str) -> dict[str, str]:
    """An environment with nothing in it that could change what a program does."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return kept | {"TERM": "dumb"} | more


class ProgramFailed(Exception):
    """A measured program failed; the text has the end of its output."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run took. `cpu_s` is of the program and the children it waited for, `rss_bytes` its own peak."""

    wall_s: float
    cpu_s: float
    rss_bytes: int
    stdout: str


def run(command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None, timeout_s: float = 300) -> Spent:
    """Run `command` with exactly `env`. Raises `ProgramFailed` unless it exits 0 within `timeout_s`."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        with _Watcher(process, timeout_s) as watcher:
            _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        stdout, stderr = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if process.returncode != 0:
        words = (stderr + stdout)[-2000:]
        raise ProgramFailed(f"{' '.join(command)}: exit code {process.returncode} after {wall_s:.1f} s\n{words}")
    return Spent(wall_s, usage.ru_utime + usage.ru_stime, watcher.peak_bytes, stdout)


class _Watcher:
    """Samples a process: its peak memory, and whether it has exceeded its time.

    `ru_maxrss` is not used, because it includes the parent's memory before exec; `wait4` has no timeout.
    """

    def __init__(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        self.peak_bytes = 0
        self._process = process
        self._deadline = time.monotonic() + timeout_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            if time.monotonic() > self._deadline:
                self._process.kill()
            try:
                status = Path(f"/proc/{self._process.pid}/status").read_text()
            except OSError:
                return
            found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
            if found:
                self.peak_bytes = int(found[1]) * 1024
