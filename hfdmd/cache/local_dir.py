"""Local folders: files under their own names, with the Hub client's metadata beside them.

Source of the metadata: `huggingface_hub._local_folder`: `<dir>/.cache/huggingface/download/<path>.metadata` has commit,
etag and time, one per line, and makes the client treat the file as current.
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
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hfdmd.cache import fs_ops, layout
from hfdmd.cache.content import Placed, has_content, never
from hfdmd.cache.folders import Folders, is_below, make_folders
from hfdmd.cache.locks import KeyedLocks
from hfdmd.cache.volumes import Volumes
from hfdmd.durable import created, max_name_bytes, opened, sync_file, sync_files, write_new
from hfdmd.failure import Failure
from hfdmd.record import FileSpec, RepoSpec, Source
from hfdmd.wire.types import Reason

_log = logging.getLogger(__name__)
_METADATA = (*layout.METADATA_FOLDER, "download")


@dataclass(slots=True, eq=False)
class LocalDir:
    """One local folder, open. Symlinks in it are followed for the daemon's own user alone."""

    root: Path
    folders: Folders
    lock: threading.RLock
    reserve: fs_ops.Reserve

    def metadata_folder(self, parts: Sequence[str] = ()) -> int:
        """The descriptor of the metadata folder for files in the folder `parts`; created if missing. Raises OSError."""
        return self.folders.open((*_METADATA, *parts), make=True)

    def staging(self, spec: FileSpec) -> int:
        """The descriptor of the folder of its part file and its copies; created if missing. Raises OSError."""
        return self.folders.open(staging_parts(spec), make=True)

    def sync_new(self, files: Iterable[tuple[str, FileSpec]]) -> None:
        """Sync new files in the staging folders of their downloads. Raises OSError."""
        names: dict[tuple[str, ...], list[str]] = {}
        for name, spec in files:
            names.setdefault(staging_parts(spec), []).append(name)
        for parts, group in names.items():
            sync_files(self.folders.open(parts), group)

    def prepare_metadata_folder(self) -> None:
        """Add the files that keep the metadata out of backups and repositories. Raises OSError."""
        folder = self.folders.open(layout.METADATA_FOLDER, make=True)
        for name, text in ((".gitignore", "*"), ("CACHEDIR.TAG", layout.CACHEDIR_TAG)):
            with contextlib.suppress(FileExistsError):
                fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666, dir_fd=folder)
                with open(fd, "w") as file:
                    file.write(text)

    def adopt(
        self, spec: FileSpec, source: Source, previous: Placed | None, stopped: Callable[[], bool] = never
    ) -> Placed | None:
        """Use the file that exists at the path if it has the content. None when the content must be fetched.

        Raises OSError, and `Failure` (path_taken) for a file with other content that hfdmd did not write.
        """
        try:
            folder, last = self._open_folder(spec)
            found = os.lstat(last, dir_fd=folder)
        except FileNotFoundError:
            return None
        if self._is_previous(spec, previous, found):
            if self._read_metadata(spec)[1:] == [source.etag] or self._has_content(spec, source, stopped):
                return self._finish(spec, source, found=True)
            return None
        if stat.S_ISREG(found.st_mode) and self._has_content(spec, source, stopped):
            return self._finish(spec, source, found=True)
        if stopped():
            return None
        raise self._path_taken(spec)

    def move_in(self, name: str, spec: FileSpec, source: Source, previous: Placed | None) -> Placed:
        """Rename the complete file `name` in the staging folder to its path.

        Raises OSError, and `Failure` (path_taken).
        """
        with self.lock:
            staging = self.staging(spec)
            folder, last = self._open_folder(spec, make=True)
            try:
                fs_ops.rename_new(staging, name, folder, last)
            except FileExistsError:
                found = os.lstat(last, dir_fd=folder)
                if not self._is_previous(spec, previous, found):
                    if stat.S_ISREG(found.st_mode) and self._has_content(spec, source, never):
                        os.unlink(name, dir_fd=staging)
                        return self._finish(spec, source, found=True)
                    raise self._path_taken(spec) from None
                os.rename(name, last, src_dir_fd=staging, dst_dir_fd=folder)
            self.folders.mark_changed(layout.file_parts(spec.file_path)[:-1])
            return self._finish(spec, source)

    def copy_new(self, blob: int, spec: FileSpec, source: Source, stopped: Callable[[], bool]) -> str | None:
        """Copy or clone an open blob into the staging folder, without a sync, and return the copy's name.

        The copy is verified: None when it does not have the content. Raises OSError, and `Failure` (disk_full).
        """
        name = layout.own_name(spec.id, "new")
        reserve = partial(self.reserve, name, self.root)
        good = False
        try:
            with created(name, self.staging(spec)) as fd:
                good = fs_ops.copy_file(blob, fd, stopped, reserve) and has_content(fd, source, stopped)
        finally:
            if not good:
                fs_ops.unlink_if_exists(name, self.staging(spec))
        return name if good else None

    def discard(self, spec: FileSpec) -> None:
        """Delete the part file of a download and the temporary files that a crash left."""
        *above, _ = layout.file_parts(spec.file_path)
        for folder, name in (
            (staging_parts(spec), layout.part_name(spec.id)),
            (staging_parts(spec), layout.own_name(spec.id, "new")),
            ((*_METADATA, *above), layout.own_name(spec.id, "book")),
        ):
            with contextlib.suppress(FileNotFoundError):
                fs_ops.unlink_if_exists(name, self.folders.open(folder))

    def remove(self, spec: FileSpec, placed: Placed) -> bool:
        """Delete the file if it is unchanged, with its metadata and the folders that are empty then. Raises OSError."""
        *above, last = layout.file_parts(spec.file_path)
        if placed.path != self.root / spec.file_path:
            return False
        with self.lock:
            try:
                folder = self.folders.open(above)
                if not placed.matches(os.lstat(last, dir_fd=folder)):
                    return False
                os.unlink(last, dir_fd=folder)
            except OSError as error:
                if error.errno in fs_ops.GONE:
                    return False
                raise
            self.folders.mark_changed(above)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(f"{last}.metadata", dir_fd=self.folders.open((*_METADATA, *above)))
            self.folders.remove_empty((*_METADATA, *above), keep=len(_METADATA))
            self.folders.remove_empty(above)
            return True

    def _open_folder(self, spec: FileSpec, *, make: bool = False) -> tuple[int, str]:
        """The descriptor of the file's folder, and the file's name in it. Raises OSError."""
        *above, last = layout.file_parts(spec.file_path)
        return self.folders.open(above, make=make), last

    def _has_content(self, spec: FileSpec, source: Source, stopped: Callable[[], bool]) -> bool:
        folder, last = self._open_folder(spec)
        try:
            fd = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except PermissionError:
            return False
        try:
            if not has_content(fd, source, stopped):
                return False
            sync_file(fd)  # apps do not sync
            return True
        finally:
            os.close(fd)

    def _is_previous(self, spec: FileSpec, previous: Placed | None, found: os.stat_result) -> bool:
        return previous is not None and previous.path == self.root / spec.file_path and previous.matches(found)

    def _read_metadata(self, spec: FileSpec) -> list[str]:
        """Commit and etag in the file's metadata; empty when there is none."""
        *above, last = layout.file_parts(spec.file_path)
        try:
            with opened(f"{last}.metadata", folder_fd=self.folders.open((*_METADATA, *above))) as fd:
                return os.read(fd, 1024).decode("ascii", "replace").splitlines()[:2]
        except OSError:
            return []

    def _finish(self, spec: FileSpec, source: Source, *, found: bool = False) -> Placed:
        """Write the metadata of the file at its path if it differs, and return the file as placed."""
        if self._read_metadata(spec) != [source.commit, source.etag]:
            with self.lock:
                self._write_metadata(spec, source)
        folder, last = self._open_folder(spec)
        there = os.lstat(last, dir_fd=folder)
        return Placed(self.root / spec.file_path, there.st_size, there.st_mtime_ns, found)

    def _write_metadata(self, spec: FileSpec, source: Source) -> None:
        """Write metadata for the Hub's client. A file whose name is too long for the suffix has none."""
        *above, last = layout.file_parts(spec.file_path)
        name = f"{last}.metadata"
        folder = self.metadata_folder(above)
        if len(os.fsencode(name)) > max_name_bytes(folder):
            _log.info("no metadata for a file whose name is too long for it")
            return
        temporary = layout.own_name(spec.id, "book")
        write_new(temporary, f"{source.commit}\n{source.etag}\n{time.time()}\n".encode(), folder)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        self.folders.mark_changed((*_METADATA, *above))

    def _path_taken(self, spec: FileSpec) -> Failure:
        return Failure(
            Reason.PATH_TAKEN,
            f"{self.root / spec.file_path} already exists with different content and was not written by hfdmd:"
            " move it away, or choose another local folder.",
        )


def staging_parts(spec: FileSpec) -> tuple[str, ...]:
    """The folder, below the local folder, of a download's part file: on the disk of the file's final path.

    The metadata folder; or the last folder on the way to the file that is a link, which may lead to another disk.
    """
    above = layout.file_parts(spec.file_path)[:-1]
    for depth in range(0 if spec.confined else len(above), 0, -1):
        if os.path.islink(os.path.join(spec.local_dir or "", *above[:depth])):
            return above[:depth]
    return _METADATA


class LocalDirs:
    """Opens local folders. One thread at a time changes a folder; others may read it meanwhile."""

    def __init__(self, allowed: Callable[[], Iterable[str]], reserve: fs_ops.Reserve, volumes: Volumes) -> None:
        self._allowed = allowed
        self._reserve = reserve
        self._volumes = volumes
        self._locks = KeyedLocks()  # by the folder's path

    @contextlib.contextmanager
    def open(self, spec: FileSpec | RepoSpec, *, make: bool = True) -> Iterator[LocalDir]:
        """Open the folder; `make` creates it and its metadata folder if missing.

        Raises OSError, and `Failure`: locked while the folder's drive is not there, path_taken outside of the allowed
        folders. The user may have replaced the folder by a symlink since the request: the folder that is open in the
        end is checked.
        """
        local_dir = spec.local_dir or ""
        root = Path(local_dir)
        lock = self._locks.get(local_dir)
        if make:
            if spec.confined:
                self._check_allowed(local_dir, os.path.realpath(local_dir))
            self._volumes.use(local_dir)
            make_folders(root)
        with Folders(root, None if spec.confined else partial(self._follow, local_dir)) as folders:
            if spec.confined:
                self._check_allowed(local_dir, folders.real_path())
            folder = LocalDir(root, folders, lock, self._reserve)
            if make:
                folder.prepare_metadata_folder()
            yield folder

    def _follow(self, local_dir: str, link: str) -> None:
        """Part files are renamed from the metadata folder to places on the same disk: that one is no link."""
        if link.startswith(f"{local_dir}/{layout.METADATA_FOLDER[0]}"):
            raise OSError(errno.ELOOP, f"{link} is a symbolic link; only folders of content may be links", link)
        self._volumes.use(link)

    def _check_allowed(self, local_dir: str, real_path: str) -> None:
        if not is_below(real_path, self._allowed()):
            raise Failure(Reason.PATH_TAKEN, f"{local_dir} is outside of the daemon's allowed_dirs.")
