"""What is running: one entry per active file and per listing, and what they use of the daemon's capacity."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.speed import Speed
from hfdmd.transfer.job import Meter, is_small


@dataclass(slots=True, eq=False)
class ActiveFile:
    """One file that is being downloaded in the slot `slot` (its own id, or that of a repo download).

    `weight` is how many connections it is counted for.
    """

    record: FileRecord
    slot: str
    weight: int
    meter: Meter = field(default_factory=Meter)
    speed: Speed = field(init=False)
    task: asyncio.Task[Any] | None = None

    def __post_init__(self) -> None:
        self.meter.downloaded_bytes = self.record.downloaded_bytes
        self.meter.reused_bytes = self.record.reused_bytes if self.record.synced else 0
        self.meter.transport = self.record.transport
        self.speed = Speed(self.record.downloaded_bytes)

    @property
    def is_small(self) -> bool:
        """Whether it is fetched into memory, in one request."""
        return is_small(self.record.size_bytes)


@dataclass(slots=True, eq=False)
class ActiveListing:
    """One repo download that is being listed."""

    repo: RepoRecord
    task: asyncio.Task[Any] | None = None


@dataclass(slots=True, eq=False)
class Load:
    """How much of the connections is in use: by large files, and by small ones in memory."""

    connections: int = 0
    """What large files may use."""
    small_bytes: int = 0
    _small: dict[str, int] = field(default_factory=dict)

    @property
    def small_files(self) -> int:
        return len(self._small)

    def add(self, active: ActiveFile) -> None:
        size_bytes = active.record.size_bytes
        if size_bytes is not None and is_small(size_bytes):
            self._small[active.record.id] = size_bytes
            self.small_bytes += size_bytes
        else:
            self.connections += active.weight

    def remove(self, active: ActiveFile) -> None:
        """As it was added, although its size may be known only since."""
        size_bytes = self._small.pop(active.record.id, None)
        if size_bytes is None:
            self.connections -= active.weight
        else:
            self.small_bytes -= size_bytes


@dataclass(slots=True, eq=False)
class Running:
    """Registry of active files and listings.

    `stopping` holds ids that an action is stopping just now, `entering` those whose first tracker is being written.
    """

    files: dict[str, ActiveFile] = field(default_factory=dict)
    listings: dict[str, ActiveListing] = field(default_factory=dict)
    stopping: set[str] = field(default_factory=set)
    entering: set[str] = field(default_factory=set)
    load: Load = field(default_factory=Load)
    _ended_received_bytes: int = 0

    def add_file(self, active: ActiveFile) -> None:
        self.files[active.record.id] = active
        self.load.add(active)

    def remove_file(self, active: ActiveFile) -> None:
        del self.files[active.record.id]
        self.load.remove(active)
        self._ended_received_bytes += active.meter.received_bytes

    def task_of(self, record: Record) -> asyncio.Task[Any] | None:
        active: ActiveFile | ActiveListing | None = self.files.get(record.id) or self.listings.get(record.id)
        return None if active is None else active.task

    def tasks(self) -> list[asyncio.Task[Any]]:
        running: list[ActiveFile | ActiveListing] = [*self.files.values(), *self.listings.values()]
        found = [active.task for active in running]
        return [task for task in found if task is not None]

    def is_free(self, record: Record) -> bool:
        """Whether the record may start now: not running, being stopped or entering, not waiting for its time."""
        if any(record.id in ids for ids in (self.stopping, self.entering, self.files, self.listings)):
            return False
        return record.retry_at is None

    def of_repo(self, repo_id: str) -> list[ActiveFile]:
        """The running files of a repo download."""
        return [active for active in self.files.values() if repo_id in active.record.repo_ids]

    def bytes_per_second(self, file_id: str) -> int | None:
        active = self.files.get(file_id)
        return None if active is None else active.speed.bytes_per_second

    def repo_bytes_per_second(self, repo_id: str) -> int | None:
        """Sum over the running files of a repo download; None while none of them has a speed."""
        rates = [active.speed.bytes_per_second for active in self.of_repo(repo_id)]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known else None

    @property
    def total_bytes_per_second(self) -> int:
        return sum(active.speed.bytes_per_second or 0 for active in self.files.values())

    @property
    def received_bytes(self) -> int:
        """Body bytes read from the network since the daemon started."""
        return self._ended_received_bytes + sum(active.meter.received_bytes for active in self.files.values())

    @property
    def connections(self) -> int:
        """Open connections of all running files."""
        return sum(active.meter.connections for active in self.files.values())
