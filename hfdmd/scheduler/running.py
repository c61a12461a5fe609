"""What is running: one entry per active file and per listing, and what they use of the daemon's capacity."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hfdmd.net.retry_after import Exemption
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
        self.speed = Speed(self.meter.downloaded_bytes - self.meter.reused_bytes)

    @property
    def is_small(self) -> bool:
        """Whether it is fetched into memory, in one request."""
        return is_small(self.record.size_bytes)


@dataclass(slots=True, eq=False)
class ActiveListing:
    """One repo download that is being listed. `meter`: how long the Hub has not answered."""

    repo: RepoRecord
    meter: Meter = field(default_factory=Meter)
    task: asyncio.Task[Any] | None = None


@dataclass(slots=True, eq=False)
class RepoSpeed:
    """How fast the files of one repo download arrive. `ended_bytes`: what those received that have ended."""

    speed: Speed = field(default_factory=lambda: Speed(0))
    ended_bytes: int = 0


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
    at_once: dict[str, Exemption] = field(default_factory=dict)
    """What a person wants tried now. One exemption for all of one action: the first refusal ends it."""
    load: Load = field(default_factory=Load)
    _ended_received_bytes: int = 0
    _speed: Speed = field(default_factory=lambda: Speed(0))
    _repo_speeds: dict[str, RepoSpeed] = field(default_factory=dict)

    def add_file(self, active: ActiveFile) -> None:
        self.files[active.record.id] = active
        self.load.add(active)
        for repo_id in active.record.repo_ids:
            self._repo_speeds.setdefault(repo_id, RepoSpeed())

    def remove_file(self, active: ActiveFile) -> None:
        del self.files[active.record.id]
        self.load.remove(active)
        self._ended_received_bytes += active.meter.received_bytes
        for repo_id in active.record.repo_ids:
            if repo_id in self._repo_speeds:
                self._repo_speeds[repo_id].ended_bytes += active.meter.received_bytes

    def sample(self) -> list[str]:
        """Measure the speeds of repo downloads and of all files; ids of the former whose speed is known or lost now.

        Those of single files are measured by the sampler.
        """
        self._speed.sample(self.received_bytes)
        received = dict.fromkeys(self._repo_speeds, 0)
        for active in self.files.values():
            for repo_id in active.record.repo_ids:
                if repo_id in received:
                    received[repo_id] += active.meter.received_bytes
        changed = []
        for repo_id, repo in self._repo_speeds.items():
            was_known = repo.speed.bytes_per_second is not None
            repo.speed.sample(repo.ended_bytes + received[repo_id])
            if was_known is not (repo.speed.bytes_per_second is not None):
                changed.append(repo_id)
        return changed

    def forget_speed(self, repo_id: str) -> None:
        """The repo download does not run any more."""
        self._repo_speeds.pop(repo_id, None)

    def task_of(self, record: Record) -> asyncio.Task[Any] | None:
        active: ActiveFile | ActiveListing | None = self.files.get(record.id) or self.listings.get(record.id)
        return None if active is None else active.task

    def is_running(self, record: Record) -> bool:
        return record.id in self.files or record.id in self.listings

    def tasks(self) -> list[asyncio.Task[Any]]:
        running: list[ActiveFile | ActiveListing] = [*self.files.values(), *self.listings.values()]
        found = [active.task for active in running]
        return [task for task in found if task is not None]

    def is_free(self, record: Record) -> bool:
        """Whether the record may start now: not running, being stopped or entering, not waiting for its time."""
        if record.id in self.stopping or record.id in self.entering or self.is_running(record):
            return False
        return record.retry_at is None

    def of_repo(self, repo_id: str) -> list[ActiveFile]:
        """The running files of a repo download."""
        return [active for active in self.files.values() if repo_id in active.record.repo_ids]

    def bytes_per_second(self, file_id: str) -> int | None:
        active = self.files.get(file_id)
        return None if active is None else active.speed.bytes_per_second

    def repo_bytes_per_second(self, repo_id: str) -> int | None:
        """What arrives for all files of a repo download, small ones included, which have no speed of their own."""
        repo = self._repo_speeds.get(repo_id)
        return None if repo is None else repo.speed.bytes_per_second

    @property
    def total_bytes_per_second(self) -> int:
        return (self._speed.bytes_per_second or 0) if self.files else 0

    @property
    def received_bytes(self) -> int:
        """Body bytes read from the network since the daemon started."""
        return self._ended_received_bytes + sum(active.meter.received_bytes for active in self.files.values())

    @property
    def connections(self) -> int:
        """Open connections of all running files."""
        return sum(active.meter.connections for active in self.files.values())
