"""Folders below a root, opened part by part; links on the way are followed only where the caller allows it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hfdmd.durable import sync_file_system, sync_folder, sync_folders

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MAX_OPEN = 64  # descriptors
_MAX_SINGLE_SYNCS = 8

Parts = tuple[str, ...]


def make_folders(path: Path) -> None:
    """Create the folder and its missing parents, durably. Symlinks are followed: the user set them. Raises OSError."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folders([folder.parent])


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether `path` is one of the folders or below one. Symlinks are followed in the folders, not in `path`."""
    roots = (os.path.realpath(folder).rstrip("/") for folder in folders)
    return any(f"{path}/".startswith(f"{root}/") for root in roots)


class Folders(contextlib.AbstractContextManager["Folders"]):
    """Open descriptors of folders below `root`, and which of them have changed since the last sync.

    Symlinks are followed in `root`: the user set them. Below it only those of the daemon's own user or root are, after
    `follow` was called with the path of the link; it may raise. OSError (ELOOP) for any other, and (ENOTDIR) for a file
    where a folder should be.
    """

    def __init__(self, root: Path, follow: Callable[[str], None] | None = None) -> None:
        self._root = root
        self._follow = follow
        self._fds: dict[Parts, int] = {(): os.open(root, _FLAGS)}
        self._changed: set[Parts] = set()
        self._spans_disks = False
        """Whether a link was followed, maybe to another file system."""

    def __exit__(self, *_: object) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def real_path(self) -> str:
        """The present path of the open root, also when it was renamed since. Raises OSError."""
        if sys.platform == "darwin":
            return os.fsdecode(fcntl.fcntl(self._fds[()], fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
        return os.readlink(f"/proc/self/fd/{self._fds[()]}")

    def open(self, parts: Sequence[str], *, make: bool = False) -> int:
        """The folder's descriptor; `make` creates missing folders. Owned by this object, valid for the next few calls.

        Raises OSError.
        """
        wanted = tuple(parts)
        if make:
            self._close_removed(wanted)
        if (known := self._fds.pop(wanted, None)) is not None:
            self._fds[wanted] = known  # most recently used
            return known
        depth = len(wanted)
        while wanted[:depth] not in self._fds:
            depth -= 1
        parent = self._fds[wanted[:depth]]
        while depth < len(wanted):
            if make:
                try:
                    os.mkdir(wanted[depth], dir_fd=parent)
                    self._changed.add(wanted[:depth])
                except FileExistsError:
                    pass
            parent = self._enter(parent, wanted[: depth + 1])
            depth += 1
            self._fds[wanted[:depth]] = parent
        self._close_unused(wanted)
        return parent

    def _enter(self, parent: int, parts: Parts) -> int:
        """Open the last of `parts` in `parent`, the folder of the others. Raises OSError."""
        name = parts[-1]
        try:
            return os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            link = os.lstat(name, dir_fd=parent)
            if not stat.S_ISLNK(link.st_mode):
                raise
        path = str(self._root.joinpath(*parts))
        if self._follow is None or link.st_uid not in (0, os.geteuid()):
            raise OSError(errno.ELOOP, f"{path} is a symbolic link, followed only for the daemon's own user", path)
        self._follow(path)
        self._spans_disks = True
        return os.open(name, _FLAGS, dir_fd=parent)

    def mark_changed(self, parts: Sequence[str]) -> None:
        """Names in this folder have changed: the next `sync` syncs it."""
        self._changed.add(tuple(parts))

    def sync(self) -> None:
        """Sync every changed folder. Raises OSError."""
        if len(self._changed) > _MAX_SINGLE_SYNCS and not self._spans_disks and sync_file_system(self._fds[()]):
            self._changed.clear()
        while self._changed:
            parts = self._changed.pop()
            with contextlib.suppress(FileNotFoundError):  # removed since; its parent is marked as changed
                sync_folder(self.open(parts))

    def remove_empty(self, parts: Sequence[str], *, keep: int = 0) -> None:
        """Remove the folder and its parents while they are empty and deeper than `keep` parts."""
        wanted = tuple(parts)
        while len(wanted) > keep:
            try:
                os.rmdir(wanted[-1], dir_fd=self.open(wanted[:-1]))
            except OSError:
                return  # not empty, missing, or no permission
            for known in [known for known in self._fds if known[: len(wanted)] == wanted]:
                os.close(self._fds.pop(known))
            self._changed.discard(wanted)
            wanted = wanted[:-1]
            self._changed.add(wanted)

    def _close_removed(self, wanted: Parts) -> None:
        """Close folders on the way to `wanted` that another program removed, so that they are created again."""
        known = [wanted[:depth] for depth in range(1, len(wanted) + 1) if wanted[:depth] in self._fds]
        for parts in known:
            if os.fstat(self._fds[parts]).st_nlink == 0:
                os.close(self._fds.pop(parts))
                self._changed.discard(parts)

    def _close_unused(self, wanted: Parts) -> None:
        """Close the least recently used descriptors over the limit, but not those on the way to `wanted`."""
        for parts in [parts for parts in self._fds if parts != wanted[: len(parts)]]:
            if len(self._fds) <= _MAX_OPEN:
                return
            os.close(self._fds.pop(parts))
