"""Byte progress, four times a second while something is transferred; and the limits of the hour, once a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hfdmd.config import Values, limits_of
from hfdmd.lifecycle import Stimulus
from hfdmd.net.retry_after import RetryAfter
from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger, Observer
from hfdmd.scheduler.outage import NOTHING, Why, why_silent
from hfdmd.scheduler.retries import Retries
from hfdmd.scheduler.running import ActiveFile, Running
from hfdmd.scheduler.views import Standing, standing
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.transfer.engine import Engine
from hfdmd.wire.types import OUTAGE_REASONS, Phase, Reason, Status

SAMPLE_S = 0.25
REPO_TRACKER_S = 2.0


@dataclass(slots=True, eq=False)
class Sampler(Observer):
    _index: Index
    _ledger: Ledger
    _running: Running
    _reservations: DiskReservations
    _engine: Engine
    _retries: Retries
    _retry_after: RetryAfter
    _values: Callable[[], Values]
    _busy: asyncio.Event = field(default_factory=asyncio.Event)
    _dirty: set[str] = field(default_factory=set)
    _written_at: dict[str, float] = field(default_factory=dict)

    def changed(self, record: Record, before: Status) -> None:
        if self._running.is_running(record):
            self._busy.set()
        if isinstance(record, FileRecord):
            return
        self._dirty.discard(record.id)
        if record.state is Status.DOWNLOADING:
            self._written_at[record.id] = time.monotonic()
        else:
            self._written_at.pop(record.id, None)
            self._running.forget_speed(record.id)

    def summed(self, repo: RepoRecord, standing: Standing) -> None:
        if standing.status is repo.state:
            self._dirty.add(repo.id)
            self._busy.set()

    def forgotten(self, record: Record) -> None:
        self._dirty.discard(record.id)
        self._written_at.pop(record.id, None)
        self._running.forget_speed(record.id)

    async def run(self) -> None:
        """Publish byte progress until cancelled; sleeps while nothing is running."""
        while True:
            await self._busy.wait()
            await asyncio.sleep(SAMPLE_S)
            if not self._running.files and not self._running.listings:
                self._busy.clear()
            self._dirty.update(self._running.sample())
            now = time.monotonic()
            for active in list(self._running.files.values()):
                self._sample(active, why_silent(active.meter, self._retry_after, now))
            for listing in list(self._running.listings.values()):
                why = why_silent(listing.meter, self._retry_after, now)
                if listing.repo.phase is Phase.LISTING and why != (listing.repo.reason, listing.repo.detail):
                    self._ledger.repo_progress(listing.repo, *why, save=False)
            dirty, self._dirty = self._dirty, set()
            for repo_id in dirty:
                repo = self._index.repos.get(repo_id)
                if repo is not None:
                    self._sample_repo(repo)

    def _sample(self, active: ActiveFile, why: Why) -> None:
        record, meter, speed = active.record, active.meter, active.speed
        was_known = speed.bytes_per_second is not None
        speed.sample(meter.downloaded_bytes - meter.reused_bytes)
        if record.state is Status.QUEUED:
            self._sample_try(active, why)
            return
        if record.state is not Status.DOWNLOADING:
            return
        if active.is_small and why == NOTHING and record.reason is None:
            return  # over before it could be seen
        measured: dict[str, Any] = {
            "downloaded_bytes": meter.downloaded_bytes,
            "transport": meter.transport,
            "reused_bytes": meter.reused_bytes,
        }
        if meter.phase is Phase.VERIFYING and record.phase is Phase.TRANSFERRING:
            self._ledger.change(record, Stimulus.PHASE, phase=Phase.VERIFYING, detail=record.detail, **measured)
            return
        reason, detail = why
        if reason is None:
            detail = meter.notice or (record.detail if record.reason is None else None)
        shown = (record.downloaded_bytes, record.transport, record.reason, record.detail, was_known)
        is_known = speed.bytes_per_second is not None
        if shown == (meter.downloaded_bytes, meter.transport, reason, detail, is_known):
            return
        if record.reason is Reason.NETWORK and reason is None and meter.last_error is None:
            self._retries.network_is_back()
        self._ledger.progress(record, reason, detail, **measured)
        if record.size_bytes is not None:
            self._reservations.update(record.id, record.size_bytes - record.downloaded_bytes)
        self._dirty.update(record.repo_ids)

    def _sample_try(self, active: ActiveFile, why: Why) -> None:
        """A download that waited is being tried: it is queued, with its reason, until the first byte comes."""
        record, meter = active.record, active.meter
        if record.reason in OUTAGE_REASONS and meter.received_bytes:
            self._ledger.change(
                record, Stimulus.ANSWER, phase=Phase.TRANSFERRING, downloaded_bytes=meter.downloaded_bytes
            )
            self._retries.network_is_back()
        elif meter.last_error is not None and why not in (NOTHING, (record.reason, record.detail)):
            self._ledger.progress(record, *why)

    def _sample_repo(self, repo: RepoRecord) -> None:
        now = time.monotonic()
        is_due = now - self._written_at.get(repo.id, 0.0) >= REPO_TRACKER_S
        if is_due:
            self._written_at[repo.id] = now
        reason, detail = repo.reason, repo.detail
        if repo.listed and repo.state in (Status.DOWNLOADING, Status.QUEUED):
            status, _, now_reason, now_detail = standing(self._index, repo)
            if status is repo.state:
                reason, detail = now_reason, now_detail
        self._ledger.repo_progress(repo, reason, detail or repo.note, save=is_due)

    async def follow_schedule(self) -> None:
        """Apply the limits of the hour once a minute, while there is a weekly schedule and something to limit."""
        while True:
            await self._busy.wait()
            values = self._values()
            self._engine.apply(limits_of(values))
            await asyncio.sleep(60 - time.time() % 60 + 0.01 if values.schedule else 60)
