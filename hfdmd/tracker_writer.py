"""Writes tracker files in a thread. Atomic and crash-proof: temporary name, sync, rename.

Records put during a write are written together in the next batch, only the newest state of each, so the number of syncs
is bounded by the disk and not by the rate of changes. What the disk refuses is set apart and tried again every second:
it delays no other record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

from hfdmd.durable import opened, sync_files, sync_folders, write_new

log = logging.getLogger("hfdmd.store")

_RETRY_S = 1.0

Write = tuple[str, bytes | None]
"""The path of a tracker file and its new content; None deletes it."""


class TrackerWriter:
    """The thread, and what it has to write, by id of the record. `rename_lock` is held while trackers are renamed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rename_lock = threading.Lock()
        self._condition = threading.Condition()
        self._pending: dict[str, Write] = {}
        self._writing: dict[str, Write] = {}
        self._refused: dict[str, Write] = {}
        self._errors: dict[str, OSError] = {}
        """Why the last write of an id was refused, until one succeeds."""
        self._waiting: list[tuple[Future[list[Exception | None]], Sequence[str]]] = []
        self._closing = False
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        self._thread = threading.Thread(target=self._write_loop, name="hfdmd-trackers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write everything that is pending, try once more what was refused, and stop the thread."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def wrote_all(self) -> bool:
        """Whether no write is pending, or was refused by the disk."""
        with self._condition:
            return not self._pending and not self._writing and not self._refused

    def has_written(self, key: str) -> bool:
        """Whether the newest state of this record is on disk."""
        with self._condition:
            return all(key not in writes for writes in (self._pending, self._writing, self._refused))

    def put(self, key: str, path: str, data: bytes | None) -> None:
        """Queue a write. It replaces an older one of the same id."""
        with self._condition:
            self._pending[key] = (path, data)
            self._refused.pop(key, None)
            self._condition.notify()

    async def flush(self, ids: Sequence[str]) -> list[Exception | None]:
        """Return when all earlier puts were tried, with the error of each of `ids`; None for what is on disk."""
        future: Future[list[Exception | None]] = Future()
        with self._condition:
            if not self._thread:
                raise RuntimeError("the store is not open")
            self._waiting.append((future, ids))
            self._condition.notify()
        return await asyncio.wrap_future(future)

    def _write_loop(self) -> None:
        retry_at = 0.0
        while True:
            with self._condition:
                self._condition.wait_for(
                    lambda: self._pending or self._waiting or self._closing,
                    max(0.0, retry_at - time.monotonic()) if self._refused else None,
                )
                waiting, self._waiting = self._waiting, []
                self._writing, self._pending = self._pending, {}
                if self._closing or time.monotonic() >= retry_at:
                    self._writing, self._refused = {**self._refused, **self._writing}, {}
                for key in {key for _, ids in waiting for key in ids}:
                    if key in self._refused:
                        self._writing[key] = self._refused.pop(key)
                closing = self._closing
            errors = self._write_each(self._writing)
            if errors:
                retry_at = time.monotonic() + _RETRY_S
            with self._condition:
                self._note(errors)
                for future, ids in waiting:
                    if future.set_running_or_notify_cancel():  # else the waiting task was cancelled
                        future.set_result([self._errors.get(key) for key in ids])
                if closing and not self._pending:
                    return

    def _note(self, errors: dict[str, OSError]) -> None:
        """Take in what became of a batch. The first refusal of an id is logged, in one line for the whole batch."""
        new = [error for key, error in errors.items() if key not in self._errors]
        had_errors = bool(self._errors)
        for key, write in self._writing.items():
            if key not in errors:
                self._errors.pop(key, None)
            elif key not in self._pending:  # else a newer state has been put meanwhile
                self._refused[key] = write
        self._errors.update(errors)
        self._writing = {}
        if new:
            more = f", and {len(new) - 1} more" if len(new) > 1 else ""
            log.error("cannot write the tracker file %s%s: %s; trying again", new[0].filename, more, new[0].strerror)
        elif had_errors and not self._errors:
            log.info("all tracker files can be written again")

    def _write_each(self, batch: dict[str, Write]) -> dict[str, OSError]:
        """Write all of them at once; where that fails, in halves, so that few refused ones cost the others few syncs.

        Returns the errors by id, each with its path.
        """
        try:
            self._write(batch.values())
            return {}
        except OSError as error:
            if len(batch) < 2:
                return {
                    key: OSError(error.errno, error.strerror or str(error), path) for key, (path, _) in batch.items()
                }
        writes = list(batch.items())
        middle = len(writes) // 2
        return self._write_each(dict(writes[:middle])) | self._write_each(dict(writes[middle:]))

    def _write(self, batch: Iterable[Write]) -> None:
        """Write, sync, rename; then sync the folders. Raises OSError."""
        written: list[str] = []
        changed: set[str] = set()
        for path, data in batch:
            folder = os.path.dirname(path)
            if data is None:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(path)
                    changed.add(folder)
            else:
                self._write_new(f"{path}.tmp", data)
                written.append(path)
                changed.add(folder)
        with opened(self._folder, os.O_DIRECTORY) as root:
            sync_files(root, [f"{path}.tmp" for path in written])
        with self.rename_lock:
            for path in written:
                os.rename(f"{path}.tmp", path)
        sync_folders(list(changed))

    def _write_new(self, path: str, data: bytes) -> None:
        """Write a file without syncing it; create the folder of its repo if it is missing."""
        try:
            write_new(path, data, mode=0o600)
        except (FileNotFoundError, NotADirectoryError):
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folders([self._folder])
            write_new(path, data, mode=0o600)
