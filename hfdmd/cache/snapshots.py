"""One repo's folder in the Hub's cache, while something is being put there or taken away.

Source of the layout: `huggingface_hub.file_download._hf_hub_download_to_cache_dir`, `_create_symlink` and
`_cache_commit_hash_for_specific_revision`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

from hfdmd.cache import fs_ops, layout
from hfdmd.cache.content import Placed, has_content, never
from hfdmd.cache.folders import Folders, make_folders
from hfdmd.durable import open_new, sync_file, write_all
from hfdmd.failure import Failure
from hfdmd.record import FileSpec, Source, is_commit
from hfdmd.wire.types import Reason


class RepoFolder:
    """`<cache>/models--owner--name`, open. Links beneath it are not followed, except blobs'."""

    def __init__(self, path: Path, room: fs_ops.Room, *, symlinks: bool) -> None:
        self.path = path
        self._room = room
        self.symlinks = symlinks
        """False where links are impossible or unwanted: then snapshots hold the files themselves."""
        self._refs_seen: set[tuple[str, str, float]] = set()
        make_folders(path)
        self.inside = Folders(path)
        try:
            # first, since without it the client's cache scan calls the repo corrupted
            self.inside.open(("snapshots",), make=True)
            self.inside.open(("blobs",), make=True)
        except BaseException:
            self.inside.__exit__(None, None, None)
            raise

    def __enter__(self) -> RepoFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.inside.__exit__(kind, error, trace)

    def blobs(self) -> int:
        """The blobs folder's descriptor."""
        return self.inside.open(("blobs",))

    def pointer(self, spec: FileSpec, source: Source) -> Path:
        return self.path.joinpath("snapshots", source.commit, spec.file_path)

    def placed(self, spec: FileSpec, source: Source) -> Placed:
        """The record of what now stands at the pointer. Raises OSError."""
        path = self.pointer(spec, source)
        found = path.stat()
        return Placed(path, found.st_size, found.st_mtime_ns)

    def point(self, spec: FileSpec, source: Source, previous: Placed | None) -> None:
        """Make the snapshot's entry for a blob that is in place.

        An entry that leads to the right content stays as it is, and so does a file of the right content in its place
        (caches without links have those). Any other link is replaced. Raises OSError, and `Failure` (path_taken) for
        any other file.
        """
        if self.symlinks and self._link_new(spec, source):
            return
        folder, parent, name = self._entry(spec, source)
        wanted = layout.blob_link((*folder[2:], name), source.etag)
        try:
            found = os.lstat(name, dir_fd=parent)
        except FileNotFoundError:
            found = None
        if found is not None and stat.S_ISLNK(found.st_mode):
            if os.readlink(name, dir_fd=parent) == wanted or self._holds(parent, name, source):
                if previous is None:
                    self.inside.note_change(folder)  # an app made it, and apps do not sync
                return
            if name not in os.listdir(parent):
                raise Failure(
                    Reason.PATH_TAKEN,
                    f"{spec.file_path} differs only in case from another file here, and this disk ignores case.",
                )
        elif found is not None and not self._may_replace(parent, found, spec, source, previous):
            return
        self.inside.note_change(folder)
        if self.symlinks:
            try:
                self._link(wanted, parent, name, replace=found is not None)
            except FileExistsError:  # an app was here in this moment: look again
                self.point(spec, source, previous)
        else:
            self._copy_blob(source, parent, name)

    def move_in(self, blob_name: str, spec: FileSpec, source: Source, previous: Placed | None) -> None:
        """Without links: the new file in the blobs folder becomes the snapshot's entry itself."""
        folder, parent, name = self._entry(spec, source)
        try:
            found = os.lstat(name, dir_fd=parent)
        except FileNotFoundError:
            found = None
        if found is not None and stat.S_ISREG(found.st_mode):
            if not self._may_replace(parent, found, spec, source, previous):
                os.unlink(blob_name, dir_fd=self.blobs())
                return
        elif found is not None and not stat.S_ISLNK(found.st_mode):
            raise _taken(self.pointer(spec, source))
        blobs = self.blobs()
        os.rename(blob_name, name, src_dir_fd=blobs, dst_dir_fd=self.inside.open(folder))
        self.inside.note_change(folder)

    def set_ref(self, revision: str, source: Source) -> None:
        """Let the revision point at the commit, as soon as the commit's snapshot folder is there. Raises OSError.

        A ref that the Hub told later stays. Its file's time says when that was: apps write a ref once they are told,
        and what is written here bears the time at which the Hub told it. While the folder is open, each is seen to
        once.
        """
        told = (revision, source.commit, source.told_at)
        if is_commit(revision) or told in self._refs_seen:
            return
        self._write_ref(revision, source)
        self._refs_seen.add(told)

    def remove_entry(self, spec: FileSpec, source: Source, placed: Placed) -> bool:
        """Take the snapshot's entry away if it still is what was placed. Its blob stays: see `remove_unused`."""
        *above, name = layout.file_parts(spec.file_path)
        folder = ("snapshots", source.commit, *above)
        try:
            parent = self.inside.open(folder)
            linked = stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode)
            if placed.path != self.pointer(spec, source) or not placed.is_stat(os.stat(name, dir_fd=parent)):
                return False
            if linked and os.readlink(name, dir_fd=parent) != layout.blob_link((*folder[2:], name), source.etag):
                return False
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                return False
            raise
        os.unlink(name, dir_fd=parent)
        self.inside.note_change(folder)
        self.inside.tidy(folder, keep=2)
        return True

    def is_gone(self, spec: FileSpec, source: Source, placed: Placed) -> bool:
        """Whether nothing is where the file was placed any more; folders on the way there that are empty go too."""
        *above, name = layout.file_parts(spec.file_path)
        folder = ("snapshots", source.commit, *above)
        if placed.path != self.pointer(spec, source):
            return False
        try:
            os.lstat(name, dir_fd=self.inside.open(folder))
            return False
        except FileNotFoundError:
            for depth in range(len(folder), 2, -1):
                self.inside.tidy(folder[:depth], keep=2)
            return True
        except OSError:
            return False  # something else is in the way, so it is not what was recorded

    def has_blob(self, source: Source, placed: Placed) -> bool:
        """Whether the blob is still the content that was placed."""
        try:
            return placed.is_stat(os.stat(source.etag, dir_fd=self.blobs()))
        except OSError:
            return False

    def remove_unused(self, etags: Iterable[str], commits: Iterable[str]) -> None:
        """Delete those of the blobs that no entry of any snapshot leads to any more, and the commits left empty.

        A payload in the shared store stays: other repos may use it.
        """
        self.inside.sync()  # an entry must never outlive its blob
        unused = set(etags) - self._used()
        for etag in unused:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(etag, dir_fd=self.blobs())
                self.inside.note_change(("blobs",))
        for commit in set(commits):
            self._tidy_commit(commit)
        self.inside.sync()

    def tidy(self) -> None:
        """Remove the whole repo's folder if there is nothing in it any more."""
        if os.listdir(self.inside.open(("snapshots",))) or os.listdir(self.blobs()):
            return
        for name in os.listdir(self.inside.open(())):
            if name in ("refs", "trees", "blobs"):
                self.inside.tidy((name,))
        if os.listdir(self.inside.open(())) == ["snapshots"]:
            self.inside.tidy(("snapshots",))
            with contextlib.suppress(OSError):  # something came up in between: then it stays
                self.path.rmdir()

    def _used(self) -> set[str]:
        """The blobs that entries of snapshots lead to."""
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

    def _tidy_commit(self, commit: str) -> None:
        """An empty snapshot goes, with the refs to it (the client's cache scan calls a ref without one corrupted)."""
        try:
            if os.listdir(self.inside.open(("snapshots", commit))):
                return
        except OSError:
            return  # it is no folder any more: nothing of ours
        for top, _, files in os.walk(self.path / "refs"):
            above = ("refs", *Path(top).relative_to(self.path / "refs").parts)
            for name in files:
                parent = self.inside.open(above)
                if _read_ref(parent, name)[0] == commit:
                    os.unlink(name, dir_fd=parent)
                    self.inside.note_change(above)
            self.inside.tidy(above, keep=1)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # no trees at all
            fs_ops.unlink_quietly(f"{commit}.json", self.inside.open(("trees",)))
        self.inside.tidy(("snapshots", commit), keep=1)

    def _write_ref(self, revision: str, source: Source) -> None:
        *above, name = layout.ref_parts(revision)
        folder = ("refs", *above)
        parent = self.inside.open(folder, make=True)
        told_ns = round(source.told_at * 1e9)
        commit, since_ns = _read_ref(parent, name)
        if commit == source.commit or told_ns < since_ns <= time.time_ns():
            return
        with self._temporary() as temporary:
            fd = open_new(temporary, self.blobs())
            try:
                write_all(fd, source.commit.encode())
                os.utime(fd, ns=(told_ns, told_ns))
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(temporary, name, src_dir_fd=self.blobs(), dst_dir_fd=self.inside.open(folder))
        self.inside.note_change(folder)

    def _entry(self, spec: FileSpec, source: Source) -> tuple[Sequence[str], int, str]:
        *above, name = layout.file_parts(spec.file_path)
        folder = ("snapshots", source.commit, *above)
        return folder, self.inside.open(folder, make=True), name

    def _holds(self, parent: int, name: str, source: Source) -> bool:
        """Whether the link leads to the right content under another blob's name (mirrors spell etags otherwise)."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=parent)
        except OSError:
            return False
        try:
            return stat.S_ISREG(os.fstat(fd).st_mode) and has_content(fd, source)
        finally:
            os.close(fd)

    def _may_replace(
        self, parent: int, found: os.stat_result, spec: FileSpec, source: Source, previous: Placed | None
    ) -> bool:
        """For a file where a link is expected: False to leave it, True when it is ours. Else `Failure`."""
        if not stat.S_ISREG(found.st_mode):
            raise _taken(self.pointer(spec, source))
        if self._holds(parent, layout.file_parts(spec.file_path)[-1], source):
            return False
        if previous is not None and previous.is_stat(found):
            return True
        raise _taken(self.pointer(spec, source))

    def _link_new(self, spec: FileSpec, source: Source) -> bool:
        """The entry made in one step, as it is for nearly all files; False where it takes a closer look."""
        *above, name = layout.file_parts(spec.file_path)
        folder = ("snapshots", source.commit, *above)
        try:
            os.symlink(layout.blob_link((*above, name), source.etag), name, dir_fd=self.inside.open(folder))
        except (FileExistsError, FileNotFoundError):
            return False
        self.inside.note_change(folder)
        return True

    def _link(self, wanted: str, parent: int, name: str, *, replace: bool) -> None:
        if not replace:
            os.symlink(wanted, name, dir_fd=parent)
            return
        with self._temporary() as temporary:
            os.symlink(wanted, temporary, dir_fd=self.blobs())
            os.rename(temporary, name, src_dir_fd=self.blobs(), dst_dir_fd=parent)

    def _copy_blob(self, source: Source, parent: int, name: str) -> None:
        """Without links an existing blob, which others may use, is copied."""
        blob = os.open(source.etag, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.blobs())
        try:
            with self._temporary() as temporary:
                fd = open_new(temporary, self.blobs())
                try:
                    fs_ops.copy_file(blob, fd, never, partial(self._room, temporary, self.path))
                    sync_file(fd)
                finally:
                    os.close(fd)
                os.rename(temporary, name, src_dir_fd=self.blobs(), dst_dir_fd=parent)
        finally:
            os.close(blob)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[str]:
        """A name among the blobs, where nobody minds what a crash leaves; what still has it in the end is deleted."""
        name = layout.temporary_name()
        try:
            yield name
        finally:
            fs_ops.unlink_quietly(name, self.blobs())


def _read_ref(parent: int, name: str) -> tuple[str | None, int]:
    """The commit that a ref points at and the file's time in nanoseconds; None and 0 when it points at none."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=parent)
    except FileNotFoundError:
        return None, 0
    try:
        commit = os.read(fd, 4096).decode("ascii", "replace")
        return (commit, os.fstat(fd).st_mtime_ns) if is_commit(commit) else (None, 0)
    finally:
        os.close(fd)


def _taken(path: Path) -> Failure:
    return Failure(Reason.PATH_TAKEN, f"{path} is there already, with another content, and not from here.")
