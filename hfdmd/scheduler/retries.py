"""When a download that waits is tried again: at its time, or as soon as the network is back."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hfdmd.aio import yielding
from hfdmd.failure import Failure
from hfdmd.net.retry_after import MAX_WAIT_S, backoff_s, spread_s
from hfdmd.record import Record, rfc3339
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger, Observer
from hfdmd.scheduler.supervisor import Supervisor
from hfdmd.wire.types import Reason, Status

RETRY_CAP_S = 60.0
DISK_RETRY_S = 10.0


def wait_s(failure: Failure, attempt: int) -> float:
    """Seconds to wait before the next attempt: as the other side asked and a little more, else by backoff."""
    if failure.retry_after_s is not None:
        return failure.retry_after_s + spread_s(failure.retry_after_s)
    if failure.reason is Reason.DISK_FULL:
        return DISK_RETRY_S
    return backoff_s(attempt, cap_s=RETRY_CAP_S)


@dataclass(slots=True, eq=False)
class RetryTimes:
    """Which ids are due when. Pure: the clock is passed in, in monotonic seconds.

    An id is identified with its `retry_at`, so that an entry which a later wait replaced is found out.
    """

    _heap: list[tuple[float, str, str]] = field(default_factory=list)
    _scheduled: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._scheduled)

    def add(self, key: str, retry_at: str, due_s: float) -> None:
        """Have `key` due at `due_s`; the same `retry_at` again changes nothing."""
        if self._scheduled.get(key) != retry_at:
            self._scheduled[key] = retry_at
            heapq.heappush(self._heap, (due_s, key, retry_at))

    def discard(self, key: str) -> None:
        """The id waits for no time any more."""
        self._scheduled.pop(key, None)

    def take_due(self, now_s: float) -> list[str]:
        """Ids whose time has come, removed, earliest first."""
        due: list[str] = []
        while (next_s := self.next_s()) is not None and next_s <= now_s:
            _, key, _ = heapq.heappop(self._heap)
            del self._scheduled[key]
            due.append(key)
        return due

    def next_s(self) -> float | None:
        """When the next id is due; None when none waits."""
        while self._heap and self._scheduled.get(self._heap[0][1]) != self._heap[0][2]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None


@dataclass(slots=True, eq=False)
class TimedObserver(Observer):
    """An observer that acts on records at their times, with one timer."""

    _index: Index
    _ledger: Ledger
    _supervisor: Supervisor
    _times: RetryTimes = field(default_factory=RetryTimes)
    _timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _act(self, due: Sequence[str]) -> None:
        """Called with the ids whose time has come."""
        raise NotImplementedError

    def _arm(self) -> None:
        self.close()
        next_s = self._times.next_s()
        if next_s is not None and not self._supervisor.closing:
            delay_s = max(0.0, next_s - time.monotonic()) + 0.001
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self._act(self._times.take_due(time.monotonic()))
        self._arm()


@dataclass(slots=True, eq=False)
class Retries(TimedObserver):
    """Ends the wait of queued records: clears `retry_at`, and the queue may start them."""

    counts: dict[Reason, int] = field(default_factory=dict)
    """How often downloads had to wait, by reason, since the daemon started."""
    _offline: dict[str, None] = field(default_factory=dict)

    def retry_at(self, failure: Failure, attempt: int) -> str:
        """The time of the next attempt, as records hold it."""
        return rfc3339(time.time() + wait_s(failure, attempt))

    def changed(self, record: Record, before: Status) -> None:
        if record.state is not Status.QUEUED or record.retry_at is None:
            self._drop(record)
            return
        left_s = min(datetime.fromisoformat(record.retry_at).timestamp() - time.time(), MAX_WAIT_S)
        if left_s <= 0:
            self._drop(record)
            self._ledger.note(record, retry_at=None)
            return
        # Measured by a clock that cannot be set: `retry_at` is for people.
        self._times.add(record.id, record.retry_at, time.monotonic() + left_s)
        if record.reason is Reason.NETWORK:
            self._offline[record.id] = None
        self._arm()

    def offered(self, record: Record) -> None:
        self.changed(record, record.state)

    def forgotten(self, record: Record) -> None:
        self._drop(record)

    def network_is_back(self) -> None:
        """A server answered: downloads that wait for the network need not wait for their time."""
        if self._offline:
            waiting, self._offline = self._offline, {}
            self._supervisor.background(self._end_waits(waiting, Reason.NETWORK), "end waits for the network")

    def room_may_be_there(self) -> None:
        """A setting changed: what waits for room on the disk is looked at again."""
        waiting = [*self._index.queued, *self._index.repos]
        self._supervisor.background(self._end_waits(waiting, Reason.DISK_FULL), "end waits for the disk")

    def _drop(self, record: Record) -> None:
        self._times.discard(record.id)
        self._offline.pop(record.id, None)

    def _act(self, due: Sequence[str]) -> None:
        for key in due:
            self._offline.pop(key, None)
            record = self._index.get(key)
            if record is not None and record.state is Status.QUEUED:
                self._ledger.edit(record, retry_at=None)

    async def _end_waits(self, waiting: Iterable[str], reason: Reason) -> None:
        async for key in yielding(waiting):
            record = self._index.get(key)
            if record is not None and record.retry_at is not None and record.reason is reason:
                self._ledger.edit(record, retry_at=None)
