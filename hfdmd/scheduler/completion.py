"""A repo download is done when all of its files are, and are still where they were put.

Other programs may have removed some of them while the rest arrived: `hf cache rm`, or `hf cache prune` where the
revision is a commit.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from hfdmd.aio import in_thread
from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler import views
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger, Observer
from hfdmd.scheduler.listing_cache import ListingCache
from hfdmd.scheduler.storage_batches import StorageBatches
from hfdmd.scheduler.supervisor import Supervisor
from hfdmd.scheduler.views import Standing
from hfdmd.wire.types import Reason, Status

log = logging.getLogger("hfdmd.scheduler")


@dataclass(slots=True, eq=False)
class Completion(Observer):
    _index: Index
    _ledger: Ledger
    _storage: StorageBatches
    _listings: ListingCache
    _supervisor: Supervisor
    _checking: set[str] = field(default_factory=set)

    def summed(self, repo: RepoRecord, standing: Standing) -> None:
        """All files of the repo download are done: check the disk, then mark it done or list it again."""
        if standing.status is Status.DONE and repo.state is not Status.DONE and repo.id not in self._checking:
            self._checking.add(repo.id)
            self._supervisor.background(self._check(repo), f"check the files of {repo.id}")

    def changed(self, record: Record, before: Status) -> None:
        if isinstance(record, RepoRecord) and record.state is Status.DONE and before is not Status.DONE:
            self._drop_listing(record)

    def forgotten(self, record: Record) -> None:
        if isinstance(record, RepoRecord):
            self._drop_listing(record)

    def _drop_listing(self, repo: RepoRecord) -> None:
        """The kept list is of no use any more. One that a stop of the daemon leaves is removed at the next start."""
        self._supervisor.background(in_thread(self._listings.forget, repo.id), f"remove the list of {repo.id}")

    def list_again(self, repo: RepoRecord, *, detail: str | None = None) -> bool:
        """Have a repo download listed, so that missing files are fetched again; whether that queues it."""
        if repo.held:
            self._ledger.derive(repo, Status.PAUSED, reason=Reason.REQUESTED, revive=True, listed=False, path=None)
        else:
            self._ledger.derive(repo, Status.QUEUED, detail=detail, revive=True, listed=False, path=None)
        return not repo.held

    async def settle(self, repo: RepoRecord) -> None:
        """Give a listed repo download the status that its files add up to, at once: for an action and its answer."""
        if views.standing(self._index, repo).status is not Status.DONE:
            self._ledger.refresh(repo)
        elif repo.state is not Status.DONE:
            await self._conclude(repo, await in_thread(self._missing, list(self._index.children(repo))))

    async def _check(self, repo: RepoRecord) -> None:
        try:
            missing = await in_thread(self._missing, list(self._index.children(repo)))
            await self._supervisor.exclusive(self._conclude(repo, missing))
        finally:
            self._checking.discard(repo.id)

    def _missing(self, files: list[FileRecord]) -> int:
        return sum(not self._storage.is_in_place(record) for record in files)

    async def _conclude(self, repo: RepoRecord, missing: int) -> None:
        """Only while no action is running (`Supervisor.exclusive`)."""
        if not self._index.holds(repo) or not repo.listed:
            return
        if views.standing(self._index, repo).status is not Status.DONE:
            self._ledger.refresh(repo)
        elif not missing:
            self._ledger.derive(repo, Status.DONE)
        else:
            detail = f"{missing} of its files were removed meanwhile; they are fetched again"
            log.warning("%s: %s", repo.spec.model_repo, detail)
            self.list_again(repo, detail=detail)
