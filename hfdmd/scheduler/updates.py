"""`update: true`: ask the Hub for a newer commit, and move to it if there is one."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, Record, RepoRecord, RepoSpec, Source, is_commit
from hfdmd.scheduler.index import Index, matches
from hfdmd.scheduler.ledger import Ledger
from hfdmd.scheduler.running import Running
from hfdmd.scheduler.stopping import Stopper
from hfdmd.scheduler.storage_batches import StorageBatches
from hfdmd.scheduler.supervisor import Supervisor
from hfdmd.wire.types import Reason, Selector, Status

log = logging.getLogger("hfdmd.updates")


def _identity(repo: RepoRecord) -> RepoSpec:
    """Where the files of a repo download come from and go to, whichever they are."""
    return replace(repo.spec, include=(), exclude=(), confined=False)


@dataclass(slots=True, eq=False)
class Updates:
    _hub_for: Callable[[Record], Hub]
    _index: Index
    _ledger: Ledger
    _running: Running
    _stopper: Stopper
    _storage: StorageBatches
    _supervisor: Supervisor
    _pending: Counter[str] = field(default_factory=Counter)
    _relisting: set[str] = field(default_factory=set)

    def start(self, record: Record) -> None:
        """Ask the Hub soon whether there is a newer commit, and move to it.

        Afterwards the record has a new version: clients that wait for the answer see that nothing newer was found.
        """
        if is_commit(record.spec.revision):
            return
        self._pending[record.id] += 1
        self._supervisor.background(self._check(record), f"update {record.id}")

    def is_pending(self, key: str) -> bool:
        """Whether the Hub is being asked for this download, so that it may move although it is done."""
        return key in self._pending

    def any_pending(self, selector: Selector) -> bool:
        """Whether `is_pending` holds for any download that matches."""
        asked = (self._index.get(key) for key in self._pending)
        return any(record is not None and matches(record, selector) for record in asked)

    async def _check(self, record: Record) -> None:
        try:
            await (self._file(record) if isinstance(record, FileRecord) else self._repo(record))
        finally:
            self._pending[record.id] -= 1
            self._pending = +self._pending
            if self._index.holds(record):
                self._ledger.edit(record)

    async def _file(self, record: FileRecord) -> None:
        """Queue the download again at a newer commit. Without an answer of the Hub everything stays as it is."""
        if record.source is None or is_commit(record.spec.revision):
            return
        try:
            source, _ = await self._hub_for(record).resolve(record.spec)
        except Failure as failure:
            log.warning("no update of %s of %s: %s", record.spec.file_path, record.spec.model_repo, failure.detail)
            return
        await self.move_file(record, source)

    async def move_file(self, record: FileRecord, source: Source) -> None:
        """Stop the download and let it continue with `source`."""
        await self._supervisor.exclusive(self._move_file(record, source))

    async def _move_file(self, record: FileRecord, source: Source) -> None:
        old = record.source
        if old is None or (source.commit == old.commit and old.same_content(source)) or not self._index.holds(record):
            return
        async with self._stopper.stopped([record]):
            is_other = await self.repin(record, source)
            detail = f"moves to commit {source.commit[:12]}"
            if record.state is Status.DONE:
                self._ledger.change(record, Stimulus.ASK, detail=detail, downloaded_bytes=0)
            elif record.state is Status.DOWNLOADING:
                self._ledger.change(record, Stimulus.WAIT, detail=detail)
            elif record.state is Status.FAILED and is_other:
                self._ledger.change(record, Stimulus.RETRY, detail=detail)
            else:
                self._ledger.edit(record)

    async def repin(self, record: FileRecord, source: Source) -> bool:
        """Pin the download to `source`; whether its content is another one, so that what has arrived is discarded.

        The caller publishes it with its next change.
        """
        old = record.source
        is_other = old is not None and not old.same_content(source)
        if old is not None and is_other:
            if record.state is not Status.DONE:
                await self._storage.discard(record.spec, old)
            self._ledger.note(record, source=source, synced=[], mismatches=0, downloaded_bytes=0)
        else:
            self._ledger.note(record, source=source)
        return is_other

    async def _repo(self, repo: RepoRecord) -> None:
        """List the repo again if its revision points at a newer commit. A first listing asks for the newest anyway."""
        if repo.commit is None or is_commit(repo.spec.revision):
            return
        try:
            commit = await self._hub_for(repo).head_commit(repo.spec)
        except Failure as failure:
            log.warning("no update of %s: %s", repo.spec.model_repo, failure.detail)
            return
        await self._supervisor.exclusive(self._move_repo(repo, commit, time.time()))

    async def _move_repo(self, repo: RepoRecord, commit: str, told_at: float) -> None:
        if repo.commit in (None, commit) or not self._index.holds(repo):
            return
        was_listed = repo.listed
        # Before anything stops, so that no other file of the old commit starts in its place.
        self._ledger.note(repo, listed=False, moving=True)
        running = [active.record for active in self._running.of_repo(repo.id)]
        detail = f"moves to commit {commit[:12]}"
        moved: dict[str, Any] = {"commit": commit, "told_at": told_at, "path": None}
        async with self._stopper.stopped([*running, repo]):
            for record in running:
                if record.state is Status.DOWNLOADING:
                    self._ledger.change(record, Stimulus.WAIT, detail=detail)
            if repo.state is Status.PAUSED:  # it is listed when it is resumed
                self._ledger.derive(repo, Status.PAUSED, reason=Reason.REQUESTED, **moved)
            elif was_listed or repo.state in (Status.QUEUED, Status.DOWNLOADING):
                self._ledger.derive(repo, Status.QUEUED, detail=detail, **moved)
            else:
                self._ledger.edit(repo, **moved)

    async def move_siblings(self, repo: RepoRecord) -> None:
        """Let repo downloads of the same revision that share files with `repo` move to its commit.

        A file is of one commit: without this their files would end up in two snapshots, and neither would be complete.
        """
        identity = _identity(repo)
        for other in [*self._index.of_repo(repo.spec.model_repo)]:
            if not isinstance(other, RepoRecord) or other is repo or _identity(other) != identity:
                continue
            shares_files = any(repo.id in child.repo_ids for child in self._index.children(other))
            if shares_files and other.state is not Status.CANCELLED:
                await self._supervisor.exclusive(self._follow(other, repo))

    async def _follow(self, other: RepoRecord, repo: RepoRecord) -> None:
        """Move `other` to the commit of `repo`, unless its own listing is about to choose one."""
        if repo.commit is not None and not other.revive and not other.moving:
            await self._move_repo(other, repo.commit, repo.told_at)

    def commit_is_gone(self, record: FileRecord, commit: str) -> None:
        """The Hub no longer serves the commit: list the repo downloads that are pinned to it again, soon."""
        if record.repo_ids:
            self._supervisor.background(self._relist(record, commit), f"list again for {record.id}")

    async def _relist(self, record: FileRecord, commit: str) -> None:
        for repo in self._index.parents(record):
            if repo.commit == commit and repo.id not in self._relisting:
                self._relisting.add(repo.id)
                try:
                    await self._repo(repo)
                finally:
                    self._relisting.discard(repo.id)
