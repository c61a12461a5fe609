"""What drives and listings report, and what it changes."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hfdmd import lifecycle
from hfdmd.aio import Batcher
from hfdmd.cache.storage import Placed
from hfdmd.failure import Failure
from hfdmd.lifecycle import Stimulus
from hfdmd.net.retry_after import backoff_s
from hfdmd.record import FileRecord, RepoRecord, Source, Span, rfc3339
from hfdmd.scheduler import views
from hfdmd.scheduler.index import target_path
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.transfer.job import Meter
from hfdmd.wire.types import Phase, Reason, Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

log = logging.getLogger("hfdmd.scheduler")

RETRY_CAP_S = 60.0
DISK_RETRY_S = 10.0


class Reports:
    def __init__(self, scheduler: Scheduler, space: DiskReservations) -> None:
        self._scheduler = scheduler
        self.space = space
        self._cache = os.path.join(os.path.abspath(scheduler.paths.cache_dir), "")
        self.retries_by_reason: dict[Reason, int] = {}
        self._finishing: dict[str, bool] = {}
        self._durable = Batcher(self._flush_all)

    def written(self, record: FileRecord) -> None:
        """A tracker is about to be written: where it replaces one that says done, that is to be said again."""
        if record.id in self._finishing:
            self._finishing[record.id] = True

    def previous(self, record: FileRecord) -> Placed | None:
        """What hfdmd itself placed for this download before."""
        if record.path is None or record.placed_mtime_ns is None or record.placed_bytes is None:
            return None
        return Placed(Path(record.path), record.placed_bytes, record.placed_mtime_ns)

    def is_in_place(self, record: FileRecord) -> bool:
        """Whether what was placed for this download lies there, with its size, and where files go now. Blocking."""
        path, size_bytes = record.path, record.placed_bytes
        if path is None or size_bytes is None:
            return False
        if record.spec.local_dir is None and not path.startswith(self._cache):
            return False
        return self._scheduler.storage.is_in_place(path, size_bytes)

    def check_target(self, record: FileRecord) -> None:
        """A place in a folder belongs to one download. Raises Failure(PATH_TAKEN)."""
        if record.spec.local_dir is None:
            return
        for other in self._scheduler.index.owners(record.spec):
            if other is record or other.state in (Status.CANCELLED, Status.FAILED):
                continue
            if (other.created_at, other.id) < (record.created_at, record.id):
                raise Failure(
                    Reason.PATH_TAKEN,
                    f"{target_path(record.spec)} belongs to another download: {other.spec.file_path} of"
                    f" {other.spec.model_repo} at {other.spec.revision} (id {other.id})",
                )

    def resolved(self, record: FileRecord, source: Source) -> None:
        """The first resolve: what the file is, pinned from now on."""
        record.source = source
        self._scheduler.index.update(record)
        self.phase(record, Phase.RESOLVING)
        self._scheduler.admission.network_is_back()

    def measured(self, record: FileRecord, size_bytes: int) -> Source:
        """The Hub told no size; the transfer has found it."""
        source = record.source
        if source is None:
            raise RuntimeError("measured before it was resolved")
        record.source = msgspec.structs.replace(source, size_bytes=size_bytes)
        self._scheduler.index.update(record)
        return record.source

    async def pin_anew(self, record: FileRecord, source: Source) -> bool:
        """Let the download be of `source` from now on; whether that is another content.

        Then what has come of the old one is given up. The caller says so by what it changes next.
        """
        old = record.source
        is_other = old is not None and not old.same_content(source)
        if old is not None and is_other:
            if record.state is not Status.DONE:
                await self._scheduler.storage_batches.discard(record.spec, old)
            record.synced = []
            record.mismatches = 0
            record.downloaded_bytes = 0
        record.source = source
        self._scheduler.index.update(record)
        return is_other

    def phase(self, record: FileRecord, phase: Phase, *, keep: bool = True) -> None:
        self._scheduler.change(record, Stimulus.PHASE, phase=phase, detail=record.detail, keep=keep)

    async def checkpoint(self, record: FileRecord, spans: list[Span]) -> None:
        """What is synced now; returns when the tracker says so."""
        record.synced = spans
        self._scheduler.persist(record)
        await self._scheduler.store.flush()

    async def finish(self, record: FileRecord, placed: Placed) -> None:
        """In place, verified and synced: first the tracker says so, then everybody else."""
        scheduler = self._scheduler
        record.adopted = scheduler.written_files.is_others(record, placed)
        record.path = str(placed.path)
        record.placed_mtime_ns = placed.mtime_ns
        record.placed_bytes = placed.size_bytes
        record.synced = []
        record.mismatches = 0
        detail = _unverified_note(record.source)
        done = msgspec.structs.replace(record, downloaded_bytes=placed.size_bytes)
        lifecycle.advance(done, Stimulus.FINISH, scheduler.now(), version=scheduler.next_version(), detail=detail)
        self._finishing[record.id] = False
        try:
            scheduler.store.put(done)
            scheduler.tracked(record)
            await self._durable(record.id)
            written_meanwhile = self._finishing[record.id]
        finally:
            del self._finishing[record.id]
        record.downloaded_bytes = placed.size_bytes
        scheduler.written_files.note(record)
        self._scheduler.admission.network_is_back()
        if written_meanwhile or record.version >= done.version:
            scheduler.change(record, Stimulus.FINISH, detail=detail)
        else:
            stamp = (done.updated_at, done.version)
            scheduler.change(record, Stimulus.FINISH, detail=detail, keep=False, stamp=stamp)

    def stopped_by(self, record: FileRecord, failure: Failure, meter: Meter) -> None:
        """A drive gave up: for good, or until `retry_at`."""
        if record.state is not Status.DOWNLOADING:
            log.error("%s stopped in status %s: %s", record.id, record.state, failure)
            return
        record.downloaded_bytes = sum(end - start for start, end in record.synced)
        if meter.received_bytes and not meter.started_over:
            record.attempt = 1
        if failure.is_final:
            self._scheduler.change(record, Stimulus.FAIL, reason=failure.reason, detail=failure.detail)
            return
        self.retries_by_reason[failure.reason] = self.retries_by_reason.get(failure.reason, 0) + 1
        retry_at = rfc3339(time.time() + wait_s(failure, record.attempt))
        self._scheduler.change(record, Stimulus.WAIT, reason=failure.reason, detail=failure.detail, retry_at=retry_at)

    def listed(self, repo: RepoRecord) -> None:
        """The files of a repo download are known now."""
        scheduler = self._scheduler
        views.absorb(repo, scheduler.index.sums[repo.id])
        status, phase, reason, detail = views.standing(scheduler.index, repo)
        scheduler.derive(repo, status, phase=phase, reason=reason, detail=detail)
        scheduler.admission.network_is_back()
        scheduler.admission.queue.offer(repo)
        scheduler.admission.kick()

    async def _flush_all(self, items: list[str]) -> list[Exception | None]:
        await self._scheduler.store.flush()
        return [None] * len(items)


def wait_s(failure: Failure, attempt: int) -> float:
    """How long to wait before the next attempt, as the other side asked or by backoff."""
    if failure.retry_after_s is not None:
        return failure.retry_after_s
    if failure.reason is Reason.DISK_FULL:
        return DISK_RETRY_S
    return backoff_s(attempt, cap_s=RETRY_CAP_S)


def _unverified_note(source: Source | None) -> str | None:
    if source is not None and source.digest is None:
        return "not verified: the Hub gave no digest, and allow_unverified is set"
    return None
