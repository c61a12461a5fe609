"""Disks that lack something: the environment of a process that has one (`poor_disk.c`)."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")

needs_gcc = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None, reason="a preloaded library is the disk, which takes gcc"
)


def poor_disk(folder: Path, *, short_names: int | None = None, **refuses: str) -> dict[str, str]:
    """Variables for a process: what `refuses` names (chmod, utime, symlink) fails with the error of that name.

    `short_names`: the longest name in bytes. The library is compiled into `folder`.
    """
    library = folder / "poor_disk.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    env = {"LD_PRELOAD": str(library)}
    if refuses:
        env["REFUSES"] = " ".join(f"{call}:{getattr(errno, name)}" for call, name in refuses.items())
    if short_names is not None:
        env["SHORT_NAMES"] = str(short_names)
    return env
