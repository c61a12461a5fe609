"""The folder of one repo in the Hub's cache: blobs, snapshots with pointers to blobs, and refs.

Source of the layout: `huggingface_hub.file_download._hf_hub_download_to_cache_dir`, `_create_symlink` and
`_cache_commit_hash_for_specific_revision`.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hfdmd.cache import fs_ops, layout
from hfdmd.cache.content import Placed, has_content, never
from hfdmd.cache.folders import Folders
from hfdmd.durable import created, opened, sync_file, sync_folder, write_all
from hfdmd.failure import Failure
from hfdmd.record import FileSpec, Source, is_commit
from hfdmd.wire.types import Reason


@dataclass(slots=True, eq=False)
class RepoFolder:
    """`<cache>/models--owner--name`, open. Symlinks below it are not followed, except those to blobs."""

    path: Path
    folders: Folders
    reserve: fs_ops.Reserve
    symlinks: bool
    """False where symlinks are impossible or disabled: then snapshots contain the files themselves."""
    _refs_checked: set[tuple[str, str, float]] = field(default_factory=set)

    def blobs(self) -> int:
        """The blobs folder's descriptor."""
        return self.folders.open(("blobs",))

    def pointer_path(self, spec: FileSpec, source: Source) -> Path:
        """The path of the file in its snapshot."""
        return self.path.joinpath("snapshots", source.commit, spec.file_path)

    def rename_to_blobs(self, files: Iterable[tuple[str, Source]]) -> None:
        """Make new files in the blobs folder blobs, durably; without symlinks `enter` moves them. Raises OSError."""
        if self.symlinks:
            for name, source in files:
                os.rename(name, source.etag, src_dir_fd=self.blobs(), dst_dir_fd=self.blobs())
            sync_folder(self.blobs())

    def enter(self, spec: FileSpec, source: Source, previous: Placed | None, new: str | None = None) -> Placed:
        """Add a file to its snapshot and write the ref of its revision.

        The content is the blob, `new` in the blobs folder, or already in the snapshot (both only without symlinks).
        Raises OSError, and `Failure` (path_taken).
        """
        if new is not None and not self.symlinks:
            self._move_in(new, spec, source, previous)
        elif os.path.lexists(f"{self.path}/blobs/{source.etag}"):
            self._add_pointer(spec, source, previous)
        self._set_ref(spec.revision, source)
        path = self.pointer_path(spec, source)
        found = path.stat()
        return Placed(path, found.st_size, found.st_mtime_ns)

    def remove_pointer(self, spec: FileSpec, source: Source, placed: Placed) -> bool | None:
        """Remove the file from its snapshot if it is unchanged, with the folders that are empty then.

        None for a missing file. `remove_unused` removes its blob. Raises OSError.
        """
        folder, name, target = _pointer(spec, source)
        if placed.path != self.pointer_path(spec, source):
            return False
        try:
            parent = self.folders.open(folder)
            linked = stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode)
        except FileNotFoundError:
            for depth in range(len(folder), 2, -1):
                self.folders.remove_empty(folder[:depth], keep=2)
            return None
        except OSError as error:
            if error.errno in fs_ops.GONE:
                return False
            raise
        if (linked and os.readlink(name, dir_fd=parent) != target) or not _matches(placed, name, parent):
            return False
        os.unlink(name, dir_fd=parent)
        self.folders.mark_changed(folder)
        self.folders.remove_empty(folder, keep=2)
        return True

    def has_blob(self, source: Source, placed: Placed) -> bool:
        """Whether the blob is unchanged since the file was placed."""
        return _matches(placed, source.etag, self.blobs())

    def remove_unused(self, etags: Iterable[str], commits: Iterable[str]) -> None:
        """Delete those of the blobs that no snapshot uses any more, and the empty ones of the commits' snapshots.

        Content in the shared store is kept: other repos may use it. Raises OSError.
        """
        self.folders.sync()  # a pointer must never be left without its blob
        unused = set(etags) - self._used_blobs()
        refused: OSError | None = None
        for etag in unused:
            try:
                fs_ops.unlink_if_exists(etag, self.blobs())
                self.folders.mark_changed(("blobs",))
            except OSError as error:
                refused = error
        for commit in set(commits):
            self._remove_empty_commit(commit)
        self.folders.sync()
        if refused is not None:
            raise refused

    def remove_if_empty(self) -> None:
        """Remove the repo's folder if it has neither snapshots nor blobs. Raises OSError."""
        if os.listdir(self.folders.open(("snapshots",))) or os.listdir(self.blobs()):
            return
        for name in os.listdir(self.folders.open(())):
            if name in ("refs", "trees", "blobs"):
                self.folders.remove_empty((name,))
        if os.listdir(self.folders.open(())) == ["snapshots"]:
            self.folders.remove_empty(("snapshots",))
            with contextlib.suppress(OSError):  # another program has added something meanwhile
                self.path.rmdir()

    def _used_blobs(self) -> set[str]:
        """Names of the blobs that snapshots point at."""
        used: set[str] = set()
        pending = [self.path / "snapshots"]
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        used.add(os.path.basename(os.readlink(entry.path)))
                    elif entry.is_dir():
                        pending.append(Path(entry.path))
        return used

    def _remove_empty_commit(self, commit: str) -> None:
        """Remove an empty snapshot and its refs: the client's cache scan reports a ref without one as corrupted."""
        try:
            if os.listdir(self.folders.open(("snapshots", commit))):
                return
        except OSError:
            return  # missing, or not a folder any more
        for top, _, files in os.walk(self.path / "refs"):
            above = ("refs", *Path(top).relative_to(self.path / "refs").parts)
            for name in files:
                parent = self.folders.open(above)
                if _read_ref(parent, name)[0] == commit:
                    os.unlink(name, dir_fd=parent)
                    self.folders.mark_changed(above)
            self.folders.remove_empty(above, keep=1)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # there is no trees folder
            fs_ops.unlink_if_exists(f"{commit}.json", self.folders.open(("trees",)))
        self.folders.remove_empty(("snapshots", commit), keep=1)

    def _add_pointer(self, spec: FileSpec, source: Source, previous: Placed | None) -> None:
        """Add the file to its snapshot: a symlink to its blob, which exists.

        A symlink to the right content is kept, and so is a file with the right content (as in caches without symlinks).
        Any other symlink is replaced. Raises OSError, and `Failure` (path_taken) for any other file.
        """
        folder, name, target = _pointer(spec, source)
        if self.symlinks:
            with contextlib.suppress(FileExistsError, FileNotFoundError):  # for nearly all files this is enough
                os.symlink(target, name, dir_fd=self.folders.open(folder))
                self.folders.mark_changed(folder)
                return
        parent = self.folders.open(folder, make=True)
        found = fs_ops.lstat(name, parent)
        if found is not None and stat.S_ISLNK(found.st_mode):
            if os.readlink(name, dir_fd=parent) == target or self._has_content(parent, name, source):
                if previous is None:
                    self.folders.mark_changed(folder)  # an app created it, and apps do not sync
                return
            if name not in os.listdir(parent):
                raise Failure(
                    Reason.PATH_TAKEN,
                    f"{spec.file_path} differs only in case from another file here, and this disk ignores case.",
                )
        elif found is not None and not self._may_replace(parent, found, spec, source, previous):
            return
        self.folders.mark_changed(folder)
        if not self.symlinks:
            self._copy_blob(source, parent, name)
        elif found is None:
            try:
                os.symlink(target, name, dir_fd=parent)
            except FileExistsError:  # an app created it at the same time
                self._add_pointer(spec, source, previous)
        else:
            with self._temporary() as (folder_fd, temporary):
                os.symlink(target, temporary, dir_fd=folder_fd)
                os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=parent)

    def _move_in(self, new: str, spec: FileSpec, source: Source, previous: Placed | None) -> None:
        """Without symlinks: move a new file from the blobs folder into the snapshot."""
        folder, name, _ = _pointer(spec, source)
        parent = self.folders.open(folder, make=True)
        found = fs_ops.lstat(name, parent)
        if found is None or stat.S_ISLNK(found.st_mode) or self._may_replace(parent, found, spec, source, previous):
            os.rename(new, name, src_dir_fd=self.blobs(), dst_dir_fd=self.folders.open(folder))
            self.folders.mark_changed(folder)
        else:
            os.unlink(new, dir_fd=self.blobs())

    def _set_ref(self, revision: str, source: Source) -> None:
        """Make the ref of the revision point at the commit, whose snapshot exists. Raises OSError.

        A ref that was reported by the Hub later than `source` is kept. The modification time of a ref's file is the
        time of the Hub's report: apps write a ref right after the report, and hfdmd sets the time. Each ref is checked
        once while the folder is open.
        """
        ref = (revision, source.commit, source.told_at)
        if not is_commit(revision) and ref not in self._refs_checked:
            self._write_ref(revision, source)
            self._refs_checked.add(ref)

    def _write_ref(self, revision: str, source: Source) -> None:
        *above, name = layout.ref_parts(revision)
        folder = ("refs", *above)
        parent = self.folders.open(folder, make=True)
        reported_ns = round(source.told_at * 1e9)
        commit, written_ns = _read_ref(parent, name)
        if reported_ns < written_ns <= time.time_ns():
            return
        if commit == source.commit:
            with contextlib.suppress(OSError):  # reported again: an older report of another commit must not win
                os.utime(name, ns=(reported_ns, reported_ns), dir_fd=parent, follow_symlinks=False)
            return
        with self._temporary() as (folder_fd, temporary):
            with created(temporary, folder_fd) as fd:
                write_all(fd, source.commit.encode())
                with contextlib.suppress(
                    OSError
                ):  # some disks refuse times: then it is that of writing, a little later
                    os.utime(fd, ns=(reported_ns, reported_ns))
                os.fsync(fd)
            os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=self.folders.open(folder))
        self.folders.mark_changed(folder)

    def _has_content(self, parent: int, name: str, source: Source) -> bool:
        """Whether the symlink leads to the content under another blob's name, since mirrors may have other etags."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=parent)
        except OSError:
            return False
        try:
            return stat.S_ISREG(os.fstat(fd).st_mode) and has_content(fd, source)
        finally:
            os.close(fd)

    def _may_replace(
        self, parent: int, found: os.stat_result, spec: FileSpec, source: Source, previous: Placed | None
    ) -> bool:
        """For a file where a symlink is expected: True if hfdmd placed it, False if it has the content.

        Raises `Failure` (path_taken) for any other file.
        """
        if stat.S_ISREG(found.st_mode):
            if self._has_content(parent, layout.file_parts(spec.file_path)[-1], source):
                return False
            if previous is not None and previous.matches(found):
                return True
        path = self.pointer_path(spec, source)
        raise Failure(Reason.PATH_TAKEN, f"{path} already exists with different content and was not written by hfdmd.")

    def _copy_blob(self, source: Source, parent: int, name: str) -> None:
        """Without symlinks: copy an existing blob, which other programs may use."""
        with opened(source.etag, 0, self.blobs()) as blob, self._temporary() as (folder_fd, temporary):
            with created(temporary, folder_fd) as fd:
                fs_ops.copy_file(blob, fd, never, partial(self.reserve, temporary, self.path))
                sync_file(fd)
            os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=parent)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[int, str]]:
        """The repo's folder and a temporary name in it. A file that still has it at the end is deleted.

        Not in the blobs folder, which may be a link to another disk.
        """
        name = layout.temporary_name()
        try:
            yield self.folders.open(()), name
        finally:
            fs_ops.unlink_if_exists(name, self.folders.open(()))


def _pointer(spec: FileSpec, source: Source) -> tuple[tuple[str, ...], str, str]:
    """A pointer's folder and name, and its target as the client writes it: relative, one `../` per folder."""
    *above, name = layout.file_parts(spec.file_path)
    folder = ("snapshots", source.commit, *above)
    return folder, name, "../" * len(folder) + f"blobs/{source.etag}"


def _matches(placed: Placed, name: str, folder_fd: int) -> bool:
    """Whether the content behind this name is unchanged since the file was placed."""
    try:
        return placed.matches(os.stat(name, dir_fd=folder_fd))
    except OSError as error:
        if error.errno in fs_ops.GONE:
            return False
        raise


def _read_ref(parent: int, name: str) -> tuple[str | None, int]:
    """The commit that a ref points at and the file's time in nanoseconds; None and 0 for no valid ref."""
    try:
        with opened(name, folder_fd=parent) as fd:
            commit = os.read(fd, 4096).decode("ascii", "replace")
            return (commit, os.fstat(fd).st_mtime_ns) if is_commit(commit) else (None, 0)
    except FileNotFoundError:
        return None, 0
