"""Priorities and positions that a request gives to what is queued."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hfdmd.aio import yielding
from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger
from hfdmd.scheduler.queue import Queue, key, stands_alone
from hfdmd.wire.types import Status

_STEP = 1e-3
CHILD_STEP = 1e-6
"""Distance in `order` between the files of a repo download."""
_FEW = 100
"""Up to this many moved files get a tracker for their position alone; positions beyond are not shown."""


@dataclass(slots=True, eq=False)
class Ordering:
    _index: Index
    _queue: Queue
    _ledger: Ledger

    async def prioritise(self, records: Sequence[Record], priority: int) -> None:
        """Give records, and the unfinished files of repo downloads, another priority."""
        async for record in yielding(records):
            self._put(record, priority, record.order)
            if isinstance(record, RepoRecord):
                async for child in yielding(self._index.children(record)):
                    if child.state in (Status.QUEUED, Status.DOWNLOADING) and child.priority != priority:
                        self._put(child, priority, child.order)
        self._queue.recount()  # once: counting costs as much as the queue is long

    async def move(self, records: Sequence[Record], position: int) -> None:
        """Move records, all of one kind, so that the first of them is at `position` of the queue; 1 is next.

        A file is moved among files; a repo download among those and the files that have a slot of their own. They take
        the priority of the record that they displace, or of the last one when they come behind it.
        """
        if not records:
            return
        key_of = self._queue.key_of
        moving = {record.id for record in records}
        waiting = self._repos_and_single_files() if isinstance(records[0], RepoRecord) else self._files()
        others = sorted((key_of(other), other) for other in waiting if other.id not in moving)
        await asyncio.sleep(0)
        records = sorted(records, key=key_of)
        await asyncio.sleep(0)
        at = min(position - 1, len(others))
        after = others[at - 1][0] if at > 0 else None
        before = others[at][0] if at < len(others) else None
        neighbour = before or after or key_of(records[0])
        low = after[1] if after is not None and after[0] == neighbour[0] else None
        high = before[1] if before is not None else None
        if high is None:
            first, step = (neighbour[1] if low is None else low + 1.0), 1.0
        elif low is None:
            first, step = high - len(records), 1.0
        else:
            step = (high - low) / (len(records) + 1)
            first = low + step
            if not low < first < first + step * len(records) <= high or first + step == first:
                step = _STEP  # no numbers are left between the two: everything behind moves up
                first = low + step
                behind = [other for other_key, other in others[at:] if other_key[0] == neighbour[0]]
                order = low + step * (len(records) + 1)
                async for other in yielding(behind):
                    order = max(key_of(other)[1], order + step)
                    await self._put_with_children(other, other.priority, order)
        async for number, record in yielding(list(enumerate(records))):
            is_few = len(records) <= _FEW
            await self._put_with_children(record, -neighbour[0], first + number * step, is_requested=is_few)
        self._queue.recount()

    def _files(self) -> list[Record]:
        """All queued files."""
        return [self._index.files[file_id] for file_id in self._index.queued]

    def _repos_and_single_files(self) -> list[Record]:
        """What waits for a slot."""
        single = [file for file in self._files() if isinstance(file, FileRecord) and stands_alone(file)]
        return [*single, *(repo for repo in self._index.repos.values() if repo.state is Status.QUEUED)]

    async def _put_with_children(
        self, record: Record, priority: int, order: float, *, is_requested: bool = False
    ) -> None:
        """Move a record; the queued files of a repo download keep their order behind it."""
        self._put(record, priority, order, is_requested=is_requested)
        if isinstance(record, RepoRecord):
            children = [child for child in self._index.children(record) if child.state is Status.QUEUED]
            async for number, child in yielding(list(enumerate(sorted(children, key=key)))):
                self._put(child, priority, order + number * CHILD_STEP)

    def _put(self, record: Record, priority: int, order: float, *, is_requested: bool = False) -> None:
        """`is_requested`: the position was asked for, so it is remembered even when the file has not started."""
        if not self._index.holds(record):
            return  # deleted meanwhile
        save = isinstance(record, RepoRecord) or is_requested or self._ledger.is_tracked(record)
        if not save and isinstance(record, FileRecord):  # a priority that no repo download gives it has to be kept
            save = all(priority != repo.priority for repo in self._index.parents(record))
        self._ledger.edit(record, save=save, priority=priority, order=order)
