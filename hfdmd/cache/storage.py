"""Where files belong: the Hub's cache, or a local folder. Plain synchronous code for threads; never the network."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from hfdmd.cache import fs_ops, layout, locks
from hfdmd.cache.batch import attempt, by_folder
from hfdmd.cache.content import Placed, never
from hfdmd.cache.hub_cache import Adoptable, HubCache, Removable, Small, check_part
from hfdmd.cache.local_dir import LocalDir, LocalDirs
from hfdmd.cache.locks import Lock
from hfdmd.cache.trees import read_paths, write_tree
from hfdmd.durable import sync_files
from hfdmd.failure import Failure
from hfdmd.record import Entry, FileSpec, RepoSpec, Source
from hfdmd.wire.types import Reason

__all__ = ["Lock", "Placed", "Storage"]

_log = logging.getLogger(__name__)


class Storage:
    """Thread-safe. Methods raise `Failure` for expected trouble (disk_full, disk_error, path_taken, restarted).

    `allowed_dirs` is asked where the local folders of confined requests may be, `room` for room for copies.
    """

    def __init__(
        self,
        cache_dir: Path,
        allowed_dirs: Callable[[], Iterable[str]] = tuple,
        room: fs_ops.Room = fs_ops.boundless,
    ) -> None:
        self._cache = HubCache(Path(os.path.abspath(cache_dir)), room)
        self._local = LocalDirs(allowed_dirs, room)

    def prepare(self) -> None:
        """The cache folder with its CACHEDIR.TAG. Raises OSError when it cannot be written."""
        self._cache.prepare()

    def part_place(self, spec: FileSpec) -> Path:
        """Where the part file is, if there is one; nothing is made and nothing is looked at."""
        layout.file_parts(spec.file_path)
        if spec.local_dir is not None:
            return _local_part(spec)
        return self._cache.repo_path(spec) / "blobs" / layout.part_name(spec.id)

    def part_path(self, spec: FileSpec, source: Source) -> Path:
        """Where the part file goes, on the file system of its final place; its folder is made."""
        layout.check_source(source)
        layout.file_parts(spec.file_path)
        if spec.local_dir is None:
            with fs_ops.disk_trouble(str(self._cache.repo_path(spec))):
                return self._cache.part_path(spec)
        layout.check_local(spec)
        with fs_ops.disk_trouble(spec.local_dir), self._local.open(spec) as folder:
            folder.books()
            folder.inside.sync()
        return _local_part(spec)

    def adopt(self, items: Sequence[Adoptable], stopped: Callable[[], bool] = never) -> list[Placed | Failure | None]:
        """What is on this machine already, put in its place; None for what must be fetched.

        Content is verified by reading it, unless it is what hfdmd placed before (the items' third) and unchanged.
        `stopped` is asked while reading; once it says so, the rest is answered None.
        """
        return by_folder(items, lambda group: self._adopt(group, stopped))

    def place(self, spec: FileSpec, source: Source, part: Path, previous: Placed | None) -> Placed:
        """Rename the complete, verified, synced part file into its place. On return every step is on the disk."""
        with fs_ops.disk_trouble(str(part.parent)):
            if spec.local_dir is None:
                return self._cache.place(spec, source, part, previous)
            layout.check_source(source)
            layout.check_local(spec)
            with self._local.open(spec) as folder:
                books = folder.books()
                check_part(books, part.name, source)
                os.chmod(part.name, fs_ops.natural_mode(books, layout.new_name(spec.id)), dir_fd=books)
                placed = folder.move_in(part.name, spec, source, previous)
                folder.inside.sync()
                return placed

    def copy_twin(
        self, spec: FileSpec, source: Source, twin: Placed, previous: Placed | None, stopped: Callable[[], bool]
    ) -> Placed | None:
        """A file of a local folder by copy or reflink from `twin`, another of the same content; None: to be fetched."""
        if spec.local_dir is None:
            return None
        layout.check_source(source)
        layout.check_local(spec)
        try:
            fd = os.open(twin.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            if not twin.is_stat(os.fstat(fd)):
                return None
            with fs_ops.disk_trouble(spec.local_dir), self._local.open(spec) as folder:
                name = folder.copy_new(fd, spec, source, stopped)
                if name is None:
                    return None
                sync_files(folder.books(), [name])
                placed = folder.move_in(name, spec, source, previous)
                folder.inside.sync()
                return placed
        finally:
            os.close(fd)

    def place_small(self, items: Sequence[Small]) -> list[Placed | Failure]:
        """Put many small, verified files in their places with few syncs; each has its own outcome."""
        return by_folder(items, self._place_small)

    def lock(self, spec: FileSpec, source: Source) -> Lock | None:
        """The Hub client's own lock for this file, without waiting; None when somebody else holds it."""
        path = self._lock_path(spec, source)
        if not locks.name_fits(path):
            return Lock(None)
        with fs_ops.disk_trouble(path):
            if spec.local_dir is not None:
                with self._local.open(spec) as folder:
                    folder.books(layout.file_parts(spec.file_path)[:-1])
            try:
                return locks.take(path)
            except PermissionError:  # another user's lock; unique part names and renames are safe without it
                _log.info("a lock of the Hub's client belongs to another user, going on without it")
                return Lock(None)

    def stands(self, path: str, size_bytes: int) -> bool:
        """Whether the file is still there with that size. Thousands are looked at in a row: `path` is a string."""
        try:
            return os.stat(path).st_size == size_bytes
        except OSError:
            return False

    def delete(self, spec: FileSpec, source: Source, placed: Placed) -> bool:
        """Delete the file: the snapshot's entry, and the blob when nothing else uses it; or the local folder's file.

        False, and nothing is touched, when it is not what was recorded.
        """
        [removed] = self.delete_all([(spec, source, placed)])
        if isinstance(removed, Failure):
            raise removed
        return removed

    def delete_all(self, items: Sequence[Removable]) -> list[bool | Failure]:
        """`delete` for many files, looking once for who else uses their blobs."""
        # a link or a file where there was a folder: then it is not what was recorded
        return [
            False if isinstance(removed, Failure) and removed.reason is Reason.PATH_TAKEN else removed
            for removed in by_folder(items, self._delete)
        ]

    def discard_part(self, spec: FileSpec, source: Source) -> None:
        """Delete the part file, if there is one."""
        if spec.local_dir is None:
            with fs_ops.disk_trouble(str(self._cache.repo_path(spec))):
                self._cache.discard_part(spec)
        elif Path(spec.local_dir).is_dir():
            with fs_ops.disk_trouble(spec.local_dir), self._local.open(spec, make=False) as folder:
                folder.discard(spec)

    def discard_leftovers(self, specs: Iterable[FileSpec]) -> None:
        """Delete what a crash left in local folders of these files, which have nothing that counts. Raises `Failure`.

        Other files there are not looked at: the folder may be another daemon's as well.
        """
        for spec in specs:
            part = _local_part(spec)
            book = part.parent.joinpath(*layout.file_parts(spec.file_path)[:-1], layout.book_name(spec.id))
            if any(os.path.lexists(path) for path in (part, part.with_name(layout.new_name(spec.id)), book)):
                with (
                    fs_ops.disk_trouble(str(part.parent)),
                    self._local.open(spec, make=False) as folder,
                ):
                    folder.discard(spec)

    def discard_unlisted(self, spec: RepoSpec, commit: str | None, kept: Collection[Path]) -> None:
        """Delete what a crash left of a repo download in its local folder, but no part file that is `kept`.

        A kill in a listing leaves files begun that no tracker names: the tree names them, which is written first.
        Raises `Failure`.
        """
        if spec.local_dir is None or not Path(spec.local_dir, *layout.BOOKS).is_dir():
            return
        paths: list[str] = []
        with fs_ops.disk_trouble(spec.local_dir), self._local.open(spec, make=False) as folder:
            with contextlib.suppress(FileNotFoundError):
                fs_ops.unlink_quietly(layout.tree_name(spec.id), folder.inside.open((*layout.BOOKS, "trees")))
            if commit is not None:
                paths = read_paths(folder.inside, layout.BOOKS, commit)
        files = (spec.file(path) for path in paths)
        self.discard_leftovers(file for file in files if _local_part(file) not in kept)

    def write_tree(self, spec: RepoSpec, commit: str, entries: Iterable[Entry]) -> None:
        """The list of all files of a commit, for the Hub's client. To be written before the files."""
        temporary = layout.tree_name(spec.id)
        if spec.local_dir is None:
            with fs_ops.disk_trouble(str(self._cache.repo_path(spec))), self._cache.open_repo(spec) as repo:
                write_tree(repo.inside, (), commit, entries, temporary)
        else:
            with fs_ops.disk_trouble(spec.local_dir), self._local.open(spec) as folder:
                write_tree(folder.inside, layout.BOOKS, commit, entries, temporary)

    def orphan_parts(self, known: Collection[Path]) -> list[Path]:
        """Part files of hfdmd in the cache that are not among `known`, and what a crash left of shorter-lived ones.

        Only for a daemon that places nothing yet.
        """
        return self._cache.orphan_parts(known)

    def cached(self, spec: FileSpec, source: Source) -> bool:
        """Whether the file is here, as far as its size tells; without reading it."""
        if spec.local_dir is None:
            return self._cache.has_blob(spec, source)
        path = Path(spec.local_dir, *layout.file_parts(spec.file_path))
        try:
            return path.lstat().st_size == source.size_bytes
        except OSError:
            return False

    def _delete(self, group: Sequence[Removable]) -> list[bool | Failure]:
        local_dir = group[0][0].local_dir
        if local_dir is None:
            return self._cache.remove(group)
        if not Path(local_dir).is_dir():
            return [False] * len(group)
        with self._local.open(group[0][0], make=False) as folder:
            removed = [attempt(partial(folder.remove, spec, placed), spec) for spec, _, placed in group]
            folder.inside.sync()
        return removed

    def _adopt(self, group: Sequence[Adoptable], stopped: Callable[[], bool]) -> list[Placed | Failure | None]:
        local_dir = group[0][0].local_dir
        if local_dir is None:
            return self._cache.adopt(group, stopped)
        if not Path(local_dir).is_dir() and not any(self._cache.has_blob(spec, source) for spec, source, _ in group):
            return [None] * len(group)
        with self._local.open(group[0][0]) as folder:
            found = [
                attempt(partial(self._find_local, folder, spec, source, previous, stopped), spec)
                for spec, source, previous in group
            ]
            copies = [one for one in found if isinstance(one, str)]
            sync_files(folder.books(), copies)
            results = [
                attempt(partial(folder.move_in, one, spec, source, previous), spec) if isinstance(one, str) else one
                for one, (spec, source, previous) in zip(found, group, strict=True)
            ]
            folder.inside.sync()
        return results

    def _find_local(
        self, folder: LocalDir, spec: FileSpec, source: Source, previous: Placed | None, stopped: Callable[[], bool]
    ) -> Placed | str | None:
        """The file in its place, or the name of a copy of the cache's that may go there."""
        layout.check_source(source)
        layout.check_local(spec)
        taken = folder.take(spec, source, previous, stopped)
        if taken is not None:
            return taken
        blob = self._cache.open_content(spec, source)
        if blob is None:
            return None
        try:
            return folder.copy_new(blob, spec, source, stopped)
        finally:
            os.close(blob)

    def _place_small(self, group: Sequence[Small]) -> list[Placed | Failure]:
        local_dir = group[0][0].local_dir
        if local_dir is None:
            return self._cache.place_small(group)
        with self._local.open(group[0][0]) as folder:
            written = [attempt(partial(_write_local, folder, *item[:3]), item[0]) for item in group]
            sync_files(folder.books(), [name for name in written if isinstance(name, str)])
            results = [
                name
                if isinstance(name, Failure)
                else attempt(partial(folder.move_in, name, spec, source, previous), spec)
                for name, (spec, source, _, previous) in zip(written, group, strict=True)
            ]
            folder.inside.sync()
        return results

    def _lock_path(self, spec: FileSpec, source: Source) -> str:
        if spec.local_dir is None:
            return self._cache.lock_path(spec, source)
        layout.check_local(spec)
        *above, name = layout.file_parts(spec.file_path)
        return os.path.join(spec.local_dir, *layout.BOOKS, "download", *above, f"{name}.lock")


def _local_part(spec: FileSpec) -> Path:
    return Path(spec.local_dir or "", *layout.BOOKS, "download", layout.part_name(spec.id))


def _write_local(folder: LocalDir, spec: FileSpec, source: Source, data: bytes | bytearray) -> str:
    layout.check_source(source)
    layout.check_local(spec)
    return folder.write_new(spec, data)
