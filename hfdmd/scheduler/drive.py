"""One file on its way: resolve, adopt or fetch, verify, place. Steps 5 to 10 of the life of a download."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from hfdmd.aio import in_thread, shielded, wait_done
from hfdmd.cache.storage import Placed, Storage
from hfdmd.digest import is_git_blob, is_lfs_pointer, pointer_failure
from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.lifecycle import Stimulus
from hfdmd.net.origin import Target
from hfdmd.record import FileRecord, FileSpec, Source, Span
from hfdmd.scheduler.content_locks import ContentLocks
from hfdmd.scheduler.index import Index, target_path
from hfdmd.scheduler.ledger import Ledger
from hfdmd.scheduler.outage import asking
from hfdmd.scheduler.priority_semaphore import PrioritySemaphore
from hfdmd.scheduler.queue import key
from hfdmd.scheduler.retries import Retries
from hfdmd.scheduler.running import ActiveFile
from hfdmd.scheduler.storage_batches import Placement, StorageBatches, previous
from hfdmd.scheduler.updates import Updates
from hfdmd.scheduler.written_files import WrittenFiles
from hfdmd.scheduler.xet_bases import XetBases
from hfdmd.transfer.disk.part_file import disk_failure
from hfdmd.transfer.disk.reservations import AHEAD_BYTES, DiskReservations
from hfdmd.transfer.engine import Engine
from hfdmd.transfer.job import Job
from hfdmd.wire.types import OUTAGE_REASONS, Phase, Reason, Status

log = logging.getLogger("hfdmd.drive")


@dataclass(slots=True, eq=False)
class Drive:
    """The task that fetches one file. `small_files` limits how many small files are fetched at once."""

    _active: ActiveFile
    _hub: Hub
    _storage: Storage
    _batches: StorageBatches
    _engine: Engine
    _reservations: DiskReservations
    _index: Index
    _ledger: Ledger
    _content_locks: ContentLocks
    _small_files: PrioritySemaphore
    _written_files: WrittenFiles
    _xet_bases: XetBases
    _retries: Retries
    _updates: Updates

    @property
    def _record(self) -> FileRecord:
        return self._active.record

    async def run(self) -> None:
        """Until the file is done, failed or waits. Raises nothing but CancelledError."""
        record = self._record
        try:
            try:
                await self._attempt()
            except Failure as failure:
                if self._was_replaced(failure):
                    await self._start_anew(failure)
                elif self._is_gone(failure):
                    await self._leave_commit(failure)
                else:
                    raise
                await self._attempt()
        except Failure as failure:
            self._stopped_by(await in_thread(self._storage.explained, record.spec, failure))
        except OSError as error:
            refused = disk_failure(error, f"using {error.filename or record.spec.file_path}")
            self._stopped_by(await in_thread(self._storage.explained, record.spec, refused))
        except Exception as error:
            log.exception("internal error: stopped %s of %s", record.spec.file_path, record.spec.model_repo)
            detail = f"internal error ({type(error).__name__}); see the daemon's log"
            self._stopped_by(Failure(Reason.INTERNAL, detail))

    async def _attempt(self) -> None:
        record = self._record
        check_target(self._index, record)
        target = None if record.source is not None else await self._resolve()
        source = record.source
        if source is None:
            raise RuntimeError("resolved, but without a source")
        if not source.is_identified:
            self._ledger.note(record, synced=[])
        if record.spec.local_dir is not None:
            async with self._content_locks.hold(content_key(replace(record.spec, local_dir=None), source)):
                pass  # wait for a running cache download of the same content, then copy it
        async with self._content_locks.hold(content_key(record.spec, source)):
            placement = Placement(record.spec, source, previous(record))
            try:
                placed = await self._batches.prepare(placement)
                if placed is None:
                    placed = await self._written_files.copy_same_content(placement)
                has_part = placed is not None and bool(record.synced)
                if placed is None:
                    placed = await self._fetch(source, target, placement)
            finally:
                placement.release()
            await shielded(self._finish(placed))
            if has_part:  # the content was found elsewhere
                await self._batches.discard(record.spec, source)

    async def _resolve(self) -> Target | None:
        """Ask the Hub what the file is. A listing of its repo may answer meanwhile, and then decides the commit."""
        record = self._record
        try:
            with asking(self._active.meter, self._hub.endpoint):
                source, target = await self._hub.resolve(record.spec)
        except Failure:
            if record.source is None:
                raise
            return None
        if record.source is not None:
            return None
        self._ledger.note(record, source=source)
        self._enter(Phase.RESOLVING)
        self._retries.network_is_back()
        return target

    async def _fetch(self, source: Source, target: Target | None, placement: Placement) -> Placed:
        record = self._record
        small = self._active.is_small and not record.synced
        part = Path() if small else await in_thread(self._storage.part_path, record.spec, source)
        job = Job(
            id=record.id,
            flow=self._active.slot,
            part=part,
            size_bytes=source.size_bytes,
            digest=source.digest,
            synced=list(record.synced),
            locate=self._locator(source, target),
            checkpoint=self._checkpoint,
            mismatched=self._mismatched,
            meter=self._active.meter,
            xet=self._xet_bases.file(record.spec, source, self._hub),
        )
        if small:
            self._reservations.reserve(record.id, self._storage.folder(record.spec), source.size_bytes or 0)
            try:
                self._begin_transfer(save=False)
                async with self._small_files.slot(key(record)):
                    data = await self._engine.fetch_small(job)
                if is_lfs_pointer(data) and await self._hub.is_in_lfs(record.spec, source.commit):
                    self._ledger.note(record, source=None)  # it describes the pointer; a retry asks again
                    raise pointer_failure(self._hub.endpoint)
                self._active.meter.downloaded_bytes = len(data)
                return await self._placed_and_finished(self._batches.place_small((placement, data)))
            finally:
                self._reservations.release(record.id)
        still_to_come = AHEAD_BYTES
        if source.size_bytes is not None:
            still_to_come = source.size_bytes - record.synced_bytes
        self._reservations.reserve(record.id, part, still_to_come)
        try:
            self._begin_transfer()
            fetched = await self._engine.fetch(job)
        finally:
            self._reservations.release(record.id)
        if source.size_bytes is None:  # the Hub gave no size; the transfer has found it
            source = replace(source, size_bytes=fetched.size_bytes)
            self._ledger.note(record, source=source)
        self._enter(Phase.PLACING)
        placing = in_thread(self._storage.place, record.spec, source, part, placement.previous)
        return await self._placed_and_finished(placing)

    def _begin_transfer(self, *, save: bool = True) -> None:
        """Of what waited for the network the first byte shows that the wait is over (`Sampler`)."""
        record = self._record
        is_tried = record.state is Status.QUEUED and record.reason in OUTAGE_REASONS
        if not is_tried and record.phase is not Phase.TRANSFERRING:
            self._enter(Phase.TRANSFERRING, save=save)

    def _enter(self, phase: Phase, *, detail: str | None = None, save: bool = True) -> None:
        is_tried = self._record.state is Status.QUEUED
        if not is_tried:
            detail = detail or self._record.detail
        stimulus = Stimulus.ANSWER if is_tried else Stimulus.PHASE
        self._ledger.change(self._record, stimulus, phase=phase, detail=detail, save=save)

    async def _placed_and_finished(self, placing: Coroutine[Any, Any, Placed]) -> Placed:
        """Placing cannot be stopped half-way: the download is done even when this task is cancelled meanwhile."""
        task = asyncio.create_task(placing)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await wait_done(task)
            if not task.cancelled() and task.exception() is None:
                await shielded(self._finish(task.result()))
            raise

    async def _finish(self, placed: Placed) -> None:
        """In place, verified and synced: the download is done."""
        record, meter = self._record, self._active.meter
        if record.state is Status.QUEUED:
            self._enter(Phase.PLACING, save=False)
        is_unverified = record.source is not None and record.source.digest is None
        await self._ledger.finish(
            record,
            path=str(placed.path),
            size_bytes=placed.size_bytes,
            mtime_ns=placed.mtime_ns,
            adopted=self._written_files.is_foreign(record, placed),
            detail="not verified: the Hub gave no digest, and allow_unverified is set" if is_unverified else None,
            transport=meter.transport,
            reused_bytes=meter.reused_bytes,
        )
        self._retries.network_is_back()

    def _stopped_by(self, failure: Failure) -> None:
        """The drive gave up: for good, or until `retry_at`."""
        record = self._record
        if record.state not in (Status.DOWNLOADING, Status.QUEUED):
            log.error("%s stopped in status %s: %s", record.id, record.state, failure)
            return
        self._ledger.fall_back(record)
        meter = self._active.meter
        if meter.received_bytes and not meter.started_over and not self._active.is_small:
            self._ledger.note(record, attempt=1)
        if failure.is_final:
            self._ledger.change(record, Stimulus.FAIL, reason=failure.reason, detail=failure.detail)
            return
        self._retries.counts[failure.reason] = self._retries.counts.get(failure.reason, 0) + 1
        retry_at = self._retries.retry_at(failure, record.attempt)
        self._ledger.change(record, Stimulus.WAIT, reason=failure.reason, detail=failure.detail, retry_at=retry_at)

    def _locator(self, source: Source, known: Target | None) -> Callable[[], Awaitable[Target]]:
        """Gives the URL that is already known first, then asks the Hub for a fresh one."""
        hub, spec, meter = self._hub, self._record.spec, self._active.meter
        if known is None and (self._active.is_small or is_git_blob(source.digest)):
            known = hub.direct(spec, source)  # the Hub serves it itself or redirects at once: no HEAD is needed

        async def locate() -> Target:
            nonlocal known
            target, known = known, None
            if target is None:
                meter.url = hub.endpoint
                target = await hub.locate(spec, source)
            meter.url = target.url
            return target

        return locate

    async def _checkpoint(self, spans: list[Span]) -> None:
        record = self._record
        await self._ledger.checkpoint(record, spans)
        if record.size_bytes is None and spans:  # it may have grown into the room that is to stay free
            self._reservations.reserve(record.id, self._storage.part_location(record.spec), AHEAD_BYTES)

    def _mismatched(self) -> int:
        """The content was wrong: how often by now. The tracker says so with the next checkpoint."""
        self._ledger.note(self._record, mismatches=self._record.mismatches + 1)
        return self._record.mismatches

    def _was_replaced(self, failure: Failure) -> bool:
        """Whether the server has other content now, and no digest shows which bytes are of which."""
        source = self._record.source
        return failure.reason is Reason.HASH_MISMATCH and source is not None and source.digest is None

    async def _start_anew(self, failure: Failure) -> None:
        """Discard what has arrived, and resolve anew."""
        record = self._record
        log.warning("%s of %s: %s; it is fetched anew", record.spec.file_path, record.spec.model_repo, failure.detail)
        if record.source is not None:
            await self._batches.discard(record.spec, record.source)
        self._ledger.note(record, synced=[], downloaded_bytes=0)
        self._active.meter.downloaded_bytes = 0
        source, _ = await self._hub.resolve(record.spec)
        self._ledger.note(record, source=source, mismatches=0)
        self._enter(Phase.RESOLVING)

    def _is_gone(self, failure: Failure) -> bool:
        """Whether the Hub no longer serves the commit that was pinned, so that resolving anew may help."""
        source = self._record.source
        if failure.reason is not Reason.REVISION_NOT_FOUND or source is None:
            return False
        return source.commit != self._record.spec.revision

    async def _leave_commit(self, failure: Failure) -> None:
        """The Hub no longer serves the pinned commit: continue with what the revision points at now.

        Bytes of the same content are kept.
        """
        record = self._record
        old = record.source
        if old is None:
            return
        log.warning(
            "%s of %s: the Hub no longer serves commit %s (%s); resolving %s anew",
            record.spec.file_path,
            record.spec.model_repo,
            old.commit,
            failure.detail,
            record.spec.revision,
        )
        with asking(self._active.meter, self._hub.endpoint):
            new, _ = await self._hub.resolve(record.spec)
        if await self._updates.repin(record, new):
            self._active.meter.downloaded_bytes = 0
        detail = f"the Hub no longer serves commit {old.commit[:12]}; it is of {new.commit[:12]} now"
        self._enter(Phase.RESOLVING, detail=detail)
        self._updates.commit_is_gone(record, old.commit)


def check_target(index: Index, record: FileRecord) -> None:
    """A target path in a folder belongs to the download that was there first. Raises Failure (`path_taken`)."""
    if record.spec.local_dir is None:
        return
    for other in index.owners(record.spec):
        if other is record or other.state in (Status.CANCELLED, Status.FAILED):
            continue
        if (other.created_at, other.id) < (record.created_at, record.id):
            raise Failure(
                Reason.PATH_TAKEN,
                f"{target_path(record.spec)} belongs to another download: {other.spec.file_path} of"
                f" {other.spec.model_repo} at {other.spec.revision} (id {other.id})",
            )


def content_key(spec: FileSpec, source: Source) -> str:
    """Names what two downloads must not fetch at the same time: a blob of a repo, or a content in a folder."""
    if spec.local_dir is not None:
        return f"{spec.local_dir}\0{source.etag}"
    return f"{spec.repo_type}\0{spec.model_repo}\0{source.etag}"
