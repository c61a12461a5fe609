"""`POST /api/download`: asks for a file or a repo, idempotent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hfdmd.aio import in_thread, yielding
from hfdmd.lifecycle import Stimulus
from hfdmd.net.retry_after import Exemption
from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord, RepoSpec, new_file, new_repo, rfc3339
from hfdmd.scheduler import selection
from hfdmd.scheduler.caller_tokens import CallerTokens
from hfdmd.scheduler.completion import Completion
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger
from hfdmd.scheduler.ordering import Ordering
from hfdmd.scheduler.retries import wait_s
from hfdmd.scheduler.running import Running
from hfdmd.scheduler.storage_batches import StorageBatches
from hfdmd.scheduler.supervisor import Supervisor
from hfdmd.scheduler.updates import Updates
from hfdmd.store import Store
from hfdmd.transfer.disk.part_file import disk_failure
from hfdmd.wire.errors import QueueFull
from hfdmd.wire.types import Reason, Status

QUEUE_FULL_RETRY_S = 60
_ENDED = (Status.DONE, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class Ask:
    """How something is asked for. `priority` None keeps the priority of a known download."""

    priority: int | None = None
    retry: bool = False
    update: bool = False
    token: str | None = field(default=None, repr=False)
    """The caller's Hub token."""


@dataclass(slots=True, eq=False)
class Requests:
    _index: Index
    _running: Running
    _ledger: Ledger
    _store: Store
    _ordering: Ordering
    _updates: Updates
    _completion: Completion
    _storage: StorageBatches
    _supervisor: Supervisor
    _tokens: CallerTokens
    _max_queue: Callable[[], int]

    async def file(self, spec: FileSpec, ask: Ask) -> tuple[FileRecord, bool]:
        """The download of one file, and whether this call queued it. Its tracker file is on disk on return.

        Raises `QueueFull`, and OSError when the tracker cannot be written.
        """
        return await self._supervisor.detached(self._file(spec, ask))

    async def repo(self, spec: RepoSpec, ask: Ask) -> tuple[RepoRecord, bool]:
        """The download of a repo, or of the part that its globs name, and whether this call queued it. As `file`."""
        return await self._supervisor.detached(self._repo(spec, ask))

    async def _file(self, spec: FileSpec, ask: Ask) -> tuple[FileRecord, bool]:
        record = self._known(spec)
        if not isinstance(record, FileRecord):
            self._check_room()
            self._tokens.bring(spec.id, ask.token, None)
            now, priority = time.time(), ask.priority or 0
            version = self._ledger.next_version()
            record = new_file(spec, version, now, order=now, asked_singly=True, priority=priority)
            await self._enter(record)
            return record, True
        self._tokens.bring(spec.id, ask.token, record)
        changed = not record.asked_singly or not self._ledger.is_tracked(record)
        self._ledger.note(record, asked_singly=True)
        queued = await self._again(record, ask)
        if not self._index.holds(record):
            return await self._file(spec, ask)
        if ask.priority is not None and ask.priority != record.priority:
            await self._ordering.prioritise([record], ask.priority)
            changed = True
        if changed or queued:
            self._ledger.save(record)
            self._ledger.offer(record)
        # A concurrent request may have created the record; its tracker may not be synced yet.
        if changed or queued or not self._store.has_written(record.id):
            await self._ledger.flush(record)
        if ask.update:
            self._updates.start(record)
        if record.state is Status.DONE and not self._updates.is_pending(record.id):  # the Hub is not asked
            self._tokens.drop(record.id)
        return record, queued

    async def _repo(self, spec: RepoSpec, ask: Ask) -> tuple[RepoRecord, bool]:
        record = self._known(spec)
        if not isinstance(record, RepoRecord):
            self._check_room()
            self._tokens.bring(spec.id, ask.token, None)
            version = self._ledger.next_version()
            record = new_repo(spec, version, time.time(), retry=ask.retry, priority=ask.priority or 0)
            await self._enter(record)
            return record, True
        self._tokens.bring(spec.id, ask.token, record)
        if ask.priority is not None and ask.priority != record.priority:
            await self._ordering.prioritise([record], ask.priority)
        queued = await self._supervisor.exclusive(self._repo_again(record, ask))
        if not self._index.holds(record):
            return await self._repo(spec, ask)
        await self._ledger.flush(record)
        if ask.update:
            self._updates.start(record)
        if record.state is Status.DONE and not self._updates.is_pending(record.id):  # the Hub is not asked
            self._tokens.drop(record.id)
        return record, queued

    async def _enter(self, record: Record) -> None:
        """Add a new request, which may start when its tracker is on disk.

        Where the disk refuses that, the request fails; where there is no room at present, it waits.
        """
        self._running.entering.add(record.id)
        try:
            self._ledger.enter(record)
            await self._ledger.flush(record)
        except OSError as error:
            failure = disk_failure(error, f"writing the tracker file {error.filename}")
            if record.state is not Status.QUEUED:
                raise
            retry_at = None if failure.is_final else rfc3339(time.time() + wait_s(failure, record.attempt))
            why: dict[str, Any] = {"reason": failure.reason, "detail": failure.detail, "retry_at": retry_at}
            if isinstance(record, FileRecord):
                self._ledger.change(record, Stimulus.FAIL if failure.is_final else Stimulus.WAIT, **why)
            else:
                self._ledger.derive(record, Status.FAILED if failure.is_final else Status.QUEUED, **why)
        finally:
            self._running.entering.discard(record.id)
            if self._index.holds(record):
                self._ledger.offer(record)

    def _known(self, spec: FileSpec | RepoSpec) -> Record | None:
        """The record of `spec`; while trackers load, its own is read first."""
        record = self._index.get(spec.id)
        if record is None and not self._index.is_complete:
            record = self._store.load_one(spec)
            if record is not None:
                self._ledger.restore(record)
        return record

    async def _again(self, record: FileRecord, ask: Ask) -> bool:
        """Asked for again: whether that queues it."""
        if record.state is Status.CANCELLED:
            self._ledger.change(record, Stimulus.ASK)
            return True
        if record.state is Status.FAILED and ask.retry:
            self._running.at_once[record.id] = Exemption()
            self._ledger.change(record, Stimulus.RETRY)
            return True
        if record.state is Status.DONE and not await in_thread(self._storage.is_in_place, record):
            if record.state is not Status.DONE or not self._index.holds(record):  # changed meanwhile
                return False
            self._ledger.change(record, Stimulus.ASK, downloaded_bytes=0)
            return True
        return False

    async def _repo_again(self, repo: RepoRecord, ask: Ask) -> bool:
        """Asked for again: whether that queues it. Only while no action is running (`Supervisor.exclusive`)."""
        if not self._index.holds(repo):
            return False
        dropped = bool(repo.dropped)
        anew = repo.cancelled or repo.state is Status.CANCELLED
        retries = ask.retry and not repo.listed and not repo.retry
        self._ledger.note(repo, dropped=set(), retry=repo.retry or retries, asked_at=self._ledger.now())
        if anew:
            self._ledger.note(repo, held=False, cancelled=False, revive=repo.revive or not repo.listed)
        if anew or dropped or retries:
            self._ledger.save(repo)
        queued = not repo.listed and (repo.state is Status.CANCELLED or (repo.state is Status.FAILED and ask.retry))
        if queued:
            self._ledger.derive(repo, Status.QUEUED, revive=True)
        files = list(self._index.children(repo))
        queued |= await self._change_all(files, Status.CANCELLED, Stimulus.ASK)
        if not repo.listed:
            return queued
        done = [record for record in files if record.state is Status.DONE]
        gone = await in_thread(lambda: any(not self._storage.is_in_place(record) for record in done))
        if ask.retry:
            queued |= await self._change_all(files, Status.FAILED, Stimulus.RETRY)
        if (dropped or gone) and repo.listed and self._index.holds(repo):
            if ask.update:
                self._ledger.note(repo, commit=None, moving=True)
            queued |= self._completion.list_again(repo)
        return queued

    async def _change_all(self, files: list[FileRecord], status: Status, stimulus: Stimulus) -> bool:
        """Apply a stimulus to the files that have a status; whether any may start then: not while all pause."""
        found = False
        async for record in yielding([record for record in files if record.state is status]):
            if record.state is status and self._index.holds(record):
                self._ledger.change(record, stimulus)
                if selection.held_by_others(record, self._index.parents(record)) is Stimulus.PAUSE:
                    self._ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
                else:
                    found = True
        return found

    def _check_room(self) -> None:
        """Raises `QueueFull`. Requests count, not the files of a repo."""
        index, limit = self._index, self._max_queue()
        if len(index.files) + len(index.repos) < limit:
            return
        waiting = sum(record.asked_singly and record.state not in _ENDED for record in index.files.values())
        waiting += sum(record.state not in _ENDED for record in index.repos.values())
        if waiting >= limit:
            raise QueueFull(
                f"{waiting} requests wait already, max_queue allows {limit}; try again when some have ended",
                retry_after_s=QUEUE_FULL_RETRY_S,
            )
