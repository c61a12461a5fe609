"""Byte progress, four times a second while something moves; and the limits of the hour, once a minute."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from hfdmd import lifecycle
from hfdmd.record import RepoRecord
from hfdmd.scheduler import views
from hfdmd.scheduler.drive import Drive
from hfdmd.scheduler.limits import limits_of
from hfdmd.wire.types import Phase, Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

SAMPLE_S = 0.25
REPO_TRACKER_S = 2.0


class Sampler:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._busy = asyncio.Event()
        self._dirty: set[str] = set()
        self._written_at: dict[str, float] = {}

    def wake(self) -> None:
        """There is something to sample."""
        self._busy.set()

    def mark(self, repo: RepoRecord) -> None:
        """What the repo's files add up to has changed, its status has not."""
        self._dirty.add(repo.id)
        self._busy.set()

    def told(self, repo: RepoRecord) -> None:
        """The repo's state was just written and published."""
        self._dirty.discard(repo.id)
        if repo.state is Status.DOWNLOADING:
            self._written_at[repo.id] = time.monotonic()
        else:
            self._written_at.pop(repo.id, None)

    def drop(self, repo: RepoRecord) -> None:
        self._dirty.discard(repo.id)
        self._written_at.pop(repo.id, None)

    async def run(self) -> None:
        """Four times a second, while something is at work: byte progress for listeners."""
        scheduler = self._scheduler
        while True:
            await self._busy.wait()
            await asyncio.sleep(SAMPLE_S)
            if not scheduler.admission.drives:
                self._busy.clear()
            for drive in list(scheduler.admission.drives.values()):
                self._sample(drive)
            dirty, self._dirty = self._dirty, set()
            for repo_id in dirty:
                repo = scheduler.index.repos.get(repo_id)
                if repo is not None:
                    self._sample_repo(repo)

    def _sample(self, drive: Drive) -> None:
        scheduler = self._scheduler
        record, meter = drive.record, drive.meter
        if drive.is_small and meter.last_error is None:
            return  # over before anybody could watch it
        had_speed = drive.speed.bytes_per_second is not None
        drive.speed.sample(meter.downloaded_bytes)
        if record.state is not Status.DOWNLOADING:
            return
        if meter.phase is Phase.VERIFYING and record.phase is Phase.TRANSFERRING:
            record.downloaded_bytes = meter.downloaded_bytes
            scheduler.reports.phase(record, Phase.VERIFYING)
            return
        trouble = meter.last_error[1] if meter.last_error is not None else None
        stalled_now = had_speed and drive.speed.bytes_per_second is None
        if meter.downloaded_bytes == record.downloaded_bytes and trouble == record.detail and not stalled_now:
            return
        record.downloaded_bytes = meter.downloaded_bytes
        record.detail = trouble
        record.updated_at = scheduler.now()
        record.version = scheduler.next_version()
        lifecycle.settle(record)
        scheduler.index.update(record)
        if record.size_bytes is not None:
            scheduler.reports.space.update(record.id, record.size_bytes - record.downloaded_bytes)
        scheduler.publish(record, is_status=False)
        self._dirty.update(record.repo_ids)

    def _sample_repo(self, repo: RepoRecord) -> None:
        scheduler = self._scheduler
        views.absorb(repo, scheduler.index.sums[repo.id])
        repo.updated_at = scheduler.now()
        repo.version = scheduler.next_version()
        scheduler.publish(repo, is_status=False)
        now = time.monotonic()
        if now - self._written_at.get(repo.id, 0.0) >= REPO_TRACKER_S:
            self._written_at[repo.id] = now
            scheduler.store.put(repo)

    async def clock(self) -> None:
        """Once a minute, while there is a weekly schedule and something to limit."""
        scheduler = self._scheduler
        while True:
            await self._busy.wait()
            scheduler.engine.apply(limits_of(scheduler.config.values))
            await asyncio.sleep(60 - time.time() % 60 + 0.01 if scheduler.config.values.schedule else 60)
