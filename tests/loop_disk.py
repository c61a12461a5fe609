"""A disk of its own for a test: a file with a file system, mounted by a loop device. Takes root, on Linux."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

needs_mounts = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mkfs.ext4") is None,
    reason="mounts a disk of its own, which takes root and mkfs.ext4",
)


class LoopDisk:
    """An ext4 file system that is mounted at `folder` and taken away again."""

    def __init__(self, folder: Path, size_bytes: int = 64 << 20) -> None:
        self.folder = folder
        self._image = folder.with_name(f"{folder.name}.img")
        folder.mkdir(parents=True)
        with self._image.open("wb") as file:
            file.truncate(size_bytes)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", self._image], check=True)

    def mount(self, *options: str) -> None:
        subprocess.run(["mount", "-o", ",".join(("loop", *options)), self._image, self.folder], check=True)

    def unmount(self) -> None:
        """As when the drive is pulled out: also while files on it are open."""
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def unmount_all(self) -> None:
        while os.path.ismount(self.folder):
            self.unmount()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    """A mounted disk."""
    made = LoopDisk(tmp_path / "disk")
    made.mount()
    yield made
    made.unmount_all()
