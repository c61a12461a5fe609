"""Byte progress, four times a second while something is transferred; and the limits of the hour, once a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hfdmd.config import Values, limits_of
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger, Observer
from hfdmd.scheduler.running import ActiveFile, Running
from hfdmd.scheduler.views import Standing
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.transfer.engine import Engine
from hfdmd.wire.types import Phase, Status

SAMPLE_S = 0.25
REPO_TRACKER_S = 2.0


@dataclass(slots=True, eq=False)
class Sampler(Observer):
    _index: Index
    _ledger: Ledger
    _running: Running
    _reservations: DiskReservations
    _engine: Engine
    _values: Callable[[], Values]
    _busy: asyncio.Event = field(default_factory=asyncio.Event)
    _dirty: set[str] = field(default_factory=set)
    _written_at: dict[str, float] = field(default_factory=dict)

    def changed(self, record: Record, before: Status) -> None:
        if isinstance(record, FileRecord):
            if record.state is Status.DOWNLOADING:
                self._busy.set()
            return
        self._dirty.discard(record.id)
        if record.state is Status.DOWNLOADING:
            self._written_at[record.id] = time.monotonic()
        else:
            self._written_at.pop(record.id, None)

    def summed(self, repo: RepoRecord, standing: Standing) -> None:
        if standing.status is repo.state:
            self._dirty.add(repo.id)
            self._busy.set()

    def forgotten(self, record: Record) -> None:
        self._dirty.discard(record.id)
        self._written_at.pop(record.id, None)

    async def run(self) -> None:
        """Publish byte progress until cancelled; sleeps while nothing is running."""
        while True:
            await self._busy.wait()
            await asyncio.sleep(SAMPLE_S)
            if not self._running.files:
                self._busy.clear()
            for active in list(self._running.files.values()):
                self._sample(active)
            dirty, self._dirty = self._dirty, set()
            for repo_id in dirty:
                repo = self._index.repos.get(repo_id)
                if repo is not None:
                    self._sample_repo(repo)

    def _sample(self, active: ActiveFile) -> None:
        record, meter, speed = active.record, active.meter, active.speed
        if active.is_small and meter.last_error is None:
            return  # over before it could be seen
        had_speed = speed.bytes_per_second is not None
        speed.sample(meter.downloaded_bytes)
        if record.state is not Status.DOWNLOADING:
            return
        self._ledger.note(record, transport=meter.transport, reused_bytes=meter.reused_bytes)
        if meter.phase is Phase.VERIFYING and record.phase is Phase.TRANSFERRING:
            self._ledger.change(
                record, Stimulus.PHASE, phase=Phase.VERIFYING, detail=record.detail,
                downloaded_bytes=meter.downloaded_bytes,
            )  # fmt: skip
            return
        detail = meter.last_error[1] if meter.last_error is not None else meter.notice
        has_stalled = had_speed and speed.bytes_per_second is None
        if meter.downloaded_bytes == record.downloaded_bytes and detail == record.detail and not has_stalled:
            return
        self._ledger.progress(record, meter.downloaded_bytes, detail)
        if record.size_bytes is not None:
            self._reservations.update(record.id, record.size_bytes - record.downloaded_bytes)
        self._dirty.update(record.repo_ids)

    def _sample_repo(self, repo: RepoRecord) -> None:
        now = time.monotonic()
        is_due = now - self._written_at.get(repo.id, 0.0) >= REPO_TRACKER_S
        if is_due:
            self._written_at[repo.id] = now
        self._ledger.repo_progress(repo, save=is_due)

    async def follow_schedule(self) -> None:
        """Apply the limits of the hour once a minute, while there is a weekly schedule and something to limit."""
        while True:
            await self._busy.wait()
            values = self._values()
            self._engine.apply(limits_of(values))
            await asyncio.sleep(60 - time.time() % 60 + 0.01 if values.schedule else 60)
