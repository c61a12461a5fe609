"""Blocking work on the disk, in threads and in batches: many small files cost few calls and few syncs."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from hfdmd.aio import Batcher, in_thread
from hfdmd.cache.storage import Lock, Placed, Storage
from hfdmd.failure import Failure
from hfdmd.record import FileRecord, FileSpec, Source
from hfdmd.transfer.job import is_small
from hfdmd.wire.types import Reason

log = logging.getLogger("hfdmd.storage")

LOCKED_RETRY_S = 2.0


@dataclass(slots=True)
class Placement:
    """One file that is to be placed: what it is, what hfdmd placed for it before, and the lock on its blob."""

    spec: FileSpec
    source: Source
    previous: Placed | None
    lock: Lock | None = None
    abandoned: bool = False

    def abandon(self) -> None:
        """The caller was cancelled: content need not be read to its end."""
        self.abandoned = True

    def release(self) -> None:
        if self.lock is not None:
            self.lock.release()
            self.lock = None


class StorageBatches:
    """`prepare` locks and looks for existing content; `place_small((placement, data))` places it and unlocks."""

    def __init__(self, storage: Storage, cache_dir: Path) -> None:
        self._storage = storage
        self._cache_prefix = os.path.join(os.path.abspath(cache_dir), "")
        self.place_small = Batcher(self._place_all)
        self._small = Batcher(self._prepare_all, abandon=Placement.abandon)

    def is_in_place(self, record: FileRecord) -> bool:
        """Whether the file that was placed for this download is there, with its size, where files go now. Blocking."""
        path, size_bytes = record.path, record.placed_bytes
        if path is None or size_bytes is None:
            return False
        if record.spec.local_dir is None and not path.startswith(self._cache_prefix):
            return False
        return self._storage.is_in_place(path, size_bytes)

    async def prepare(self, placement: Placement) -> Placed | None:
        """Lock the blob and place existing content; None: it has to be fetched, and the lock is held.

        Small files go in batches. A large one goes alone, since reading its content may take long. Raises `Failure`
        (`locked` while another program holds the lock), OSError.
        """
        if is_small(placement.source.size_bytes):
            return await self._small(placement)
        return await Batcher(self._prepare_all, abandon=Placement.abandon)(placement)

    async def _prepare_all(self, placements: list[Placement]) -> list[Placed | Exception | None]:
        return await in_thread(self._prepare_in_thread, placements)

    def _prepare_in_thread(self, placements: list[Placement]) -> list[Placed | Exception | None]:
        """Lock each blob, then look for its content: another program may have fetched it while we waited."""
        results: dict[int, Placed | Exception | None] = {}
        locked: list[Placement] = []
        for placement in placements:
            try:
                placement.lock = self._storage.lock(placement.spec, placement.source)
            except (Failure, OSError) as error:
                results[id(placement)] = error
                continue
            if placement.lock is None:
                results[id(placement)] = Failure(
                    Reason.LOCKED,
                    "another program is fetching this file into the same cache; waiting for it",
                    retry_after_s=LOCKED_RETRY_S,
                )
            else:
                locked.append(placement)
        items = [(placement.spec, placement.source, placement.previous) for placement in locked]
        adopted = self._storage.adopt(items, lambda: all(placement.abandoned for placement in locked))
        for placement, outcome in zip(locked, adopted, strict=True):
            results[id(placement)] = outcome
            if outcome is not None:
                placement.release()
        return [results[id(placement)] for placement in placements]

    async def discard(self, spec: FileSpec, source: Source) -> None:
        """Delete the part file. One that cannot be deleted is logged; the next start of the daemon tries again."""
        try:
            await in_thread(self._storage.discard_part, spec, source)
        except (Failure, OSError) as error:
            log.error("a part file of %s could not be deleted: %s", spec.file_path, error)

    async def _place_all(self, items: list[tuple[Placement, bytes | bytearray]]) -> list[Placed | Exception]:
        return await in_thread(self._place_in_thread, items)

    def _place_in_thread(self, items: list[tuple[Placement, bytes | bytearray]]) -> list[Placed | Exception]:
        small = [(placement.spec, placement.source, data, placement.previous) for placement, data in items]
        placed: list[Placed | Exception] = list(self._storage.place_small(small))
        for placement, _ in items:
            placement.release()
        return placed


def previous(record: FileRecord) -> Placed | None:
    """What hfdmd itself placed for this download before."""
    if record.path is None or record.placed_mtime_ns is None or record.placed_bytes is None:
        return None
    return Placed(Path(record.path), record.placed_bytes, record.placed_mtime_ns)
