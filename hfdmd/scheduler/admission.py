"""Starts what may run: carries out the decisions of `admit`, and takes note when work ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from hfdmd import descriptors
from hfdmd.config import Values
from hfdmd.lifecycle import Stimulus
from hfdmd.net.retry_after import exempted
from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler import admit
from hfdmd.scheduler.admit import AdmissionLimits, CloseSlot, OpenSlot, Slots, StartListing
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger, Observer
from hfdmd.scheduler.priority_semaphore import PrioritySemaphore
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.running import ActiveFile, ActiveListing, Running
from hfdmd.scheduler.supervisor import Supervisor
from hfdmd.transfer.job import is_small
from hfdmd.wire.types import OUTAGE_REASONS, Phase, Reason, Status

log = logging.getLogger("hfdmd.scheduler")

_WEIGHT_BYTES = 8 << 20  # a file uses about one connection for each of these, up to its limit
_STARTED_AT_ONCE = 16  # then other tasks get their turn

_IN_DOUBT = OUTAGE_REASONS | {Reason.LOCKED, Reason.DISK_FULL}
"""What waited for one of these stays queued, with the reason, until it is over: a try in vain is no change."""

RunFile = Callable[[ActiveFile], Coroutine[Any, Any, None]]
RunListing = Callable[[ActiveListing], Coroutine[Any, Any, None]]


@dataclass(slots=True, eq=False)
class Admission(Observer):
    """`run_file` and `run_listing` make the coroutines that do the work."""

    _index: Index
    _queue: Queue
    _running: Running
    _ledger: Ledger
    _supervisor: Supervisor
    _small_files: PrioritySemaphore
    _values: Callable[[], Values]
    _run_file: RunFile
    _run_listing: RunListing
    _slots: Slots = field(default_factory=Slots)
    _soon: asyncio.Handle | None = None

    def changed(self, record: Record, before: Status) -> None:
        """What is queued may start; what left the queue changes the positions of the rest."""
        if record.state not in (Status.QUEUED, Status.DOWNLOADING):
            self._running.at_once.pop(record.id, None)
        if record.state is Status.QUEUED and before is not Status.QUEUED:
            self.offered(record)
        elif record.state is Status.QUEUED or isinstance(record, RepoRecord):
            self._queue.offer(record)
            self.kick()
        elif before is Status.QUEUED:
            self._queue.mark_stale()

    def offered(self, record: Record) -> None:
        if record.state is Status.QUEUED:
            self._queue.offer(record)
            if isinstance(record, FileRecord):
                self._list_for(record)
            self.kick()

    def forgotten(self, record: Record) -> None:
        self._running.at_once.pop(record.id, None)
        if isinstance(record, RepoRecord):
            self._queue.drop_repo(record.id)
        self._queue.mark_stale()

    def kick(self) -> None:
        """Something changed that may let another download start."""
        if self._soon is None and not self._supervisor.closing and self._index.is_complete:
            self._soon = asyncio.get_running_loop().call_soon(self._admit)

    def close(self) -> None:
        """Cancel everything that runs; nothing starts any more."""
        for task in self._running.tasks():
            task.cancel()
        if self._soon is not None:
            self._soon.cancel()

    def _list_for(self, record: FileRecord) -> None:
        """A held repo download that a restart left unlisted has no slot for a file that is resumed: list it."""
        if not self._index.is_complete:
            return
        for repo in self._index.parents(record):
            if not repo.listed and repo.state in (Status.PAUSED, Status.CANCELLED):
                self._ledger.derive(repo, Status.QUEUED)

    def _admit(self) -> None:
        self._soon = None
        if self._supervisor.closing:
            return
        started = 0
        while (decision := self._next_decision()) is not None:
            if isinstance(decision, CloseSlot):
                del self._slots.files[decision.slot]
                if decision.repo is not None:
                    self._queue.offer(decision.repo)
            elif isinstance(decision, StartListing):
                self._start_listing(decision.repo)
            elif isinstance(decision, OpenSlot):
                self._slots.files[decision.record.id] = set()
                if isinstance(decision.record, FileRecord):
                    self._start_file(decision.record, decision.record.id)
            elif started == _STARTED_AT_ONCE:
                self.kick()
                break
            else:
                self._start_file(decision.record, decision.slot)
                self._slots.served = decision.slot
                started += 1
        self._small_files.refill()

    def _next_decision(self) -> admit.Decision | None:
        values = self._values()
        # Each small file holds a lock, which is an open file.
        limits = AdmissionLimits(values.max_active_downloads, values.max_connections, descriptors.share(4))
        return admit.next_decision(self._index, self._queue, self._running, self._slots, limits)

    def _start_file(self, record: FileRecord, slot: str) -> None:
        size = record.size_bytes
        weight = 1
        if size is not None:
            weight = min(self._values().max_connections_per_file, 1 + size // _WEIGHT_BYTES)
        active = ActiveFile(record, slot, weight)
        exemption = self._running.at_once.pop(record.id, None) or self._running.at_once.get(slot)
        self._slots.files[slot].add(record.id)
        self._running.add_file(active)
        small = is_small(size)
        phase = Phase.TRANSFERRING if small else Phase.RESOLVING
        if record.reason in _IN_DOUBT:
            self._ledger.change(record, Stimulus.TRY, reason=record.reason, detail=record.detail, save=False)
        else:
            self._ledger.change(record, Stimulus.START, phase=phase, save=not small)
        with exempted(exemption):
            active.task = self._supervisor.spawn(self._run_file(active), f"drive {record.id}")
        # Not a `finally` in the task: one that is cancelled before its first step never gets there.
        active.task.add_done_callback(lambda _: self._file_ended(active))

    def _file_ended(self, active: ActiveFile) -> None:
        record = active.record
        self._running.remove_file(active)
        if record.state is Status.DOWNLOADING:  # stopped from outside: what is synced is what there is
            self._ledger.fall_back(record)
            if record.id not in self._running.stopping and not self._supervisor.closing:
                detail = "its task ended unexpectedly"
                log.error("the download task of %s ended unexpectedly; queued again", record.id)
                self._ledger.change(record, Stimulus.WAIT, reason=Reason.RESTARTED, detail=detail)
        self._slots.files.get(active.slot, set()).discard(record.id)
        if record.state is Status.QUEUED:
            self._queue.offer(record)
        self.kick()

    def _start_listing(self, repo: RepoRecord) -> None:
        active = ActiveListing(repo)
        exemption = self._running.at_once.get(repo.id)
        self._running.listings[repo.id] = active
        attempt = repo.attempt + 1
        if repo.reason in _IN_DOUBT:
            self._ledger.derive(repo, Status.QUEUED, reason=repo.reason, detail=repo.detail, attempt=attempt)
        else:
            self._ledger.derive(repo, Status.DOWNLOADING, phase=Phase.LISTING, attempt=attempt)
        with exempted(exemption):
            active.task = self._supervisor.spawn(self._run_listing(active), f"list {repo.id}")
        active.task.add_done_callback(lambda _: self._listing_ended(active))

    def _listing_ended(self, active: ActiveListing) -> None:
        del self._running.listings[active.repo.id]
        # Or a newer repo download with the same id that replaced a deleted one.
        repo = self._index.repos.get(active.repo.id)
        if repo is not None and repo.state is Status.QUEUED:
            self._queue.offer(repo)
        self.kick()
