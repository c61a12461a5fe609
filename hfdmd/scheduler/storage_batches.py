"""The shelf's blocking work, in threads and in batches: many small files cost few calls and few syncs."""

from __future__ import annotations

import logging

from hfdmd.aio import Batcher, in_thread
from hfdmd.cache.storage import Placed, Storage
from hfdmd.failure import Failure
from hfdmd.record import FileSpec, Source
from hfdmd.scheduler.drive import LOCKED_RETRY_S, Placement
from hfdmd.transfer.job import is_small
from hfdmd.wire.types import Reason

log = logging.getLogger("hfdmd.shelving")


class StorageBatches:
    """`prepare(hold)` locks and looks what is there; `place_small((hold, data))` puts in place and lets go."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.place_small = Batcher(self._place_all)
        self._small = Batcher(self._prepare_all, abandon=Placement.abandon)

    async def prepare(self, hold: Placement) -> Placed | None:
        """Lock the blob, and put in place what is on this machine already; None: it is to be fetched, the lock held.

        Small files go in batches. A large one goes alone, since its content may take long to read.
        """
        if is_small(hold.source.size_bytes):
            return await self._small(hold)
        return await Batcher(self._prepare_all, abandon=Placement.abandon)(hold)

    async def _prepare_all(self, holds: list[Placement]) -> list[Placed | Exception | None]:
        return await in_thread(self._prepare_in_thread, holds)

    def _prepare_in_thread(self, holds: list[Placement]) -> list[Placed | Exception | None]:
        """Lock each blob, then see what is there already: an app may have fetched it while we waited."""
        results: dict[int, Placed | Exception | None] = {}
        locked: list[Placement] = []
        for hold in holds:
            try:
                hold.lock = self._storage.lock(hold.spec, hold.source)
            except (Failure, OSError) as error:
                results[id(hold)] = error
                continue
            if hold.lock is None:
                results[id(hold)] = Failure(
                    Reason.LOCKED,
                    "another program is fetching this file into the same cache; waiting for it",
                    retry_after_s=LOCKED_RETRY_S,
                )
            else:
                locked.append(hold)
        items = [(hold.spec, hold.source, hold.previous) for hold in locked]
        adopted = self._storage.adopt(items, lambda: all(hold.abandoned for hold in locked))
        for hold, outcome in zip(locked, adopted, strict=True):
            results[id(hold)] = outcome
            if outcome is not None:
                hold.release()
        return [results[id(hold)] for hold in holds]

    async def discard(self, spec: FileSpec, source: Source) -> None:
        """Delete the part file. One that stays is told in the log: the next start of the daemon tries again."""
        try:
            await in_thread(self._storage.discard_part, spec, source)
        except (Failure, OSError) as error:
            log.error("a part file of %s could not be deleted: %s", spec.file_path, error)

    async def _place_all(self, items: list[tuple[Placement, bytes | bytearray]]) -> list[Placed | Exception]:
        return await in_thread(self._place_in_thread, items)

    def _place_in_thread(self, items: list[tuple[Placement, bytes | bytearray]]) -> list[Placed | Exception]:
        small = [(hold.spec, hold.source, data, hold.previous) for hold, data in items]
        placed: list[Placed | Exception] = list(self._storage.place_small(small))
        for hold, _ in items:
            hold.release()
        return placed
