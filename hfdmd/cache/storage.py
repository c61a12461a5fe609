"""Places files in the Hub's cache or in a local folder. Blocking code for threads, without network access."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hfdmd.cache import fs_ops, layout, locks
from hfdmd.cache.content import Placed, never
from hfdmd.cache.fs_ops import attempt
from hfdmd.cache.hub_cache import Adoptable, HubCache, Removable, Small, prepare_part, write_small
from hfdmd.cache.local_dir import LocalDir, LocalDirs, staging_parts
from hfdmd.cache.locks import Lock
from hfdmd.cache.revisions import CachedFile, files_of_other_revisions
from hfdmd.cache.trees import read_paths, write_tree
from hfdmd.cache.volumes import Volumes
from hfdmd.durable import lacks_inodes, opened
from hfdmd.failure import Failure
from hfdmd.record import Entry, FileSpec, RepoSpec, Source
from hfdmd.wire.types import Reason

__all__ = ["Lock", "Placed", "Storage"]

_log = logging.getLogger(__name__)

T = TypeVar("T")
Item = TypeVar("Item", bound=tuple[Any, ...])
"""A tuple whose first element is its FileSpec."""


class Storage:
    """The one entry to this package. Thread-safe. Methods raise `Failure` for errors of the disk.

    `allowed_dirs` gives the folders that local folders of confined requests must be in. `reserve` reserves disk space
    for copies. `volumes` remembers the drives of folders. `lock_cache` takes the daemon's lock on the cache folder,
    which exists then; it raises OSError and `Failure`, and is called again when the cache's drive is back.
    """

    def __init__(
        self,
        cache_dir: Path,
        allowed_dirs: Callable[[], Iterable[str]] = tuple,
        reserve: fs_ops.Reserve = fs_ops.no_reservation,
        volumes: Volumes | None = None,
        lock_cache: Callable[[], None] = lambda: None,
    ) -> None:
        self._volumes = volumes or Volumes()
        self._cache = HubCache(Path(os.path.abspath(cache_dir)), reserve, self._volumes, lock_cache)
        self._local = LocalDirs(allowed_dirs, reserve, self._volumes)

    def prepare(self) -> None:
        """Create the cache folder with its CACHEDIR.TAG, and lock it.

        Raises OSError when it is not writable, and `Failure` (locked) when its drive is not there.
        """
        self._cache.prepare()

    def folder(self, spec: FileSpec | RepoSpec) -> Path:
        """The folder that its bytes go to: the local folder, or the cache's."""
        return self._cache.root if spec.local_dir is None else Path(spec.local_dir)

    def explained(self, spec: FileSpec | RepoSpec, failure: Failure) -> Failure:
        """The failure, or what the disk says about it: the drive is gone, or has no inodes left. Blocking."""
        folder = str(self.folder(spec))
        if failure.reason in (Reason.DISK_ERROR, Reason.DISK_FULL, Reason.PATH_TAKEN):
            try:
                self._volumes.use(folder)
            except Failure as away:
                return away
            except OSError:
                return failure
        if failure.reason is Reason.DISK_FULL and lacks_inodes(folder):
            return Failure(failure.reason, f"No inodes are left on the disk of {folder}: no file can be created there.")
        return failure

    def part_location(self, spec: FileSpec) -> Path:
        """The path of the part file. Neither reads nor changes the disk."""
        layout.file_parts(spec.file_path)
        if spec.local_dir is not None:
            return _local_part(spec)
        return self._cache.repo_path(spec) / "blobs" / layout.part_name(spec.id)

    def part_path(self, spec: FileSpec, source: Source) -> Path:
        """The path of the part file, on the file system of the final path. Creates its folder."""
        layout.check(spec, source)
        if spec.local_dir is None:
            with fs_ops.as_failures(str(self._cache.repo_path(spec))):
                return self._cache.part_path(spec)
        with fs_ops.as_failures(spec.local_dir), self._local.open(spec) as folder:
            folder.staging(spec)
            folder.folders.sync()
        return _local_part(spec)

    def adopt(self, items: Sequence[Adoptable], stopped: Callable[[], bool] = never) -> list[Placed | Failure | None]:
        """Place content that is on disk already. None for each file that must be fetched.

        Content is verified by reading it, unless it is unchanged since hfdmd placed it (the third value of an item).
        When `stopped` returns True, the remaining results are None.
        """
        return _by_folder(items, lambda group: self._adopt(group, stopped))

    def place(self, spec: FileSpec, source: Source, part: Path, previous: Placed | None) -> Placed:
        """Rename the complete, verified and synced part file to its final path. Durable on return."""
        with fs_ops.as_failures(str(part.parent)):
            if spec.local_dir is None:
                return self._cache.place(spec, source, part, previous)
            layout.check(spec, source)
            with self._local.open(spec) as folder:
                prepare_part(folder.staging(spec), part.name, spec, source)
                placed = folder.move_in(part.name, spec, source, previous)
                folder.folders.sync()
                return placed

    def copy_same_content(
        self, spec: FileSpec, source: Source, other: Placed, previous: Placed | None, stopped: Callable[[], bool]
    ) -> Placed | None:
        """Copy or clone `other`, a placed file of the same content, into a local folder. None when impossible."""
        if spec.local_dir is None:
            return None
        layout.check(spec, source)
        with contextlib.suppress(OSError), opened(other.path) as fd, fs_ops.as_failures(spec.local_dir):
            if not other.matches(os.fstat(fd)):
                return None
            with self._local.open(spec) as folder:
                name = folder.copy_new(fd, spec, source, stopped)
                if name is None:
                    return None
                folder.sync_new([(name, spec)])
                placed = folder.move_in(name, spec, source, previous)
                folder.folders.sync()
                return placed
        return None

    def place_small(self, items: Sequence[Small]) -> list[Placed | Failure]:
        """Write many small, verified files with few syncs. Failures are per file."""
        return _by_folder(items, self._place_small)

    def lock(self, spec: FileSpec, source: Source) -> Lock | None:
        """Take the Hub client's lock for this file without waiting. None when another program holds it."""
        path = self._lock_path(spec, source)
        with fs_ops.as_failures(path):
            if spec.local_dir is None:
                self._cache.check()
            else:
                with self._local.open(spec) as folder:
                    folder.metadata_folder(layout.file_parts(spec.file_path)[:-1])
            if not locks.name_fits(path):
                return Lock(None)
            try:
                return locks.try_lock(path)
            except PermissionError:  # of another user; unique part names and renames are safe without it
                _log.info("a lock file of the Hub's client belongs to another user; continuing without the lock")
                return Lock(None)

    def is_in_place(self, path: str, size_bytes: int) -> bool:
        """Whether the file exists with that size. `path` is a string, since thousands are checked in a row."""
        try:
            return os.stat(path).st_size == size_bytes
        except OSError:
            return False

    def delete_all(self, items: Sequence[Removable]) -> list[bool | Failure]:
        """Delete files of local folders, or of snapshots with the blobs that no other file uses.

        False, and nothing is changed, for a file that has changed since it was placed.
        """
        # path_taken: a symlink or a file has replaced a folder, so the file is not the one that was placed
        return [
            False if isinstance(removed, Failure) and removed.reason is Reason.PATH_TAKEN else removed
            for removed in _by_folder(items, self._delete)
        ]

    def discard_part(self, spec: FileSpec, source: Source) -> None:
        """Delete the part file if it exists."""
        if spec.local_dir is None:
            with fs_ops.as_failures(str(self._cache.repo_path(spec))):
                self._cache.discard_part(spec)
        elif Path(spec.local_dir).is_dir():
            with fs_ops.as_failures(spec.local_dir), self._local.open(spec, make=False) as folder:
                folder.discard(spec)

    def discard_leftovers(self, specs: Iterable[FileSpec]) -> None:
        """Delete temporary files that a crash left in local folders, of downloads without progress.

        Temporary files of other downloads are kept: another daemon may use the folder. What cannot be deleted is
        logged.
        """
        for spec in specs:
            part = _local_part(spec)
            above = layout.file_parts(spec.file_path)[:-1]
            metadata = Path(
                spec.local_dir or "", *layout.METADATA_FOLDER, "download", *above, layout.own_name(spec.id, "book")
            )
            if any(os.path.lexists(path) for path in (part, part.with_name(layout.own_name(spec.id, "new")), metadata)):
                try:
                    with fs_ops.as_failures(str(part.parent)), self._local.open(spec, make=False) as folder:
                        folder.discard(spec)
                except Failure as failure:
                    _log.warning("cannot remove what a crash left: %s", failure.detail)

    def discard_unlisted(self, spec: RepoSpec, commit: str | None, kept: Collection[Path]) -> None:
        """Delete temporary files that a crash left of a repo download in its local folder, except the `kept` ones.

        A kill during a listing may leave files of downloads without a tracker. The commit's tree file, which is written
        before, has their paths. Raises `Failure`.
        """
        if spec.local_dir is None or not Path(spec.local_dir, *layout.METADATA_FOLDER).is_dir():
            return
        paths: list[str] = []
        with fs_ops.as_failures(spec.local_dir), self._local.open(spec, make=False) as folder:
            with contextlib.suppress(FileNotFoundError):
                fs_ops.unlink_if_exists(
                    layout.own_name(spec.id, "tree"), folder.folders.open((*layout.METADATA_FOLDER, "trees"))
                )
            if commit is not None:
                paths = read_paths(folder.folders, layout.METADATA_FOLDER, commit)
        files = (spec.file(path) for path in paths)
        self.discard_leftovers(file for file in files if _local_part(file) not in kept)

    def write_tree(self, spec: RepoSpec, commit: str, entries: Iterable[Entry]) -> None:
        """Write the list of a commit's files for the Hub's client. Call it before files of the commit are placed."""
        temporary = layout.own_name(spec.id, "tree")
        if spec.local_dir is None:
            with fs_ops.as_failures(str(self._cache.repo_path(spec))), self._cache.open_repo(spec) as repo:
                write_tree(repo.folders, (), commit, entries, temporary)
        else:
            with fs_ops.as_failures(spec.local_dir), self._local.open(spec) as folder:
                write_tree(folder.folders, layout.METADATA_FOLDER, commit, entries, temporary)

    def discard_orphans(self, known: Collection[Path]) -> None:
        """Delete part files of hfdmd in the cache that are not in `known`, and temporary files that a crash left.

        Call it before the first file is placed. What cannot be deleted is logged.
        """
        for orphan in self._cache.orphan_parts(known):
            try:
                orphan.unlink(missing_ok=True)
                _log.info("removed %s: no tracker names it", orphan)
            except OSError as error:
                _log.warning("cannot remove %s, which no tracker names: %s", orphan, error.strerror)

    def cached(self, spec: FileSpec, source: Source) -> bool:
        """Whether a file of the right size exists. Its content is not read."""
        if spec.local_dir is None:
            return self._cache.has_blob(spec, source)
        path = Path(spec.local_dir, *layout.file_parts(spec.file_path))
        try:
            return path.lstat().st_size == source.size_bytes
        except OSError:
            return False

    def files_of_other_revisions(self, spec: FileSpec, source: Source) -> list[CachedFile]:
        """Files of the repo in the cache, of other commits than that of `source`: those with a Xet hash, and those at
        the path of `spec`. Their content is not read."""
        layout.check_source(source)
        layout.file_parts(spec.file_path)
        return files_of_other_revisions(self._cache.repo_path(spec), source.commit, spec.file_path)

    def _delete(self, group: Sequence[Removable]) -> list[bool | Failure]:
        local_dir = group[0][0].local_dir
        if local_dir is None:
            return self._cache.remove(group)
        if not Path(local_dir).is_dir():
            return [False] * len(group)
        with self._local.open(group[0][0], make=False) as folder:
            removed = [attempt(partial(folder.remove, spec, placed), spec) for spec, _, placed in group]
            folder.folders.sync()
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
            return _move_in(folder, found, group)

    def _find_local(
        self, folder: LocalDir, spec: FileSpec, source: Source, previous: Placed | None, stopped: Callable[[], bool]
    ) -> Placed | str | None:
        """The file at its path, or the name of a copy of the cached content that can be moved there."""
        layout.check(spec, source)
        adopted = folder.adopt(spec, source, previous, stopped)
        if adopted is not None:
            return adopted
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
            written = [attempt(partial(_write_staged, folder, *item[:3]), item[0]) for item in group]
            return _move_in(folder, written, [(spec, source, previous) for spec, source, _, previous in group])

    def _lock_path(self, spec: FileSpec, source: Source) -> str:
        if spec.local_dir is None:
            return self._cache.lock_path(spec, source)
        layout.check(spec, source)
        *above, name = layout.file_parts(spec.file_path)
        return os.path.join(spec.local_dir, *layout.METADATA_FOLDER, "download", *above, f"{name}.lock")


def _local_part(spec: FileSpec) -> Path:
    return Path(spec.local_dir or "", *staging_parts(spec), layout.part_name(spec.id))


def _write_staged(folder: LocalDir, spec: FileSpec, source: Source, data: bytes | bytearray) -> str:
    return write_small(folder.staging(spec), spec, source, data)


def _move_in(folder: LocalDir, found: Sequence[str | T], items: Sequence[Adoptable]) -> list[Placed | Failure | T]:
    """Sync the new files whose names are in `found`, and move each to the path of its item."""
    folder.sync_new((one, item[0]) for one, item in zip(found, items, strict=True) if isinstance(one, str))
    results = [
        attempt(partial(folder.move_in, one, *item), item[0]) if isinstance(one, str) else one
        for one, item in zip(found, items, strict=True)
    ]
    folder.folders.sync()
    return results


def _by_folder(items: Sequence[Item], handle: Callable[[list[Item]], Sequence[T]]) -> list[T | Failure]:
    """Call `handle` for each group of items of the same cache folder or local folder.

    Returns the results in the order of the items. Where a whole group fails, its items are handled one by one: a bad
    one does not stop the others.
    """
    groups: dict[tuple[str, bool], list[int]] = {}
    for index, item in enumerate(items):
        spec: FileSpec = item[0]
        where = spec.local_dir or f"{spec.repo_type.value} {spec.model_repo}"
        groups.setdefault((where, spec.confined), []).append(index)
    results: dict[int, T | Failure] = {}
    for indices in groups.values():
        group = [items[index] for index in indices]
        done = attempt(partial(handle, group), group[0][0])
        if isinstance(done, Failure):
            each = [done] if len(group) == 1 else [attempt(partial(handle, [item]), item[0]) for item in group]
            results.update(zip(indices, (one if isinstance(one, Failure) else one[0] for one in each), strict=True))
        else:
            results.update(zip(indices, done, strict=True))
    return [results[index] for index in range(len(items))]
