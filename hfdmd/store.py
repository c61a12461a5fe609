"""Tracker files: load, put, forget. Atomic and crash-proof: temporary name, sync, rename.

One thread writes. What is put while it writes waits and goes in one batch, the newest state of each record only, so
the number of syncs is bounded by the disk and not by the speed of what happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path

import msgspec

from hfdmd.durable import sync_file, sync_file_system, sync_folder_at
from hfdmd.record import SCHEMA_VERSION, FileRecord, FileSpec, Record, RepoRecord, RepoSpec
from hfdmd.wire import validate
from hfdmd.wire.errors import InvalidField
from hfdmd.wire.types import RepoType

log = logging.getLogger("hfdmd.store")

_MAX_NAME_BYTES = 255
_SYNC_EACH_BELOW = 8  # a batch this small is cheaper synced file by file than by one sync of the file system
_DESCRIPTORS = 256  # open at once while a batch is written
_REPO_FOLDERS = {RepoType.MODEL: "models", RepoType.DATASET: "datasets", RepoType.SPACE: "spaces"}


class _Head(msgspec.Struct, rename="camel"):
    kind: str
    schema_version: int


_head = msgspec.json.Decoder(_Head)
_file = msgspec.json.Decoder(FileRecord)
_repo = msgspec.json.Decoder(RepoRecord)
_encoder = msgspec.json.Encoder()


class Store:
    """The tracker files below one folder. `on_error` hears of a write that failed, in the writer thread."""

    def __init__(self, folder: Path, on_error: Callable[[OSError], None] | None = None) -> None:
        self.folder = folder
        self._on_error = on_error
        self._condition = threading.Condition()
        self._pending: dict[str, tuple[str, bytes | None]] = {}
        self._waiting: list[Future[None]] = []
        self._closing = False
        self._thread: threading.Thread | None = None
        self._folders: set[str] = set()

    def open(self) -> None:
        """Make the folder and start the writer. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._thread = threading.Thread(target=self._write_loop, name="hfdmd-trackers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what waits and stop the writer."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def put(self, record: Record) -> None:
        """Remember the record as it is now; written soon, newest state only."""
        self._enqueue(record.id, self._path(record.spec), _encoder.encode(record))

    def forget(self, record: Record) -> None:
        """Delete its tracker file soon."""
        self._enqueue(record.id, self._path(record.spec), None)

    async def flush(self) -> None:
        """Return when everything put or forgotten before is on disk. Raises OSError if it could not be written."""
        future: Future[None] = Future()
        with self._condition:
            if not self._thread:
                raise RuntimeError("the store is not open")
            self._waiting.append(future)
            self._condition.notify()
        await asyncio.wrap_future(future)

    def path(self, spec: FileSpec | RepoSpec) -> Path:
        """Where the tracker of `spec` lies. The readable part is for a person, the id alone makes it unambiguous."""
        return Path(self._path(spec))

    def _path(self, spec: FileSpec | RepoSpec) -> str:
        folder = f"{self.folder}/{_REPO_FOLDERS[spec.repo_type]}--{spec.model_repo.replace('/', '--')}"
        readable = "@repo" if isinstance(spec, RepoSpec) else spec.file_path.replace("/", "--")
        suffix = f".{spec.id}.json"
        room = _MAX_NAME_BYTES - len(suffix) - len(".corrupt")
        readable = readable.encode()[:room].decode(errors="ignore")
        return f"{folder}/{readable}{suffix}"

    def load_one(self, spec: FileSpec | RepoSpec) -> Record | None:
        """The record of `spec`, if it has a tracker file that can be read."""
        return self._read(self.path(spec))

    def load(self, batch: int = 500) -> Iterator[list[Record]]:
        """All records, in batches. Blocking: runs in a thread. What does not parse is set aside as `.corrupt`."""
        records: list[Record] = []
        for path in self._tracker_paths():
            record = self._read(path)
            if record is not None:
                records.append(record)
            if len(records) >= batch:
                yield records
                records = []
        if records:
            yield records

    def _tracker_paths(self) -> Iterator[Path]:
        with os.scandir(self.folder) as repos:
            folders = [entry.path for entry in repos if entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".json"):
                        yield Path(entry.path)
                    elif entry.name.endswith(".json.tmp"):
                        os.unlink(entry.path)  # a write that a crash cut short; the file it was to replace stands

    def _read(self, path: Path) -> Record | None:
        try:
            with open(path, "rb", buffering=0) as stream:
                data = stream.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("cannot read the tracker file %s: %s", path, error.strerror)
            return None
        try:
            head = _head.decode(data)
            if head.schema_version > SCHEMA_VERSION:
                log.error(
                    "%s was written by a newer hfdmd (schema %d, this one knows %d): left alone",
                    path,
                    head.schema_version,
                    SCHEMA_VERSION,
                )
                return None
            record: Record = _repo.decode(data) if head.kind == "repo" else _file.decode(data)
            _check(record, path, self.path(record.spec))
        except (msgspec.DecodeError, InvalidField, ValueError) as error:
            self._set_aside(path, error)
            return None
        return record

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
                waiting, self._waiting = self._waiting, []
                closing = self._closing
            error: OSError | None = None
            try:
                self._write(pending.values())
            except OSError as raised:
                error = raised
                log.error("cannot write tracker files: %s", raised)
                with self._condition:  # keep what could not be written, unless something newer came meanwhile
                    self._pending = {**pending, **self._pending}
                if self._on_error is not None:
                    self._on_error(raised)
            for future in waiting:
                if not future.set_running_or_notify_cancel():
                    continue  # whoever waited was cancelled; what it waited for is written all the same
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)
            if closing and (error is not None or not self._pending):
                return
            if error is not None:
                with self._condition:  # a full or broken disk is tried again, but not in a tight loop
                    self._condition.wait_for(lambda: self._closing, timeout=1.0)

    def _write(self, batch: Iterable[tuple[str, bytes | None]]) -> None:
        """Write, sync, rename; then sync the folders. Raises OSError."""
        written: list[str] = []
        touched: set[str] = set()
        descriptors: list[int] = []
        try:
            for path, data in batch:
                folder = os.path.dirname(path)
                if data is None:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
                        touched.add(folder)
                    continue
                touched.add(folder)
                if folder not in self._folders:
                    Path(folder).mkdir(mode=0o700, exist_ok=True)
                    sync_folder_at(self.folder)
                    self._folders.add(folder)
                descriptor = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                descriptors.append(descriptor)
                os.write(descriptor, data)
                written.append(path)
                if len(descriptors) >= _DESCRIPTORS:
                    _sync_all(descriptors)
            _sync_all(descriptors)
            for path in written:
                os.rename(path + ".tmp", path)
            _sync_folders([Path(folder) for folder in touched])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _sync_all(descriptors: list[int]) -> None:
    """Sync and close them all."""
    if len(descriptors) < _SYNC_EACH_BELOW or not sync_file_system(descriptors[0]):
        for descriptor in descriptors:
            sync_file(descriptor)
    while descriptors:
        os.close(descriptors.pop())


def _sync_folders(folders: list[Path]) -> None:
    if len(folders) >= _SYNC_EACH_BELOW:
        descriptor = os.open(folders[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if sync_file_system(descriptor):
                return
        finally:
            os.close(descriptor)
    for folder in folders:
        sync_folder_at(folder)


def _check(record: Record, path: Path, expected: Path) -> None:
    """A tracker file is disk content and so hostile: names must be legal and the identity must be its own."""
    validate.repo_id(record.spec.model_repo)
    validate.revision(record.spec.revision)
    if isinstance(record, FileRecord):
        validate.file_path(record.spec.file_path)
    if record.spec.local_dir is not None:
        validate.local_dir(record.spec.local_dir)
    if record.id != record.spec.id:
        raise ValueError("its id does not fit its request")
    if path != expected:
        raise ValueError(f"it belongs at {expected.name}")
    if not 0 <= record.version < 2**53:
        raise ValueError("its version is out of range")
