"""A folder of the user's that files go to under their own names, with the Hub client's books beside them.

Source of the books: `huggingface_hub._local_folder`: `<dir>/.cache/huggingface/download/<path>.metadata` holds commit,
etag and time, a line each, and makes the client take the file as current.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from hfdmd.cache import fs_ops, layout
from hfdmd.cache.content import Placed, has_content, never
from hfdmd.cache.folders import Folders, is_below, make_folders
from hfdmd.cache.keyed_locks import KeyedLocks
from hfdmd.durable import open_new, sync_file, write_all
from hfdmd.failure import Failure
from hfdmd.record import FileSpec, RepoSpec, Source
from hfdmd.wire.types import Reason

_log = logging.getLogger(__name__)
_DOWNLOAD = (*layout.BOOKS, "download")
_NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class LocalDir:
    """One local folder, open. Links in it are never followed, so that nothing is written outside of it."""

    def __init__(self, root: Path, inside: Folders, busy: threading.RLock, room: fs_ops.Room) -> None:
        self.root = root
        self.inside = inside
        self._busy = busy
        self._room = room

    def books(self, parts: Sequence[str] = ()) -> int:
        """The folder of the client's books for files in the folder `parts`, made if need be."""
        return self.inside.open((*_DOWNLOAD, *parts), make=True)

    def start_books(self) -> None:
        """The files that keep the books out of backups and repositories."""
        folder = self.inside.open(layout.BOOKS, make=True)
        for name, text in ((".gitignore", "*"), ("CACHEDIR.TAG", layout.CACHEDIR_TAG)):
            try:
                fd = os.open(name, _NEW, 0o666, dir_fd=folder)
            except FileExistsError:
                continue
            try:
                write_all(fd, text.encode())
            finally:
                os.close(fd)

    def take(
        self, spec: FileSpec, source: Source, previous: Placed | None, stopped: Callable[[], bool] = never
    ) -> Placed | None:
        """The file that stands at the place already, when it has the right content; None when it must be fetched.

        Raises `Failure` (path_taken) when something stands there that neither is right nor was put there before.
        """
        found = self._look(spec)
        if found is None:
            return None
        if self._is_previous(spec, previous, found):
            if self._books(spec)[1:] == [source.etag] or self._has(spec, source, stopped):
                return self._entered(spec, source, found=True)
            return None
        if stat.S_ISREG(found.st_mode) and self._has(spec, source, stopped):
            return self._entered(spec, source, found=True)
        if stopped():
            return None
        raise self._taken(spec)

    def move_in(self, name: str, spec: FileSpec, source: Source, previous: Placed | None) -> Placed:
        """Rename the complete file `name` among the books to its place. Raises OSError, and `Failure` (path_taken)."""
        with self._busy:
            return self._move_in(name, spec, source, previous)

    def _move_in(self, name: str, spec: FileSpec, source: Source, previous: Placed | None) -> Placed:
        *above, last = layout.file_parts(spec.file_path)
        folder = self.inside.open(above, make=True)
        try:
            fs_ops.rename_new(self.books(), name, folder, last)
        except FileExistsError:
            found = os.lstat(last, dir_fd=folder)
            if not self._is_previous(spec, previous, found):
                if stat.S_ISREG(found.st_mode) and self._has(spec, source, never):
                    os.unlink(name, dir_fd=self.books())
                    return self._entered(spec, source, found=True)
                raise self._taken(spec) from None
            os.rename(name, last, src_dir_fd=self.books(), dst_dir_fd=folder)
        self.inside.note_change(above)
        return self._entered(spec, source)

    def copy_new(self, blob: int, spec: FileSpec, source: Source, stopped: Callable[[], bool]) -> str | None:
        """Copy (or clone) an open blob among the books, not synced yet; its name.

        What is verified is the copy. None when it is not the content. Raises `Failure` (disk_full).
        """
        name = layout.new_name(spec.id)
        fd = open_new(name, self.books())
        good = False
        try:
            room = partial(self._room, name, self.root)
            good = fs_ops.copy_file(blob, fd, stopped, room) and has_content(fd, source, stopped)
        finally:
            os.close(fd)
            if not good:
                self._discard(name)
        return name if good else None

    def write_new(self, spec: FileSpec, data: bytes | bytearray) -> str:
        """A small file among the books, not synced yet; its name."""
        name = layout.new_name(spec.id)
        fs_ops.write_new(name, data, self.books())
        return name

    def discard(self, spec: FileSpec) -> None:
        """Delete what is there of a file that is not complete: the part file, and what a crash left."""
        *above, _ = layout.file_parts(spec.file_path)
        names = ((), layout.part_name(spec.id)), ((), layout.new_name(spec.id)), (above, layout.book_name(spec.id))
        for folder, name in names:
            with contextlib.suppress(FileNotFoundError):
                fs_ops.unlink_quietly(name, self.inside.open((*_DOWNLOAD, *folder)))

    def remove(self, spec: FileSpec, placed: Placed) -> bool:
        """Delete the file if it is the one that was placed, with its entry in the books and folders left empty."""
        with self._busy:
            return self._remove(spec, placed)

    def _remove(self, spec: FileSpec, placed: Placed) -> bool:
        *above, last = layout.file_parts(spec.file_path)
        if placed.path != self.root / spec.file_path:
            return False
        try:
            folder = self.inside.open(above)
            if not placed.is_stat(os.lstat(last, dir_fd=folder)):
                return False
            os.unlink(last, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return False
            raise
        self.inside.note_change(above)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(f"{last}.metadata", dir_fd=self.inside.open((*_DOWNLOAD, *above)))
        self.inside.tidy((*_DOWNLOAD, *above), keep=len(_DOWNLOAD))
        self.inside.tidy(above)
        return True

    def _look(self, spec: FileSpec) -> os.stat_result | None:
        *above, last = layout.file_parts(spec.file_path)
        try:
            return os.lstat(last, dir_fd=self.inside.open(above))
        except FileNotFoundError:
            return None

    def _has(self, spec: FileSpec, source: Source, stopped: Callable[[], bool]) -> bool:
        *above, last = layout.file_parts(spec.file_path)
        try:
            fd = os.open(last, _READ, dir_fd=self.inside.open(above))
        except PermissionError:
            return False
        try:
            if not has_content(fd, source, stopped):
                return False
            sync_file(fd)  # whoever wrote it may not have
            return True
        finally:
            os.close(fd)

    def _is_previous(self, spec: FileSpec, previous: Placed | None, found: os.stat_result) -> bool:
        return previous is not None and previous.path == self.root / spec.file_path and previous.is_stat(found)

    def _books(self, spec: FileSpec) -> list[str]:
        """Commit and etag that the books have of the file; empty when they have nothing."""
        *above, last = layout.file_parts(spec.file_path)
        try:
            fd = os.open(f"{last}.metadata", _READ, dir_fd=self.inside.open((*_DOWNLOAD, *above)))
        except OSError:
            return []
        try:
            return os.read(fd, 1024).decode("ascii", "replace").splitlines()[:2]
        finally:
            os.close(fd)

    def _entered(self, spec: FileSpec, source: Source, *, found: bool = False) -> Placed:
        """The record of the file in its place; the books name its source."""
        *above, last = layout.file_parts(spec.file_path)
        if self._books(spec) != [source.commit, source.etag]:
            with self._busy:
                self._write_books(spec, source)
        there = os.lstat(last, dir_fd=self.inside.open(above))
        return Placed(self.root / spec.file_path, there.st_size, there.st_mtime_ns, found)

    def _write_books(self, spec: FileSpec, source: Source) -> None:
        """The books are for the Hub's client: a file whose name leaves no room for the ending has none."""
        *above, last = layout.file_parts(spec.file_path)
        name = f"{last}.metadata"
        if len(os.fsencode(name)) > 255:
            _log.info("no metadata for a file whose name is too long for it")
            return
        temporary = layout.book_name(spec.id)
        folder = self.books(above)
        fs_ops.write_new(temporary, f"{source.commit}\n{source.etag}\n{time.time()}\n".encode(), folder)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        self.inside.note_change((*_DOWNLOAD, *above))

    def _discard(self, name: str) -> None:
        fs_ops.unlink_quietly(name, self.books())

    def _taken(self, spec: FileSpec) -> Failure:
        return Failure(
            Reason.PATH_TAKEN,
            f"{self.root / spec.file_path} is there already with another content and was not put there by hfdmd:"
            " move it away, or choose another local folder.",
        )


class LocalDirs:
    """Opens local folders; changes to one are made one after the other, reading goes on meanwhile."""

    def __init__(self, allowed: Callable[[], Iterable[str]], room: fs_ops.Room) -> None:
        self._allowed = allowed
        self._room = room
        self._locks = KeyedLocks()  # by the folder's path

    @contextlib.contextmanager
    def open(self, spec: FileSpec | RepoSpec, *, make: bool = True) -> Iterator[LocalDir]:
        """The folder, made with its books if need be. Raises OSError, and `Failure` (path_taken) for where it leads.

        Whoever asked may have swapped it for a link since: what counts is the folder that is open in the end.
        """
        local_dir = spec.local_dir or ""
        root = Path(local_dir)
        busy = self._locks.get(local_dir)
        if make:
            if spec.confined:
                self._check(local_dir, os.path.realpath(local_dir))
            make_folders(root)
        with Folders(root) as inside:
            if spec.confined:
                self._check(local_dir, inside.real_path())
            folder = LocalDir(root, inside, busy, self._room)
            if make:
                folder.start_books()
            yield folder

    def _check(self, local_dir: str, real_path: str) -> None:
        if not is_below(real_path, self._allowed()):
            raise Failure(Reason.PATH_TAKEN, f"{local_dir} leads out of the daemon's allowed_dirs.")
