"""Tracker files: load, put, forget. Atomic and crash-proof: temporary name, sync, rename.

One thread writes. Records put during a write are written together in the next batch, only the newest state of each,
so the number of syncs is bounded by the disk and not by the rate of changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from hfdmd.durable import opened, sync_files, sync_folders, write_new
from hfdmd.migrations import TRACKER_MIGRATIONS, NewerSchema, migrate, schema_version
from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord, RepoSpec
from hfdmd.wire import validate
from hfdmd.wire.errors import InvalidField
from hfdmd.wire.types import MALFORMED, RepoType

log = logging.getLogger("hfdmd.store")

_MAX_NAME_BYTES = 255
_READ_BYTES = 4096  # most trackers need one read; a larger buffer costs more than the read
_REPO_FOLDERS = {RepoType.MODEL: "models", RepoType.DATASET: "datasets", RepoType.SPACE: "spaces"}

_file_decoder = msgspec.json.Decoder(FileRecord)
_repo_decoder = msgspec.json.Decoder(RepoRecord)
_encoder = msgspec.json.Encoder()


class Store:
    """The tracker files below one folder, and the thread that writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._condition = threading.Condition()
        self._pending: dict[str, tuple[str, bytes | None]] = {}
        self._writing: dict[str, tuple[str, bytes | None]] = {}
        self._waiting: list[Future[None]] = []
        self._closing = False
        self._thread: threading.Thread | None = None
        self._rename_lock = threading.Lock()
        self.left_alone: set[str] = set()
        """Paths of tracker files that may be good but were not read: of a newer schema, or unreadable."""
        self._moved_count = 0

    def open(self) -> None:
        """Make the folder and start the writer. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._paths(".json.tmp"):  # writes that a crash cut short; the trackers themselves are intact
            os.unlink(path)
        self._thread = threading.Thread(target=self._write_loop, name="hfdmd-trackers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write everything that is pending and stop the writer."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def is_alive(self) -> bool:
        """Whether the writer thread runs. Without it no download can become done."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def wrote_all(self) -> bool:
        """Whether no write is pending."""
        return not self._pending

    def has_written(self, key: str) -> bool:
        """Whether the newest state of this record is on disk."""
        with self._condition:
            return key not in self._pending and key not in self._writing

    def put(self, record: Record) -> None:
        """Queue the present state of the record for writing; it replaces an older one that is still queued."""
        self._enqueue(record.id, self.path(record.spec), _encoder.encode(record))

    def forget(self, record: Record) -> None:
        """Queue the deletion of its tracker file."""
        self._enqueue(record.id, self.path(record.spec), None)

    async def flush(self) -> None:
        """Return when all earlier puts and deletions are on disk. Raises OSError if they could not be written."""
        future: Future[None] = Future()
        with self._condition:
            if not self._thread:
                raise RuntimeError("the store is not open")
            self._waiting.append(future)
            self._condition.notify()
        await asyncio.wrap_future(future)

    def path(self, spec: FileSpec | RepoSpec) -> str:
        """Path of the tracker file of `spec`. The readable part is for people; the id alone makes it unique."""
        return self._path(spec, spec.id)

    def _path(self, spec: FileSpec | RepoSpec, key: str) -> str:
        readable = "@repo" if isinstance(spec, RepoSpec) else spec.file_path.replace("/", "--")
        room = _MAX_NAME_BYTES - len(f".{key}.json.corrupt")
        if len(readable) > room or not readable.isascii():
            readable = readable.encode()[:room].decode(errors="ignore")
        repo = f"{_REPO_FOLDERS[spec.repo_type]}--{spec.model_repo.replace('/', '--')}"
        return f"{self.folder}/{repo}/{readable}.{key}.json"

    def load_one(self, spec: FileSpec | RepoSpec) -> Record | None:
        """The record of `spec`, or None without a readable tracker file of its name."""
        return self._read(self.path(spec))

    def load_repo(self, model_repo: str) -> list[Record]:
        """All records of one repo, of any repo type. Blocking."""
        name = model_repo.replace("/", "--")
        paths = self._paths(".json", [f"{self.folder}/{kind}--{name}" for kind in _REPO_FOLDERS.values()])
        return [record for record in self._records(paths) if record.spec.model_repo == model_repo]

    def load_id(self, key: str) -> Record | None:
        """The record of that id, found by the file's name. Blocking."""
        return next(self._records(self._paths(f".{key}.json")), None)

    def load(self, batch: int = 500) -> Iterator[list[Record]]:
        """All records, in batches; an id may come twice. Blocking: runs in a thread.

        Damaged files are set aside as `.corrupt`, files under an old name are moved, newer ones are left alone.
        """
        records = self._records(self._paths(".json"))
        while loaded := list(islice(records, batch)):
            yield loaded
        if self._moved_count:
            log.info("moved %d tracker files to their present names", self._moved_count)
        if self.left_alone:
            log.error("%d tracker files were not read and are left alone; see above", len(self.left_alone))

    def _records(self, paths: Iterable[str]) -> Iterator[Record]:
        return (record for path in paths if (record := self._read(path)) is not None)

    def _paths(self, suffix: str, folders: Iterable[str] | None = None) -> Iterator[str]:
        """Files whose names end with `suffix`, of all repos or in `folders`; missing folders are skipped."""
        if folders is None:
            with os.scandir(self.folder) as repos:
                folders = [entry.path for entry in repos if entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                yield from (f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(suffix))

    def _read(self, path: str) -> Record | None:
        try:
            data = _content(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._leave_alone(path, f"cannot be read: {error.strerror}")
            return None
        try:
            record = _parsed(data)
            _check(record)
        except NewerSchema as error:
            self._leave_alone(path, f"was written by a newer hfdmd: {error}")
            return None
        except (InvalidField, ValueError, *MALFORMED) as error:
            self._set_aside(Path(path), error)
            return None
        expected = self._path(record.spec, record.id)
        return record if path == expected else self._moved(path, expected, record)

    def _moved(self, path: str, expected: str, record: Record) -> Record | None:
        """Move a tracker from an old name to its expected one, unless a newer state is there.

        On file systems that ignore case both names may be the same file. Not synced: a crash leaves the file under
        one of its names, and both are read.
        """
        try:
            with self._rename_lock:
                if os.path.lexists(expected) and not os.path.samestat(os.lstat(path), os.lstat(expected)):
                    present = self._read(expected)  # a damaged one is set aside
                    if present is None and os.path.lexists(expected):
                        self._leave_alone(path, f"belongs at {expected}, which is left alone")
                        return None
                    if present is not None and present.version >= record.version:
                        os.unlink(path)
                        log.debug("removed the old tracker file %s: %s is newer", path, expected)
                        return present
                os.makedirs(os.path.dirname(expected), mode=0o700, exist_ok=True)
                os.rename(path, expected)
                self._moved_count += 1
                log.debug("moved the tracker file %s to %s", path, expected)
        except FileNotFoundError:
            return record  # another thread has moved it
        except OSError as error:
            log.error("cannot move the tracker file %s to %s: %s", path, expected, error.strerror)
        return record

    def _leave_alone(self, path: str, why: str) -> None:
        if path not in self.left_alone:
            self.left_alone.add(path)
            log.error("the tracker file %s %s; it is left alone", path, why)

    def _set_aside(self, path: Path, why: Exception) -> None:
        aside = path.with_name(path.name + ".corrupt")
        try:
            os.replace(path, aside)
        except OSError as error:
            log.error("the tracker file %s is damaged (%s) and cannot be set aside: %s", path, why, error.strerror)
        else:
            log.error("the tracker file %s is damaged (%s); set aside as %s", path, why, aside.name)

    def _enqueue(self, key: str, path: str, data: bytes | None) -> None:
        with self._condition:
            self._pending[key] = (path, data)
            self._condition.notify()

    def _write_loop(self) -> None:
        while True:
            with self._condition:
                while not self._pending and not self._waiting and not self._closing:
                    self._condition.wait()
                pending, self._pending = self._pending, {}
                self._writing = pending
                waiting, self._waiting = self._waiting, []
                closing = self._closing
            error: OSError | None = None
            try:
                self._write(pending.values())
            except OSError as raised:
                error = raised
                log.error("cannot write tracker files: %s", raised)
            with self._condition:
                if error is not None:  # keep what was not written, unless a newer state has been put since
                    self._pending = {**pending, **self._pending}
                self._writing = {}
            for future in waiting:
                if not future.set_running_or_notify_cancel():
                    continue  # the waiting task was cancelled; the write took place all the same
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)
            if closing and (error is not None or not self._pending):
                return
            if error is not None:
                with self._condition:  # try a full or broken disk again, but not in a tight loop
                    self._condition.wait_for(lambda: self._closing, timeout=1.0)

    def _write(self, batch: Iterable[tuple[str, bytes | None]]) -> None:
        """Write, sync, rename; then sync the folders. Raises OSError."""
        written: list[str] = []
        changed: set[str] = set()
        for path, data in batch:
            folder = os.path.dirname(path)
            if data is None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                    changed.add(folder)
            else:
                self._write_new(f"{path}.tmp", data)
                written.append(path)
                changed.add(folder)
        with opened(self.folder, os.O_DIRECTORY) as root:
            sync_files(root, [f"{path}.tmp" for path in written])
        with self._rename_lock:
            for path in written:
                os.rename(f"{path}.tmp", path)
        sync_folders(list(changed))

    def _write_new(self, path: str, data: bytes) -> None:
        """Write a file without syncing it; create the folder of its repo if it is missing."""
        try:
            write_new(path, data, mode=0o600)
        except (FileNotFoundError, NotADirectoryError):
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folders([self.folder])
            write_new(path, data, mode=0o600)


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)  # 5 us, where `open` takes 10: there may be tens of thousands
    try:
        data = part = os.read(descriptor, _READ_BYTES)
        while len(part) == _READ_BYTES:
            part = os.read(descriptor, _READ_BYTES)
            data += part
        return data
    finally:
        os.close(descriptor)


def _parsed(data: bytes) -> Record:
    """The record, migrated to the present schema. Raises `NewerSchema`, ValueError and `MALFORMED`."""
    decoders: tuple[msgspec.json.Decoder[Any], ...] = (_file_decoder, _repo_decoder)  # nearly all are of files
    for decoder in decoders:
        with contextlib.suppress(msgspec.ValidationError):
            record: Record = decoder.decode(data)
            if record.schema_version == schema_version(TRACKER_MIGRATIONS):
                return record
    document = migrate(msgspec.json.decode(data, type=dict[str, Any]), TRACKER_MIGRATIONS)
    kind: type[Any] = RepoRecord if document.get("kind") == "repo" else FileRecord
    migrated: Record = msgspec.convert(document, kind)
    return migrated


def _check(record: Record) -> None:
    """Check names and identity, since files on disk are not trusted. Raises `InvalidField` and ValueError."""
    _check_repo(record.spec.model_repo, record.spec.revision)
    if isinstance(record, FileRecord):
        validate.file_path(record.spec.file_path)
    if record.spec.local_dir is not None:
        validate.local_dir(record.spec.local_dir)
    if record.id != record.spec.id:
        raise ValueError("its id does not fit its request")
    if record.retry_at is not None:
        datetime.fromisoformat(record.retry_at).timestamp()
    if not 0 <= record.version < 2**53:
        raise ValueError("its version is out of range")


@lru_cache(maxsize=1024)
def _check_repo(model_repo: str, revision: str) -> None:
    validate.repo_id(model_repo)
    validate.revision(revision)
