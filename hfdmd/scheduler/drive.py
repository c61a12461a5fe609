"""One file on its way: resolve, adopt or fetch, verify, place. Steps 5 to 10 of the life of a download."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from hfdmd.aio import in_thread, shielded, wait_done
from hfdmd.cache.storage import Lock, Placed
from hfdmd.digest import is_git_blob
from hfdmd.failure import Failure
from hfdmd.lifecycle import Stimulus
from hfdmd.net.target import Target
from hfdmd.record import FileRecord, FileSpec, Source, Span
from hfdmd.scheduler.queue import key
from hfdmd.scheduler.speed import Speed
from hfdmd.transfer.disk.part_file import disk_failure
from hfdmd.transfer.job import Job, Meter, is_small
from hfdmd.wire.types import Phase, Reason

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

log = logging.getLogger("hfdmd.drive")

LOCKED_RETRY_S = 2.0


@dataclass(slots=True)
class Placement:
    """What a drive asks of the shelf before it fetches, and the lock that it then holds."""

    spec: FileSpec
    source: Source
    previous: Placed | None
    lock: Lock | None = None
    abandoned: bool = False

    def abandon(self) -> None:
        """Nobody waits for the answer any more: content need not be read to its end."""
        self.abandoned = True

    def release(self) -> None:
        if self.lock is not None:
            self.lock.release()
            self.lock = None


@dataclass(slots=True)
class Drive:
    """The task that brings one file in, for the slot of `unit` (its own id, or that of a repo download)."""

    scheduler: Scheduler
    record: FileRecord
    unit: str
    weight: int
    meter: Meter = field(default_factory=Meter)
    speed: Speed = field(init=False)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.meter.downloaded_bytes = self.record.downloaded_bytes
        self.speed = Speed(self.record.downloaded_bytes)

    @property
    def is_small(self) -> bool:
        """Whether it goes through memory, in one request."""
        return is_small(self.record.size_bytes)

    async def run(self) -> None:
        """Until the file is done, failed or waits. Raises nothing but CancelledError."""
        record = self.record
        try:
            try:
                await self._attempt()
            except Failure as failure:
                if not self._is_gone(failure):
                    raise
                await self._leave_commit(failure)
                await self._attempt()
        except Failure as failure:
            self.scheduler.reports.stopped_by(record, failure, self.meter)
        except OSError as error:
            where = error.filename or record.spec.file_path
            self.scheduler.reports.stopped_by(record, disk_failure(error, f"at work on {where}"), self.meter)
        except Exception as error:
            log.exception("a fault of hfdmd itself stopped %s of %s", record.spec.file_path, record.spec.model_repo)
            told = f"a fault of hfdmd itself ({type(error).__name__}); its log has the story"
            self.scheduler.reports.stopped_by(record, Failure(Reason.INTERNAL, told), self.meter)

    async def _attempt(self) -> None:
        record, scheduler = self.record, self.scheduler
        scheduler.reports.check_target(record)
        target = None if record.source is not None else await self._resolve()
        source = record.source
        if source is None:
            raise RuntimeError("resolved, and without a source")
        if record.spec.local_dir is not None:
            async with scheduler.content.hold(content_key(replace(record.spec, local_dir=None), source)):
                pass  # whoever fetches it for the cache just now is waited for: then it is copied
        async with scheduler.content.hold(content_key(record.spec, source)):
            hold = Placement(record.spec, source, scheduler.reports.previous(record))
            try:
                placed = await scheduler.storage_batches.prepare(hold)
                if placed is None:
                    placed = await scheduler.written_files.copy(hold)
                has_part = placed is not None and bool(record.synced)
                if placed is None:
                    placed = await self._fetch(source, target, hold)
            finally:
                hold.release()
            await shielded(scheduler.reports.finish(record, placed))
            if has_part:  # the content came by another way
                await scheduler.storage_batches.discard(record.spec, source)

    async def _resolve(self) -> Target | None:
        """Ask the Hub what the file is; a listing of its repo may tell meanwhile, and of which commit it has to be."""
        record, scheduler = self.record, self.scheduler
        try:
            source, target = await scheduler.hub.resolve(record.spec)
        except Failure:
            if record.source is None:
                raise
            return None
        if record.source is not None:
            return None
        scheduler.reports.resolved(record, source)
        return target

    async def _fetch(self, source: Source, target: Target | None, hold: Placement) -> Placed:
        record, scheduler = self.record, self.scheduler
        small = self.is_small and not record.synced
        if record.phase is not Phase.TRANSFERRING:
            scheduler.reports.phase(record, Phase.TRANSFERRING, keep=not small)
        part = Path() if small else await in_thread(scheduler.storage.part_path, record.spec, source)
        job = Job(
            id=record.id,
            flow=self.unit,
            part=part,
            size_bytes=source.size_bytes,
            digest=source.digest,
            synced=list(record.synced),
            locate=self._locator(source, target),
            checkpoint=self._checkpoint,
            mismatched=self._mismatched,
            meter=self.meter,
        )
        if small:
            local_dir = record.spec.local_dir
            scheduler.reports.space.reserve(
                record.id, scheduler.paths.cache_dir if local_dir is None else Path(local_dir), source.size_bytes or 0
            )
            try:
                async with scheduler.admission.gate.slot(key(record)):
                    data = await scheduler.engine.fetch_small(job)
                self.meter.downloaded_bytes = len(data)
                self.meter.received_bytes += len(data)
                return await self._seen_through(scheduler.storage_batches.place_small((hold, data)))
            finally:
                scheduler.reports.space.release(record.id)
        still_to_come = (source.size_bytes or 0) - sum(end - start for start, end in record.synced)
        scheduler.reports.space.reserve(record.id, part, still_to_come)
        try:
            fetched = await scheduler.engine.fetch(job)
        finally:
            scheduler.reports.space.release(record.id)
        if source.size_bytes is None:
            source = scheduler.reports.measured(record, fetched.size_bytes)
        scheduler.reports.phase(record, Phase.PLACING)
        return await self._seen_through(in_thread(scheduler.storage.place, record.spec, source, part, hold.previous))

    async def _seen_through(self, placing: Coroutine[Any, Any, Placed]) -> Placed:
        """What is being put in place gets there, and then the download is done, though somebody wants to stop it."""
        task = asyncio.create_task(placing)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await wait_done(task)
            if not task.cancelled() and task.exception() is None:
                await shielded(self.scheduler.reports.finish(self.record, task.result()))
            raise

    def _locator(self, source: Source, target: Target | None) -> _Locator:
        """What the Hub serves itself, or redirects at once, needs no HEAD to be found."""
        is_on_the_hub = is_git_blob(source.digest)
        if target is None and (self.is_small or is_on_the_hub):
            target = self.scheduler.hub.direct(self.record.spec, source)
        return _Locator(self, source, target)

    async def _checkpoint(self, spans: list[Span]) -> None:
        await self.scheduler.reports.checkpoint(self.record, spans)

    def _mismatched(self) -> int:
        """The content was wrong: how often by now. The tracker tells it with what is claimed next."""
        self.record.mismatches += 1
        return self.record.mismatches

    def _is_gone(self, failure: Failure) -> bool:
        """Whether the Hub no longer serves the commit that was pinned, so that resolving anew may help."""
        source = self.record.source
        if failure.reason is not Reason.REVISION_NOT_FOUND or source is None:
            return False
        return source.commit != self.record.spec.revision

    async def _leave_commit(self, failure: Failure) -> None:
        """The Hub no longer serves the pinned commit: go on with what the revision points at now.

        What has come of the same content is kept.
        """
        record, scheduler = self.record, self.scheduler
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
        new, _ = await scheduler.hub.resolve(record.spec)
        if await scheduler.reports.pin_anew(record, new):
            self.meter.downloaded_bytes = 0
        detail = f"the Hub no longer serves commit {old.commit[:12]}; it is of {new.commit[:12]} now"
        scheduler.change(record, Stimulus.PHASE, phase=Phase.RESOLVING, detail=detail)
        if record.repo_ids:
            scheduler.errand(scheduler.updates.commit_is_gone(record, old.commit), f"list anew {record.id}")


@dataclass(slots=True)
class _Locator:
    """Gives the URL that is already known first, then asks the Hub for a fresh one."""

    drive: Drive
    source: Source
    known: Target | None

    async def __call__(self) -> Target:
        if self.known is not None:
            target, self.known = self.known, None
            return target
        return await self.drive.scheduler.hub.locate(self.drive.record.spec, self.source)


def content_key(spec: FileSpec, source: Source) -> str:
    """Names what two downloads must not fetch at the same time: a blob of a repo, or a place in a folder."""
    if spec.local_dir is not None:
        return f"{spec.local_dir}\0{source.etag}"
    return f"{spec.repo_type}\0{spec.model_repo}\0{source.etag}"
