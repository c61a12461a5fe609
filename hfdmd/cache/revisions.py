"""Files of other revisions of a repo in the Hub's cache, with their Xet hashes where a tree file names them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hfdmd import names
from hfdmd.digest import is_sha256
from hfdmd.record import is_commit
from hfdmd.wire.types import MALFORMED

MAX_REVISIONS = 20
MAX_FILES = 200
MAX_TREE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file in a snapshot. `xet_hash` is None when only the Hub knows it."""

    commit: str
    file_path: str
    path: Path
    size_bytes: int
    xet_hash: str | None


class _TreeFile(msgspec.Struct):
    xet_hash: str | None = None


class _XetTree(msgspec.Struct):
    files: dict[str, _TreeFile]


def files_of_other_revisions(repo: Path, commit: str, file_path: str) -> list[CachedFile]:
    """Files in the snapshots of `repo` except that of `commit`, of the newest snapshot first.

    Those at `file_path`, and all others whose Xet hash a tree file names; at most `MAX_FILES`.
    """
    found: list[CachedFile] = []
    for other in _newest_first(repo / "snapshots"):
        if other.name == commit:
            continue
        hashes = _hashes(repo / "trees" / f"{other.name}.json")
        for name in dict.fromkeys((file_path, *hashes)):
            path = other / name
            try:
                known = path.stat()
            except OSError:
                continue
            if stat.S_ISREG(known.st_mode):
                found.append(CachedFile(other.name, name, path, known.st_size, hashes.get(name)))
            if len(found) == MAX_FILES:
                return found
    return found


def _newest_first(snapshots: Path) -> Iterator[Path]:
    try:
        known = [(entry.stat().st_mtime, entry.path) for entry in os.scandir(snapshots) if is_commit(entry.name)]
    except OSError:
        return
    for _, path in sorted(known, reverse=True)[:MAX_REVISIONS]:
        yield Path(path)


def _hashes(tree: Path) -> dict[str, str]:
    """The Xet hashes in a tree file, by path; empty when there is no valid one."""
    try:
        with open(os.open(tree, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            files = msgspec.json.decode(file.read(MAX_TREE_BYTES), type=_XetTree).files
    except (OSError, *MALFORMED):
        return {}
    return {
        path: entry.xet_hash
        for path, entry in files.items()
        if entry.xet_hash is not None and is_sha256(entry.xet_hash) and names.path_problem(path) is None
    }
