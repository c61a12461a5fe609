"""Who comes before whom: priorities and positions that a person gives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.queue import key
from hfdmd.scheduler.turns import by_turns
from hfdmd.wire.types import Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

_STEP = 1e-3


class Ordering:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def prioritise(self, record: Record, priority: int) -> None:
        """Give a record, and the queued files of a repo, another priority."""
        record.priority = priority
        self._reordered(record)
        if isinstance(record, RepoRecord):
            async for child in by_turns(self._scheduler.index.children(record)):
                if child.state is Status.QUEUED and child.priority != priority:
                    child.priority = priority
                    self._reordered(child)

    async def move(self, records: Sequence[Record], position: int) -> None:
        """Put them, all of one kind, so that the first comes to stand at `position` among what is queued of its kind.

        They take the priority of the neighbour that they push back, or of the last when they come to stand behind it.
        """
        if not records:
            return
        index = self._scheduler.index
        moving = {record.id for record in records}
        pool: list[Record] = (
            [repo for repo in index.repos.values() if repo.state is Status.QUEUED]
            if isinstance(records[0], RepoRecord)
            else [index.files[file_id] for file_id in index.queued]
        )
        others = sorted((other for other in pool if other.id not in moving), key=key)
        await asyncio.sleep(0)
        records = sorted(records, key=key)
        await asyncio.sleep(0)
        place = min(position - 1, len(others))
        after = others[place - 1] if place > 0 else None
        before = others[place] if place < len(others) else None
        neighbour = before or after or records[0]
        low = after.order if after is not None and after.priority == neighbour.priority else None
        high = before.order if before is not None else None
        if high is None:
            first, step = (records[0].order if low is None else low + 1.0), 1.0
        elif low is None:
            first, step = high - len(records), 1.0
        else:
            step = (high - low) / (len(records) + 1)
            first = low + step
            if not low < first < first + step * len(records) <= high or first + step == first:
                step = _STEP  # no numbers are left between them: everybody behind moves up
                first = low + step
                behind = [other for other in others[place:] if other.priority == neighbour.priority]
                at = low + step * (len(records) + 1)
                async for other in by_turns(behind):
                    other.order = at = max(other.order, at + step)
                    self._reordered(other)
        async for number, record in by_turns(list(enumerate(records))):
            record.priority = neighbour.priority
            record.order = first + number * step
            self._reordered(record)

    def _reordered(self, record: Record) -> None:
        scheduler = self._scheduler
        if scheduler.index.get(record.id) is not record:
            return  # somebody deleted it meanwhile
        record.updated_at = scheduler.now()
        record.version = scheduler.next_version()
        if isinstance(record, RepoRecord):
            scheduler.store.put(record)
        elif scheduler.is_tracked(record) or not self._is_of_its_repos(record):
            scheduler.persist(record)
        scheduler.admission.queue.offer(record)
        scheduler.publish(record)

    def _is_of_its_repos(self, record: FileRecord) -> bool:
        """Whether it has the priority that a repo download gives it, and so needs no tracker to remember its own."""
        repos = self._scheduler.index.repos
        return any(record.priority == repos[repo_id].priority for repo_id in record.repo_ids if repo_id in repos)
