"""Stopping work before its record is changed: an action sees only what has really stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hfdmd.aio import yielding
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, Record
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger
from hfdmd.scheduler.running import Running
from hfdmd.wire.types import Reason, Status

log = logging.getLogger("hfdmd.scheduler")


@dataclass(slots=True, eq=False)
class Stopper:
    _index: Index
    _ledger: Ledger
    _running: Running

    @asynccontextmanager
    async def stopped(self, records: Sequence[Record]) -> AsyncIterator[None]:
        """Stop the work on these records; inside, not a byte moves for them and none of them starts.

        The records of a nested call must be others than those of the outer one.
        """
        self._running.stopping.update(record.id for record in records)
        tasks = [task for task in map(self._running.task_of, records) if task is not None]
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks)
            yield
        finally:
            async for record in yielding(records):
                self._release(record)

    def _release(self, record: Record) -> None:
        self._running.stopping.discard(record.id)
        known = self._index.get(record.id)  # or a newer one, asked for since this one was deleted
        if known is None:
            return
        if known.state is Status.QUEUED:
            self._ledger.offer(known)
        elif known is not record:
            return
        elif record.state is Status.DOWNLOADING and isinstance(record, FileRecord):
            log.error("the action that stopped %s did not finish; the download is queued again", record.id)
            self._ledger.change(record, Stimulus.WAIT, reason=Reason.RESTARTED, detail="an action did not finish")
