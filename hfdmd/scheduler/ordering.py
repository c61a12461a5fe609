"""Who comes before whom: priorities and positions that a person gives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hfdmd.aio import yielding
from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.queue import key, stands_alone
from hfdmd.wire.types import Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

_STEP = 1e-3
CHILD_STEP = 1e-6
"""The files of a repo download stand so close behind each other."""
_FEW = 100
"""So many moved files are tracked for their place alone; of more nobody would see the positions."""


class Ordering:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def prioritise(self, record: Record, priority: int) -> None:
        """Give a record, and the files of a repo that are still to come, another priority."""
        record.priority = priority
        self._reordered(record)
        if isinstance(record, RepoRecord):
            async for child in yielding(self._scheduler.index.children(record)):
                if child.state in (Status.QUEUED, Status.DOWNLOADING) and child.priority != priority:
                    child.priority = priority
                    self._reordered(child)

    async def move(self, records: Sequence[Record], position: int) -> None:
        """Put them, all of one kind, so that the first comes to stand at `position` among what is queued.

        A file stands among files; a repo download among those and the files that have a slot of their own. They take
        the priority of the neighbour that they push back, or of the last when they come to stand behind it.
        """
        if not records:
            return
        queue = self._scheduler.admission.queue
        moving = {record.id for record in records}
        waiting = self._repos_and_single_files() if isinstance(records[0], RepoRecord) else self._files()
        others = sorted((queue.place(other), other) for other in waiting if other.id not in moving)
        await asyncio.sleep(0)
        records = sorted(records, key=queue.place)
        await asyncio.sleep(0)
        at = min(position - 1, len(others))
        after = others[at - 1][0] if at > 0 else None
        before = others[at][0] if at < len(others) else None
        neighbour = before or after or queue.place(records[0])
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
                step = _STEP  # no numbers are left between them: everybody behind moves up
                first = low + step
                behind = [other for place, other in others[at:] if place[0] == neighbour[0]]
                order = low + step * (len(records) + 1)
                async for other in yielding(behind):
                    order = max(queue.place(other)[1], order + step)
                    await self._put(other, other.priority, order)
        async for number, record in yielding(list(enumerate(records))):
            await self._put(record, -neighbour[0], first + number * step, by_a_person=len(records) <= _FEW)

    def _files(self) -> list[Record]:
        """What is queued, file by file."""
        index = self._scheduler.index
        return [index.files[file_id] for file_id in index.queued]

    def _repos_and_single_files(self) -> list[Record]:
        """What waits for a slot."""
        repos = self._scheduler.index.repos.values()
        single = [file for file in self._files() if isinstance(file, FileRecord) and stands_alone(file)]
        return [*single, *(repo for repo in repos if repo.state is Status.QUEUED)]

    async def _put(self, record: Record, priority: int, order: float, *, by_a_person: bool = False) -> None:
        """Give it a place; the queued files of a repo download come along, in the order that they had."""
        record.priority, record.order = priority, order
        self._reordered(record, by_a_person=by_a_person)
        if isinstance(record, RepoRecord):
            children = [one for one in self._scheduler.index.children(record) if one.state is Status.QUEUED]
            async for number, child in yielding(list(enumerate(sorted(children, key=key)))):
                child.priority, child.order = priority, order + number * CHILD_STEP
                self._reordered(child)

    def _reordered(self, record: Record, *, by_a_person: bool = False) -> None:
        """`by_a_person`: its place is its own, to be remembered though it has not begun."""
        scheduler = self._scheduler
        if scheduler.index.get(record.id) is not record:
            return  # somebody deleted it meanwhile
        record.updated_at = scheduler.now()
        record.version = scheduler.next_version()
        if isinstance(record, RepoRecord):
            scheduler.store.put(record)
        elif by_a_person or scheduler.is_tracked(record) or not self._is_of_its_repos(record):
            scheduler.persist(record)
        scheduler.admission.queue.offer(record)
        scheduler.publish(record)

    def _is_of_its_repos(self, record: FileRecord) -> bool:
        """Whether it has the priority that a repo download gives it, and so needs no tracker to remember its own."""
        repos = self._scheduler.index.repos
        return any(record.priority == repos[repo_id].priority for repo_id in record.repo_ids if repo_id in repos)
