"""What the Hub does not have is forgotten by itself: a request with a typo in it is not kept for ever."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hfdmd.aio import yielding
from hfdmd.record import FileRecord, Record
from hfdmd.scheduler.retries import TimedObserver
from hfdmd.wire.types import Reason, Status

KEPT_S = 600.0
_NOT_THERE = frozenset({Reason.REPO_NOT_FOUND, Reason.REVISION_NOT_FOUND, Reason.FILE_NOT_FOUND})


@dataclass(slots=True, eq=False)
class Expiry(TimedObserver):
    """Forgets a request `KEPT_S` after it failed because the Hub has no such thing, if nothing of it ever came."""

    async def loaded(self) -> None:
        """Take in what failed before the daemon started."""
        records: list[Record] = [*self._index.files.values(), *self._index.repos.values()]
        async for record in yielding(records):
            if record.state is Status.FAILED:
                self.changed(record, record.state)

    def changed(self, record: Record, before: Status) -> None:
        if not self._never_was(record):
            self._times.discard(record.id)
            return
        left_s = datetime.fromisoformat(record.updated_at).timestamp() + KEPT_S - time.time()
        self._times.add(record.id, record.updated_at, time.monotonic() + min(max(0.0, left_s), KEPT_S))
        self._arm()

    def forgotten(self, record: Record) -> None:
        self._times.discard(record.id)

    def _never_was(self, record: Record) -> bool:
        if record.state is not Status.FAILED or record.reason not in _NOT_THERE:
            return False
        if isinstance(record, FileRecord):
            return record.source is None and not record.repo_ids
        return not record.listed and not self._index.sums[record.id].files

    def _act(self, due: Sequence[str]) -> None:
        self._supervisor.background(self._supervisor.exclusive(self._forget(due)), "forget what never was")

    async def _forget(self, keys: Iterable[str]) -> None:
        async for key in yielding(keys):
            record = self._index.get(key)
            if record is not None and self._never_was(record):
                self._ledger.forget(record)
