"""Remembers files that hfdmd wrote: to copy equal content within a folder, and to know what it may delete."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from hfdmd.aio import Batcher, in_thread
from hfdmd.cache.storage import Placed, Storage
from hfdmd.durable import replace_file
from hfdmd.record import FileRecord, Record
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Observer
from hfdmd.scheduler.storage_batches import Placement, previous
from hfdmd.wire.types import Status

log = logging.getLogger("hfdmd.storage")

_SPARE = 10_000  # files remembered as written by hfdmd beside those that downloads name


class WrittenFiles(Observer):
    """Which download brought a content into a folder, and which contents hfdmd wrote.

    `file` keeps those whose downloads were forgotten: they are found again as hfdmd's own after a restart too.
    """

    def __init__(self, index: Index, storage: Storage, file: Path) -> None:
        self._index = index
        self._storage = storage
        self._file = file
        self._forgotten: deque[int] = deque(maxlen=_SPARE)
        self._lines = 0
        self._started_at = time.time()
        self._by_content: dict[tuple[str, str], str] = {}  # ids by folder and etag
        self._written: set[int] = set()

    def changed(self, record: Record, before: Status) -> None:
        if isinstance(record, FileRecord) and record.state is Status.DONE and before is not Status.DONE:
            self.add(record)

    def forgotten(self, record: Record) -> None:
        if isinstance(record, FileRecord) and record.source is not None and record.spec.local_dir is not None:
            key = (record.spec.local_dir, record.source.etag)
            if self._by_content.get(key) == record.id:
                del self._by_content[key]

    def add(self, record: FileRecord) -> None:
        """The file of this download is in its place."""
        if record.source is None:
            return
        if record.spec.local_dir is not None:
            self._by_content[record.spec.local_dir, record.source.etag] = record.id
        files = self._index.files
        if len(self._written) > 2 * len(files) + _SPARE:
            self._written = set(self._forgotten)
            for known in files.values():
                self._add_written(known)
        self._add_written(record)

    def _add_written(self, record: FileRecord) -> None:
        if (fingerprint := _own(record)) is not None:
            self._written.add(fingerprint)

    def load(self) -> None:
        """Read what was forgotten before. Blocking. A file that cannot be read is logged, and counts as empty."""
        try:
            lines = self._file.read_text("ascii").split()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            log.warning("cannot read %s: %s", self._file, error)
            return
        for line in lines:
            with contextlib.suppress(ValueError):
                self._forgotten.append(int(line, 16))
        self._lines = len(lines)
        self._written.update(self._forgotten)

    async def keep(self, records: Iterable[FileRecord]) -> None:
        """These downloads are about to be forgotten; their files stay hfdmd's own."""
        fingerprints = [one for record in records if record.state is Status.DONE and (one := _own(record)) is not None]
        if fingerprints:
            self._forgotten.extend(fingerprints)
            await in_thread(self._append, fingerprints)

    def _append(self, fingerprints: list[int]) -> None:
        self._lines += len(fingerprints)
        try:
            if self._lines > 2 * _SPARE:
                replace_file(self._file, [_lines(self._forgotten)], mode=0o600)
                self._lines = len(self._forgotten)
            else:
                with self._file.open("ab") as file:
                    file.write(_lines(fingerprints))
        except OSError as error:  # at worst the files stay when they are deleted after a restart
            log.warning("cannot write %s: %s", self._file, error.strerror)

    def is_foreign(self, record: FileRecord, placed: Placed) -> bool:
        """Whether another program wrote what was placed. The record still names what hfdmd placed there before."""
        source = record.source
        if not placed.found or source is None:
            return False
        if (record.placed_bytes, record.placed_mtime_ns) == (placed.size_bytes, placed.mtime_ns):
            return record.adopted
        if _fingerprint(source.etag, placed.size_bytes, placed.mtime_ns) in self._written:
            return False
        # What a crash left between placing and the tracker that names it is younger than the Hub's answer.
        return not source.told_at <= placed.mtime_ns / 1e9 < self._started_at

    async def copy_same_content(self, placement: Placement) -> Placed | None:
        """Place the file as a copy of another one with the same content in the same folder; None without one."""
        if placement.spec.local_dir is None:
            return None
        key = (placement.spec.local_dir, placement.source.etag)
        known = self._index.files.get(self._by_content.get(key, ""))
        if known is None or known.id == placement.spec.id or known.state is not Status.DONE:
            self._by_content.pop(key, None)
            return None
        there = previous(known)
        if there is None:
            return None

        async def copied(placements: list[Placement]) -> list[Placed | Exception | None]:
            return [await in_thread(self._copy, one, there) for one in placements]

        return await Batcher(copied, abandon=Placement.abandon)(placement)

    def _copy(self, placement: Placement, original: Placed) -> Placed | None:
        return self._storage.copy_same_content(
            placement.spec, placement.source, original, placement.previous, lambda: placement.abandoned
        )


def _own(record: FileRecord) -> int | None:
    """The fingerprint of the file that hfdmd wrote for this download; None without one."""
    if record.source is None or record.adopted or record.placed_mtime_ns is None or record.placed_bytes is None:
        return None
    return _fingerprint(record.source.etag, record.placed_bytes, record.placed_mtime_ns)


def _lines(fingerprints: Iterable[int]) -> bytes:
    return b"".join(b"%016x\n" % one for one in fingerprints)


def _fingerprint(etag: str, size_bytes: int, mtime_ns: int) -> int:
    """Identifies a file in a few bytes: tens of thousands are remembered, across restarts."""
    text = f"{etag} {size_bytes} {mtime_ns}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
