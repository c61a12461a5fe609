"""The Hub's standard cache, written so that every program with `huggingface_hub` finds what is put there.

What is there already is taken as `hfdmd.cache.verified_files` trusts it. Nothing is ever written through a link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hfdmd.cache import fs_ops, layout
from hfdmd.cache.batch import attempt
from hfdmd.cache.content import Placed, never
from hfdmd.cache.folders import make_folders
from hfdmd.cache.keyed_locks import KeyedLocks
from hfdmd.cache.shared_blobs import find_shared, link_shared
from hfdmd.cache.snapshots import RepoFolder
from hfdmd.cache.verified_files import Read, VerifiedFiles
from hfdmd.durable import sync_files, sync_folder
from hfdmd.failure import Failure
from hfdmd.record import FileSpec, RepoSpec, Source
from hfdmd.wire.types import Reason

_NO_SYMLINKS = errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP

Adoptable = tuple[FileSpec, Source, Placed | None]
Removable = tuple[FileSpec, Source, Placed]
Small = tuple[FileSpec, Source, bytes | bytearray, Placed | None]


class HubCache:
    """The cache at `root`. Thread-safe: changes to one repo's folder are made one after the other."""

    def __init__(self, root: Path, room: fs_ops.Room) -> None:
        self.root = root
        self._room = room
        self._locks = KeyedLocks()  # by the repo's folder
        self._expected: dict[str, set[str]] = {}  # ids of downloads that may make a part file, by the repo's folder
        self._symlinks: bool | None = None
        self._trust = VerifiedFiles()

    def prepare(self) -> None:
        """The root with its tag for backup programs. Raises OSError when it cannot be written."""
        make_folders(self.root)
        tag = self.root / "CACHEDIR.TAG"
        if not tag.exists():
            tag.write_text(layout.CACHEDIR_TAG)
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.root))

    def repo_path(self, spec: FileSpec | RepoSpec) -> Path:
        return self.root / layout.repo_folder(spec.repo_type, spec.model_repo)

    def lock_path(self, spec: FileSpec, source: Source) -> str:
        """The client's lock for this blob."""
        layout.check_source(source)
        return f"{self.root}/.locks/{layout.repo_folder(spec.repo_type, spec.model_repo)}/{source.etag}.lock"

    def part_path(self, spec: FileSpec) -> Path:
        """Beside the blobs, whose folder is made."""
        name = layout.part_name(spec.id)
        with self.open_repo(spec) as repo:
            self._expected.setdefault(repo.path.name, set()).add(spec.id)
            repo.inside.sync()
            return repo.path / "blobs" / name

    def has_blob(self, spec: FileSpec, source: Source) -> bool:
        """Whether the file is in the cache as far as its size tells; without reading it."""
        return any(_has_size(path, source) for path in self._places(spec, source))

    def open_content(self, spec: FileSpec, source: Source) -> int | None:
        """The descriptor of what `has_blob` means; not verified. None when there is nothing."""
        for path in self._places(spec, source):
            if _has_size(path, source):
                with contextlib.suppress(OSError):
                    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        return None

    def _places(self, spec: FileSpec, source: Source) -> tuple[str, str]:
        """Where the content may be: the blob, or in a cache without links the snapshot's entry."""
        layout.check_source(source)
        layout.file_parts(spec.file_path)
        repo = f"{self.root}/{layout.repo_folder(spec.repo_type, spec.model_repo)}"  # a Path costs five times as much
        return f"{repo}/blobs/{source.etag}", f"{repo}/snapshots/{source.commit}/{spec.file_path}"

    def adopt(self, items: Sequence[Adoptable], stopped: Callable[[], bool] = never) -> list[Placed | Failure | None]:
        """Take what is in the cache already, all items of one repo; None for what must be fetched."""
        results: list[Placed | Failure | None] = [None] * len(items)
        good: dict[int, bool] = {}
        read: list[Read] = []
        for index, (spec, source, previous) in enumerate(items):
            there = attempt(partial(self._is_there, spec, source, previous, stopped, read), spec)
            verified = there or attempt(partial(self._link_shared, spec, source, stopped), spec)
            if isinstance(verified, Failure):
                results[index] = verified
            elif verified:
                good[index] = there is True
        self._trust.settle(read)
        if good:
            with self.open_repo(items[0][0]) as repo:
                for index, there in good.items():
                    spec, source, previous = items[index]
                    results[index] = attempt(partial(_enter_found, repo, spec, source, previous, found=there), spec)
                    self._forget_expected(repo.path.name, spec)
                repo.inside.sync()
        return results

    def place(self, spec: FileSpec, source: Source, part: Path, previous: Placed | None) -> Placed:
        """Put a complete part file into its place. Raises OSError and `Failure`."""
        layout.check_source(source)
        layout.file_parts(spec.file_path)
        with self.open_repo(spec) as repo:
            blobs = repo.blobs()
            name = part.name
            check_part(blobs, name, source)
            os.chmod(name, fs_ops.natural_mode(blobs, layout.new_name(spec.id)), dir_fd=blobs)
            if repo.symlinks:
                os.rename(name, source.etag, src_dir_fd=blobs, dst_dir_fd=blobs)
                sync_folder(blobs)
                repo.point(spec, source, previous)
            else:
                repo.move_in(name, spec, source, previous)
            repo.set_ref(spec.revision, source)
            repo.inside.sync()
            placed = repo.placed(spec, source)
            self._forget_expected(repo.path.name, spec)
        self._trust.remember(placed.path, source)
        return placed

    def place_small(self, items: Sequence[Small]) -> list[Placed | Failure]:
        """Put many small files of one repo into their places: one sync for the data, one for the names."""
        results: dict[int, Placed | Failure] = {}
        with self.open_repo(items[0][0]) as repo:
            blobs = repo.blobs()
            written: dict[int, str] = {}
            for index, (spec, source, data, _) in enumerate(items):
                name = attempt(partial(_write_new, blobs, spec, source, data), spec)
                if isinstance(name, Failure):
                    results[index] = name
                else:
                    written[index] = name
            try:
                sync_files(blobs, list(written.values()))
                if repo.symlinks:
                    for index, name in written.items():
                        os.rename(name, items[index][1].etag, src_dir_fd=blobs, dst_dir_fd=blobs)
                    sync_folder(blobs)
            except OSError:
                for name in written.values():
                    fs_ops.unlink_quietly(name, blobs)
                raise
            for index, name in written.items():
                spec, source, _, previous = items[index]
                enter = (
                    partial(_point, repo, spec, source, previous)
                    if repo.symlinks
                    else partial(_move_in, repo, name, spec, source, previous)
                )
                results[index] = attempt(enter, spec)
            repo.inside.sync()
        return [results[index] for index in range(len(items))]

    def remove(self, items: Sequence[Removable]) -> list[bool | Failure]:
        """Take away what was placed, all items of one repo, and what this leaves unused; False for what is not it."""
        if not self.repo_path(items[0][0]).is_dir():
            return [False] * len(items)
        with self.open_repo(items[0][0]) as repo:
            results: list[bool | Failure] = []
            etags: set[str] = set()
            commits: set[str] = set()
            for spec, source, placed in items:
                layout.check_source(source)
                removed = attempt(partial(repo.remove_entry, spec, source, placed), spec)
                results.append(removed)
                if removed is True:
                    etags.add(source.etag)
                    commits.add(source.commit)
                elif removed is False and repo.is_gone(spec, source, placed):  # a kill ended an earlier deletion here
                    commits.add(source.commit)
                    if repo.has_blob(source, placed):
                        etags.add(source.etag)
            if commits:
                repo.remove_unused(etags, commits)
            self._tidy(repo)
        return results

    def discard_part(self, spec: FileSpec) -> None:
        """Delete the part file, and the repo's folder if it held nothing else."""
        path = self.repo_path(spec)
        if not path.is_dir():
            self._forget_expected(path.name, spec)
            return
        with self.open_repo(spec) as repo:
            fs_ops.unlink_quietly(layout.part_name(spec.id), repo.blobs())
            self._forget_expected(repo.path.name, spec)
            self._tidy(repo)

    def orphan_parts(self, known: Collection[Path]) -> list[Path]:
        """Part files of ours that are not among `known`, and what a crash left of files that live for moments."""
        kept = set(known)
        found = [path for below in ("blobs", "trees") for path in self.root.glob(f"*--*/{below}/hfdmd-*")]
        return [path for path in found if layout.is_our_name(path.name) and path not in kept]

    @contextlib.contextmanager
    def open_repo(self, spec: FileSpec | RepoSpec) -> Iterator[RepoFolder]:
        """The repo's folder, made if need be, for nobody else meanwhile. Raises OSError."""
        path = self.repo_path(spec)
        with self._locks.get(path.name), RepoFolder(path, self._room, symlinks=True) as repo:
            repo.symlinks = self._links_work(repo.blobs())
            yield repo

    def _tidy(self, repo: RepoFolder) -> None:
        """Remove a repo's folder that nothing is in, unless a part file is about to be made there."""
        if repo.path.name not in self._expected:
            repo.tidy()

    def _forget_expected(self, repo: str, spec: FileSpec) -> None:
        """The download needs no part file any more."""
        expected = self._expected.get(repo, set())
        expected.discard(spec.id)
        if not expected:
            self._expected.pop(repo, None)

    def _is_there(
        self,
        spec: FileSpec,
        source: Source,
        previous: Placed | None,
        stopped: Callable[[], bool],
        read: list[Read],
    ) -> bool:
        """Whether the content is in its place: as the blob, or as the snapshot's entry."""
        return any(self._trust.is_good(path, source, previous, stopped, read) for path in self._places(spec, source))

    def _link_shared(self, spec: FileSpec, source: Source, stopped: Callable[[], bool]) -> bool:
        """Make the blob a link to the store that repos share. False when the store has no such content."""
        payload = find_shared(self.root, source, stopped)
        if payload is None:
            return False
        with self.open_repo(spec) as repo:
            if not repo.symlinks or not link_shared(self.root, payload, Path(self._places(spec, source)[0])):
                return False
            repo.inside.note_change(("blobs",))
            repo.inside.sync()
            return True

    def _links_work(self, blobs: int) -> bool:
        """Whether snapshots may be made of links here; tried once."""
        if os.environ.get("HF_HUB_DISABLE_SYMLINKS", "").upper() in {"1", "ON", "YES", "TRUE"}:
            return False
        if self._symlinks is None:
            name = layout.temporary_name()
            try:
                os.symlink("x", name, dir_fd=blobs)
                os.unlink(name, dir_fd=blobs)
                self._symlinks = True
            except OSError as error:
                if error.errno not in _NO_SYMLINKS:
                    raise
                self._symlinks = False
        return self._symlinks


def _enter(repo: RepoFolder, spec: FileSpec, source: Source, previous: Placed | None) -> Placed:
    """Pointer and ref for what is in the cache: a blob, or in a cache without links the entry itself."""
    if os.path.lexists(repo.path / "blobs" / source.etag):
        return _point(repo, spec, source, previous)
    repo.set_ref(spec.revision, source)
    return repo.placed(spec, source)


def _point(repo: RepoFolder, spec: FileSpec, source: Source, previous: Placed | None) -> Placed:
    """Pointer and ref for a blob that is in place."""
    repo.point(spec, source, previous)
    repo.set_ref(spec.revision, source)
    return repo.placed(spec, source)


def _enter_found(
    repo: RepoFolder, spec: FileSpec, source: Source, previous: Placed | None, *, found: bool
) -> Placed | None:
    """`_enter` for what may be an app's, which may take it away in this moment: then None."""
    try:
        return replace(_enter(repo, spec, source, previous), found=found)
    except FileNotFoundError:
        return None


def _move_in(repo: RepoFolder, name: str, spec: FileSpec, source: Source, previous: Placed | None) -> Placed:
    repo.move_in(name, spec, source, previous)
    repo.set_ref(spec.revision, source)
    return repo.placed(spec, source)


def check_part(folder: int, name: str, source: Source) -> None:
    """Raises `Failure` when the part file is not what should be placed."""
    try:
        found = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        raise Failure(
            Reason.RESTARTED, "The partial file was deleted by another program; it is fetched again."
        ) from None
    if not stat.S_ISREG(found.st_mode) or source.size_bytes not in (None, found.st_size):
        raise Failure(Reason.DISK_ERROR, f"The partial file {name} was changed by another program.")


def _write_new(folder: int, spec: FileSpec, source: Source, data: bytes | bytearray) -> str:
    layout.check_source(source)
    layout.file_parts(spec.file_path)
    if source.size_bytes not in (None, len(data)):
        raise Failure(Reason.INTERNAL, f"{spec.file_path} should have {source.size_bytes} bytes, not {len(data)}.")
    name = layout.new_name(spec.id)
    fs_ops.write_new(name, data, folder)
    return name


def _has_size(path: str, source: Source) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and source.size_bytes in (None, found.st_size)
