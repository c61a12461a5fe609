"""Which download starts next: one slot per single file and per repo download, highest priority first, then oldest."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterable

from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.index import Index
from hfdmd.wire.types import QUEUE_POSITIONS_SHOWN, Status

Key = tuple[int, float, str]

_FEW = 32
_COUNT_EVERY_S = 50e-6  # per queued file and repo download: about fifty times what counting it costs


def key(record: Record) -> Key:
    """Where in the queue: higher `priority` first, then `order`."""
    return (-record.priority, record.order, record.id)


def stands_alone(record: FileRecord) -> bool:
    """Whether the file has a slot of its own: it was asked for singly, or no repo download wants it any more."""
    return record.asked_singly or not record.repo_ids


class Heap:
    """A priority queue of ids. Stale entries are dropped when they come up; one whose key changed is moved then."""

    def __init__(self, current: Callable[[str], Key | None]) -> None:
        self._current = current
        self._items: list[Key] = []
        self._newest: dict[str, Key] = {}

    def push(self, item: Key) -> None:
        if self._newest.get(item[2]) != item:
            self._newest[item[2]] = item
            heapq.heappush(self._items, item)

    def peek(self) -> Key | None:
        """The first entry that is still valid, or None."""
        gone = 0
        while self._items:
            item = self._items[0]
            current = self._current(item[2])
            if current == item:
                return item
            self.pop()
            if current is not None:
                self.push(current)
            gone += 1
            if gone > _FEW + len(self._newest) // _FEW:  # as when whole repos are paused or cancelled
                self._sift()
                gone = 0
        return None

    def _sift(self) -> None:
        """Rebuild the heap from the valid entries: for many stale ones far cheaper than one by one."""
        self._newest = {key: item for key in self._newest if (item := self._current(key)) is not None}
        self._items = list(self._newest.values())
        heapq.heapify(self._items)

    def __contains__(self, key: str) -> bool:
        return key in self._newest

    def pop(self) -> Key:
        item = heapq.heappop(self._items)
        if self._newest.get(item[2]) == item:
            del self._newest[item[2]]
        return item


class Queue:
    """Queued downloads that may start now. `may_start` is False for a record that something else holds up."""

    def __init__(self, index: Index, may_start: Callable[[Record], bool]) -> None:
        self._index = index
        self._may_start = may_start
        self._singles = Heap(self._single_key)
        self._repos = Heap(self._repo_key)
        self._files_of: dict[str, Heap] = {}
        self._positions: dict[str, int] = {}
        self._counted_at = -math.inf
        self._stale = True

    def offer(self, record: Record) -> None:
        """Add a record that may have become ready to start, or whose key changed."""
        self._stale = True
        if isinstance(record, RepoRecord):
            self._repos.push(self.key_of(record))
            return
        if stands_alone(record):
            self._singles.push(key(record))
        for repo_id in record.repo_ids:
            repo = self._index.repos.get(repo_id)
            if repo is not None:
                self._heap_of(repo_id).push(key(record))
                self._repos.push(self.key_of(repo))

    def mark_stale(self) -> None:
        """A record left the queue: positions must be counted again."""
        self._stale = True

    def recount(self) -> None:
        """The order was changed by a request: its answer must show the new positions at once."""
        self._stale = True
        self._counted_at = -math.inf

    def key_of(self, record: Record) -> Key:
        """The key of a file or a repo download among those that wait: a repo is as urgent as the first of its files.

        When files leave, a repo only moves back, so that its entry in a heap is found stale in time.
        """
        own = key(record)
        if isinstance(record, FileRecord) or not record.listed:
            return own
        first = self._heap_of(record.id).peek()
        return own if first is None else min(own, (first[0], first[1], record.id))

    def next_unit(self, active: Iterable[str]) -> Record | None:
        """The file or repo download that gets the next free slot; those in `active` have one already."""
        taken = set(active)
        single = self._first(self._singles, taken)
        repo = self._first(self._repos, taken)
        if single is None or (repo is not None and repo < single):
            return None if repo is None else self._index.repos[repo[2]]
        return self._index.files[single[2]]

    def next_file(self, repo_id: str) -> FileRecord | None:
        """The next file of a repo download that has a slot, or None."""
        item = self._heap_of(repo_id).peek()
        return None if item is None else self._index.files[item[2]]

    def positions(self) -> dict[str, int]:
        """Positions of the first queued downloads, 1 is next: of files among files, of repo downloads as `move` has it.

        Counted at most a few times a second, and less often the longer the queue: counted with every event they would
        cost more than the downloads.
        """
        queued = self._index.queued
        now = time.monotonic()
        count = len(queued) + len(self._index.repos)
        if self._stale and now - self._counted_at > count * _COUNT_EVERY_S:
            files = self._index.files
            first = heapq.nsmallest(QUEUE_POSITIONS_SHOWN, (key(files[file_id]) for file_id in queued))
            self._positions = self._repo_positions()
            self._positions.update((item[2], number) for number, item in enumerate(first, 1))
            self._counted_at = now
            self._stale = False
        return self._positions

    def _repo_positions(self) -> dict[str, int]:
        """Positions of repo downloads, among themselves and the files that have a slot of their own."""
        repos: list[Record] = [repo for repo in self._index.repos.values() if repo.state is Status.QUEUED]
        if not repos:
            return {}
        single = (file for file_id in self._index.queued if stands_alone(file := self._index.files[file_id]))
        units = heapq.nsmallest(QUEUE_POSITIONS_SHOWN, (self.key_of(unit) for unit in (*repos, *single)))
        return {item[2]: number for number, item in enumerate(units, 1) if item[2] in self._index.repos}

    def _first(self, heap: Heap, taken: set[str]) -> Key | None:
        """The first entry of `heap` that has no slot yet. Those that have one are offered again when they lose it."""
        while (item := heap.peek()) is not None and item[2] in taken:
            heap.pop()
        return item

    def _heap_of(self, repo_id: str) -> Heap:
        heap = self._files_of.get(repo_id)
        if heap is None:
            heap = self._files_of[repo_id] = Heap(self._file_key)
        return heap

    def drop_repo(self, repo_id: str) -> None:
        self._files_of.pop(repo_id, None)

    def lacks(self, record: Record) -> bool:
        """Whether a record that is ready to start is missing here: then nothing would ever start it."""
        if not self._ready(record):
            return False
        if isinstance(record, RepoRecord):
            return not record.listed and record.id not in self._repos
        if stands_alone(record) and record.id not in self._singles:
            return True
        known = [repo_id for repo_id in record.repo_ids if repo_id in self._index.repos]
        return any(record.id not in self._heap_of(repo_id) for repo_id in known)

    def _ready(self, record: Record) -> bool:
        return record.state is Status.QUEUED and self._may_start(record)

    def _file_key(self, file_id: str) -> Key | None:
        record = self._index.files.get(file_id)
        return key(record) if record is not None and self._ready(record) else None

    def _single_key(self, file_id: str) -> Key | None:
        record = self._index.files.get(file_id)
        return key(record) if record is not None and stands_alone(record) and self._ready(record) else None

    def _repo_key(self, repo_id: str) -> Key | None:
        repo = self._index.repos.get(repo_id)
        if repo is None:
            return None
        if not repo.listed and self._ready(repo):
            return key(repo)
        # A listing that failed or waits does not hold up known files, unless it decides which of them are wanted.
        return self.key_of(repo) if not repo.moving and self._heap_of(repo_id).peek() is not None else None
