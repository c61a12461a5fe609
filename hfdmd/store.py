"""Tracker files: their names, and how they are read, whatever has happened to them. `TrackerWriter` writes them."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from hfdmd.durable import max_name_bytes
from hfdmd.migrations import TRACKER_MIGRATIONS, NewerSchema, migrate, schema_version
from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord, RepoSpec
from hfdmd.tracker_writer import TrackerWriter
from hfdmd.wire import validate
from hfdmd.wire.errors import InvalidField
from hfdmd.wire.types import MALFORMED, RepoType

log = logging.getLogger("hfdmd.store")

_READ_BYTES = 4096  # most trackers need one read; a larger buffer costs more than the read
_REPO_FOLDERS = {RepoType.MODEL: "models", RepoType.DATASET: "datasets", RepoType.SPACE: "spaces"}

_file_decoder = msgspec.json.Decoder(FileRecord)
_repo_decoder = msgspec.json.Decoder(RepoRecord)
_encoder = msgspec.json.Encoder()


class Store:
    """The tracker files below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer = TrackerWriter(folder)
        self._max_name_bytes = 255
        self._rename_lock = self._writer.rename_lock
        self.left_alone: dict[str, str] = {}
        """Tracker files and folders of them that may be good but were not read, each with the reason."""
        self._moved_count = 0

    def open(self) -> None:
        """Make the folder and start the writer. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._max_name_bytes = max_name_bytes(self.folder)
        for path in self._paths(".json.tmp"):  # writes that a crash cut short; the trackers themselves are intact
            try:
                os.unlink(path)
            except OSError as error:
                log.warning("cannot remove %s: %s", path, error.strerror)
        self._writer.open()

    def close(self) -> None:
        """Write everything that is pending and stop the writer."""
        self._writer.close()

    @property
    def is_alive(self) -> bool:
        """Whether the writer thread runs. Without it no download can become done."""
        return self._writer.is_alive

    @property
    def wrote_all(self) -> bool:
        """Whether no write is pending, or was refused by the disk."""
        return self._writer.wrote_all

    def has_written(self, key: str) -> bool:
        """Whether the newest state of this record is on disk."""
        return self._writer.has_written(key)

    def put(self, record: Record) -> None:
        """Queue the present state of the record for writing; it replaces an older one that is still queued."""
        self._writer.put(record.id, self.path(record.spec), _encoder.encode(record))

    def forget(self, record: Record) -> None:
        """Queue the deletion of its tracker file."""
        self._writer.put(record.id, self.path(record.spec), None)

    async def flush(self, *ids: str) -> None:
        """Return when all earlier puts and deletions were tried, and those of `ids` are on disk.

        Raises OSError, with the path, if one of these could not be written.
        """
        for error in await self.flush_each(ids):
            if error is not None:
                raise error

    async def flush_each(self, ids: Sequence[str]) -> list[Exception | None]:
        """As `flush`; returns for each of the ids why its tracker could not be written, None if it was."""
        return await self._writer.flush(ids)

    def path(self, spec: FileSpec | RepoSpec) -> str:
        """Path of the tracker file of `spec`. The readable part is for people; the id alone makes it unique."""
        return self._path(spec, spec.id)

    def _path(self, spec: FileSpec | RepoSpec, key: str) -> str:
        readable = "@repo" if isinstance(spec, RepoSpec) else spec.file_path.replace("/", "--")
        room = max(0, self._max_name_bytes - len(f".{key}.json.corrupt"))
        if len(readable) > room or not readable.isascii():
            readable = readable.encode()[:room].decode(errors="ignore")
        repo = f"{_REPO_FOLDERS[spec.repo_type]}--{spec.model_repo.replace('/', '--')}"
        return f"{self.folder}/{repo}/{readable}.{key}.json"

    def load_one(self, spec: FileSpec | RepoSpec) -> Record | None:
        """The record of `spec`, or None without a readable tracker file that ends with its id.

        The readable part of its name may differ: it was written where names could be longer or shorter.
        """
        path = self.path(spec)
        return self._read(path) or self._find(spec.id, [os.path.dirname(path)])

    def load_repo(self, model_repo: str) -> list[Record]:
        """All records of one repo, of any repo type. Blocking."""
        name = model_repo.replace("/", "--")
        paths = self._paths(".json", [f"{self.folder}/{kind}--{name}" for kind in _REPO_FOLDERS.values()])
        return [record for record in self._records(paths) if record.spec.model_repo == model_repo]

    def load_id(self, key: str) -> Record | None:
        """The record of that id, found by the file's name. Blocking."""
        return self._find(key)

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
            log.error("%d tracker files or folders were not read and are left alone; see above", len(self.left_alone))

    def _find(self, key: str, folders: Sequence[str] | None = None) -> Record | None:
        """The record of that id. Looks twice: another thread may be moving the file to its present name."""
        looks = chain.from_iterable(self._paths(f".{key}.json", folders) for _ in range(2))
        return next(self._records(looks), None)

    def _records(self, paths: Iterable[str]) -> Iterator[Record]:
        return (record for path in paths if (record := self._read(path)) is not None)

    def _paths(self, suffix: str, folders: Iterable[str] | None = None) -> Iterator[str]:
        """Files whose names end with `suffix`, of all repos or in `folders`; missing folders are skipped."""
        if folders is None:
            with os.scandir(self.folder) as repos:
                folders = [entry.path for entry in repos if entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            try:
                names = os.listdir(folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._leave_alone(folder, f"cannot be read: {error.strerror}")
                continue
            yield from (f"{folder}/{name}" for name in names if name.endswith(suffix))

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
            self.left_alone[path] = why
            what = "folder" if os.path.isdir(path) else "file"
            log.error("the tracker %s %s %s; it is left alone", what, path, why)

    def _set_aside(self, path: Path, why: Exception) -> None:
        aside = path.with_name(path.name + ".corrupt")
        try:
            os.replace(path, aside)
        except OSError as error:
            log.error("the tracker file %s is damaged (%s) and cannot be set aside: %s", path, why, error.strerror)
        else:
            log.error("the tracker file %s is damaged (%s); set aside as %s", path, why, aside.name)


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
