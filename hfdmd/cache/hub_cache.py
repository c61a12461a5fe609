"""The Hub's standard cache, in the layout of `huggingface_hub`, so that every program that uses it finds the files.

Content of other programs is verified before it is used (`hfdmd.cache.content`). Nothing is written through a
symlink.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hfdmd.cache import fs_ops, layout
from hfdmd.cache.content import Placed, Read, VerifiedFiles, never
from hfdmd.cache.folders import Folders, make_folders
from hfdmd.cache.fs_ops import attempt
from hfdmd.cache.locks import KeyedLocks
from hfdmd.cache.shared_blobs import find_shared, link_shared
from hfdmd.cache.snapshots import RepoFolder
from hfdmd.cache.volumes import Volumes
from hfdmd.durable import sync_files, write_new
from hfdmd.failure import Failure
from hfdmd.record import FileSpec, RepoSpec, Source
from hfdmd.wire.environment import is_on
from hfdmd.wire.types import Reason

Adoptable = tuple[FileSpec, Source, Placed | None]
"""A file that may be on disk already, and what hfdmd placed at its path before."""

Removable = tuple[FileSpec, Source, Placed]
Small = tuple[FileSpec, Source, bytes | bytearray, Placed | None]
"""A small file with its content, and what hfdmd placed at its path before."""


class HubCache:
    """The cache at `root`. Thread-safe: one thread at a time changes the folder of a repo."""

    def __init__(self, root: Path, reserve: fs_ops.Reserve, volumes: Volumes, lock: Callable[[], None]) -> None:
        """`lock` is called when the root is there: it takes the daemon's lock on it. Raises OSError, `Failure`."""
        self.root = root
        self._reserve = reserve
        self._volumes = volumes
        self._lock = lock
        self._prepared: tuple[int, int] | None = None
        """Device and inode of the root when it was prepared."""
        self._preparing = threading.Lock()
        self._locks = KeyedLocks()  # by name of the repo's folder
        self._expected: dict[str, set[str]] = {}
        """Ids of the downloads that may create a part file, by name of the repo's folder."""
        self._symlinks_work: bool | None = None
        self._verified_files = VerifiedFiles()

    def prepare(self) -> None:
        """Create the root with its CACHEDIR.TAG, which backup programs read, and lock it; again when its drive is back.

        Raises OSError when it is not writable, and `Failure` (locked) when its drive is not there.
        """
        with self._preparing:
            self._volumes.use(str(self.root))
            make_folders(self.root)
            found = os.stat(self.root)
            if self._prepared == (found.st_dev, found.st_ino):
                return
            self._lock()
            tag = self.root / "CACHEDIR.TAG"
            if not tag.exists():
                tag.write_text(layout.CACHEDIR_TAG)
            if not os.access(self.root, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.root))
            self._prepared = found.st_dev, found.st_ino

    def check(self) -> None:
        """Raises `Failure` (locked) and OSError while the root cannot be used."""
        try:
            found = os.stat(self.root)
        except OSError:
            self.prepare()
        else:
            if self._prepared != (found.st_dev, found.st_ino):
                self.prepare()

    def repo_path(self, spec: FileSpec | RepoSpec) -> Path:
        return self.root / layout.repo_folder(spec.repo_type, spec.model_repo)

    def lock_path(self, spec: FileSpec, source: Source) -> str:
        """The path of the client's lock file for this blob."""
        layout.check_source(source)
        return f"{self.root}/.locks/{layout.repo_folder(spec.repo_type, spec.model_repo)}/{source.etag}.lock"

    def part_path(self, spec: FileSpec) -> Path:
        """The path of the part file, beside the blobs; creates the folder."""
        name = layout.part_name(spec.id)
        with self.open_repo(spec) as repo:
            self._expected.setdefault(repo.path.name, set()).add(spec.id)
            repo.folders.sync()
            return repo.path / "blobs" / name

    def has_blob(self, spec: FileSpec, source: Source) -> bool:
        """Whether a file of the right size is in the cache. Its content is not read."""
        return any(_has_size(path, source) for path in self._content_paths(spec, source))

    def open_content(self, spec: FileSpec, source: Source) -> int | None:
        """Open the file that `has_blob` found; its content is not verified. None when there is none."""
        for path in self._content_paths(spec, source):
            if _has_size(path, source):
                with contextlib.suppress(OSError):
                    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        return None

    def _content_paths(self, spec: FileSpec, source: Source) -> tuple[str, str]:
        """Where the content can be: the blob, or the snapshot's file in a cache without symlinks."""
        layout.check_source(source)
        layout.file_parts(spec.file_path)
        repo = f"{self.root}/{layout.repo_folder(spec.repo_type, spec.model_repo)}"  # a Path takes five times as long
        return f"{repo}/blobs/{source.etag}", f"{repo}/snapshots/{source.commit}/{spec.file_path}"

    def adopt(self, items: Sequence[Adoptable], stopped: Callable[[], bool] = never) -> list[Placed | Failure | None]:
        """Use content that is in the cache already, all items of one repo. None for files that must be fetched."""
        results: list[Placed | Failure | None] = [None] * len(items)
        present: dict[int, bool] = {}
        """Whether the file was in this cache before, by index."""
        read: list[Read] = []
        for index, item in enumerate(items):
            found = attempt(partial(self._find, item, stopped, read), item[0])
            if isinstance(found, bool):
                present[index] = found
            else:
                results[index] = found
        self._verified_files.sync_and_remember(read)
        if present:
            with self.open_repo(items[0][0]) as repo:
                for index, was_cached in present.items():
                    results[index] = attempt(partial(_adopt_cached, repo, items[index], was_cached), items[index][0])
                    self._forget_expected(repo.path.name, items[index][0])
                repo.folders.sync()
        return results

    def place(self, spec: FileSpec, source: Source, part: Path, previous: Placed | None) -> Placed:
        """Move a complete part file to its place in the cache. Raises OSError and `Failure`."""
        layout.check(spec, source)
        with self.open_repo(spec) as repo:
            prepare_part(repo.blobs(), part.name, spec, source)
            repo.rename_to_blobs([(part.name, source)])
            placed = repo.enter(spec, source, previous, part.name)
            repo.folders.sync()
            self._forget_expected(repo.path.name, spec)
        self._verified_files.remember(placed.path, source)
        return placed

    def place_small(self, items: Sequence[Small]) -> list[Placed | Failure]:
        """Write many small files of one repo: one sync for the data, one for the names."""
        with self.open_repo(items[0][0]) as repo:
            written = [attempt(partial(write_small, repo.blobs(), *item[:3]), item[0]) for item in items]
            new = {name: item[1] for name, item in zip(written, items, strict=True) if isinstance(name, str)}
            try:
                sync_files(repo.blobs(), list(new))
                repo.rename_to_blobs(new.items())
            except OSError:
                for name in new:
                    fs_ops.unlink_if_exists(name, repo.blobs())
                raise
            results = [
                name if isinstance(name, Failure) else attempt(partial(repo.enter, spec, source, previous, name), spec)
                for name, (spec, source, _, previous) in zip(written, items, strict=True)
            ]
            repo.folders.sync()
        return results

    def remove(self, items: Sequence[Removable]) -> list[bool | Failure]:
        """Delete placed files, all items of one repo, and the blobs that are unused then. False for a changed file."""
        if not self.repo_path(items[0][0]).is_dir():
            return [False] * len(items)
        with self.open_repo(items[0][0]) as repo:
            results: list[bool | Failure] = []
            etags: set[str] = set()
            commits: set[str] = set()
            for spec, source, placed in items:
                layout.check_source(source)
                removed = attempt(partial(repo.remove_pointer, spec, source, placed), spec)
                results.append(False if removed is None else removed)
                if removed is True or removed is None:  # None: an earlier deletion was killed here
                    commits.add(source.commit)
                    if removed or repo.has_blob(source, placed):
                        etags.add(source.etag)
            if commits:
                repo.remove_unused(etags, commits)
            self._remove_if_empty(repo)
        return results

    def discard_part(self, spec: FileSpec) -> None:
        """Delete the part file, and the repo's folder if nothing else is in it."""
        path = self.repo_path(spec)
        if not path.is_dir():
            self._forget_expected(path.name, spec)
            return
        with self.open_repo(spec) as repo:
            fs_ops.unlink_if_exists(layout.part_name(spec.id), repo.blobs())
            self._forget_expected(repo.path.name, spec)
            self._remove_if_empty(repo)

    def orphan_parts(self, known: Collection[Path]) -> list[Path]:
        """Part files of hfdmd that are not in `known`, and temporary files that a crash left."""
        kept = set(known)
        found = [path for below in (".", "blobs", "trees") for path in self.root.glob(f"*--*/{below}/hfdmd-*")]
        return [path for path in found if layout.is_temporary(path.name) and path not in kept]

    @contextlib.contextmanager
    def open_repo(self, spec: FileSpec | RepoSpec) -> Iterator[RepoFolder]:
        """Create the repo's folder if missing and open it, for one thread at a time. Raises OSError."""
        self.check()
        path = self.repo_path(spec)
        with self._locks.get(path.name):
            make_folders(path)
            with Folders(path, partial(self._follow, path)) as folders:
                # first: the client's cache scan reports a repo without it as corrupted
                folders.open(("snapshots",), make=True)
                blobs = folders.open(("blobs",), make=True)
                yield RepoFolder(path, folders, self._reserve, self._can_symlink(blobs))

    def _follow(self, repo: Path, link: str) -> None:
        """A repo's blobs may be on another disk. Other folders contain relative links, which a link would break."""
        if link != str(repo / "blobs"):
            raise OSError(errno.ELOOP, f"{link} is a symbolic link, followed only in the place of blobs", link)
        self._volumes.use(link)

    def _remove_if_empty(self, repo: RepoFolder) -> None:
        """Remove the repo's folder if it is empty, unless a download may create a part file in it."""
        if repo.path.name not in self._expected:
            repo.remove_if_empty()

    def _forget_expected(self, repo: str, spec: FileSpec) -> None:
        """The download creates no part file any more."""
        expected = self._expected.get(repo, set())
        expected.discard(spec.id)
        if not expected:
            self._expected.pop(repo, None)

    def _find(self, item: Adoptable, stopped: Callable[[], bool], read: list[Read]) -> bool | None:
        """True if the repo has the content, False if the store that repos share had it and the blob is a link to it.

        None if neither has it. Content that is used is verified.
        """
        spec, source, previous = item
        paths = self._content_paths(spec, source)
        if any(self._verified_files.is_verified(path, source, previous, stopped, read) for path in paths):
            return True
        payload = find_shared(self.root, source, stopped)
        if payload is None:
            return None
        with self.open_repo(spec) as repo:
            if not repo.symlinks or not link_shared(self.root, payload, Path(paths[0])):
                return None
            repo.folders.mark_changed(("blobs",))
            repo.folders.sync()
            return False

    def _can_symlink(self, blobs: int) -> bool:
        """Whether snapshots are made of symlinks. Tried once, unless the client's setting forbids them."""
        if is_on("HF_HUB_DISABLE_SYMLINKS"):
            return False
        if self._symlinks_work is None:
            name = layout.temporary_name()
            try:
                os.symlink("x", name, dir_fd=blobs)
            except OSError:
                fs_ops.default_mode(blobs, name)  # raises where files are refused as well
                self._symlinks_work = False
            else:
                self._symlinks_work = True
                os.unlink(name, dir_fd=blobs)
        return self._symlinks_work


def _adopt_cached(repo: RepoFolder, item: Adoptable, found: bool) -> Placed | None:
    """Add content that is in the cache to its snapshot; None when an app deleted it meanwhile."""
    try:
        return replace(repo.enter(*item), found=found)
    except FileNotFoundError:
        return None


def prepare_part(folder: int, name: str, spec: FileSpec, source: Source) -> None:
    """Give a part file the mode of a new file. Raises OSError, and `Failure` when it is not what should be placed."""
    try:
        found = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        raise Failure(
            Reason.RESTARTED, "The partial file was deleted by another program; it is fetched again."
        ) from None
    if not stat.S_ISREG(found.st_mode) or source.size_bytes not in (None, found.st_size):
        raise Failure(Reason.DISK_ERROR, f"The partial file {name} was changed by another program.")
    mode = fs_ops.default_mode(folder, layout.own_name(spec.id, "new"))
    with contextlib.suppress(OSError):  # disks without modes (FAT, SMB, mounted buckets) may refuse it
        os.chmod(name, mode, dir_fd=folder)


def write_small(folder: int, spec: FileSpec, source: Source, data: bytes | bytearray) -> str:
    """Write a small file under a temporary name, without a sync, and return the name. Raises OSError and `Failure`."""
    layout.check(spec, source)
    if source.size_bytes not in (None, len(data)):
        raise Failure(Reason.INTERNAL, f"{spec.file_path} should have {source.size_bytes} bytes, not {len(data)}.")
    name = layout.own_name(spec.id, "new")
    write_new(name, data, folder)
    return name


def _has_size(path: str, source: Source) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and source.size_bytes in (None, found.st_size)
