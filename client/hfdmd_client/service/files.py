"""Files that the installer writes, and takes away again: only those that carry its mark."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from hfdmd_client.service.errors import ServiceError

MARK = "Written by 'hfdm service install', and removed by 'hfdm service uninstall'. Put changes into a drop-in."

_KEPT = ("etc", ".config", "Library")
"""Where the emptied folders end: these are everybody's."""


def write(files: Mapping[Path, str], *, mode: int = 0o644) -> list[Path]:
    """Bring every file to its text; returns those that were changed.

    Raises ServiceError, and changes nothing, when one of them is somebody else's.
    """
    foreign = [path for path in files if path.exists() and not is_ours(path)]
    if foreign:
        names = ", ".join(map(str, foreign))
        raise ServiceError(f"{names}: not written by 'hfdm service install', so it is left alone; move it away first")
    changed = [path for path, text in files.items() if not (path.is_file() and path.read_text() == text)]
    for path in changed:
        _replace(path, files[path], mode)
    return changed


def remove(paths: Iterable[Path]) -> list[Path]:
    """Delete those that are ours, and the folders that are empty then; returns the files that were deleted."""
    removed = [path for path in paths if path.is_file() and is_ours(path)]
    for path in removed:
        path.unlink()
        for folder in path.parents:
            if folder.name in _KEPT or any(folder.iterdir()):
                break
            folder.rmdir()
    return removed


def is_ours(path: Path) -> bool:
    """Whether the installer wrote this file."""
    try:
        return MARK in path.read_text(errors="replace")[:4096]
    except OSError:
        return False


def _replace(path: Path, text: str, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ServiceError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with open(fd, "w") as file:
            os.fchmod(fd, mode)
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
