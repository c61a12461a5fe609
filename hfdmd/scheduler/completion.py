"""A repo download is done when all of its files are, and lie where they were put.

Others may have removed some of them while the rest came: with `hf cache rm`, or with `hf cache prune` where the
revision is a commit.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hfdmd.aio import in_thread
from hfdmd.record import FileRecord, RepoRecord
from hfdmd.scheduler import views
from hfdmd.wire.types import Reason, Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

log = logging.getLogger("hfdmd.scheduler")


class Completion:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._under_way: set[str] = set()

    def look(self, repo: RepoRecord) -> None:
        """All files of a listed repo download are done: it is soon, too, or it goes back for what is gone."""
        if repo.id not in self._under_way:
            self._under_way.add(repo.id)
            self._scheduler.errand(self._look(repo), f"look after {repo.id}")

    def list_again(self, repo: RepoRecord, *, detail: str | None = None) -> bool:
        """Have a repo download listed, for what is gone of it to come back; whether that queues it."""
        repo.revive, repo.listed, repo.path = True, False, None
        if repo.held:
            self._scheduler.derive(repo, Status.PAUSED, reason=Reason.REQUESTED)
        else:
            self._scheduler.derive(repo, Status.QUEUED, detail=detail)
        return not repo.held

    async def _look(self, repo: RepoRecord) -> None:
        scheduler = self._scheduler
        try:
            files = list(scheduler.index.children(repo))
            gone = await in_thread(self._gone, files)
            await scheduler.actions.alone(self._conclude(repo, gone))
        finally:
            self._under_way.discard(repo.id)

    def _gone(self, files: list[FileRecord]) -> int:
        return sum(not self._scheduler.reports.is_in_place(record) for record in files)

    async def _conclude(self, repo: RepoRecord, gone: int) -> None:
        """Only while no action is under way (`Actions.alone`)."""
        scheduler = self._scheduler
        if scheduler.index.repos.get(repo.id) is not repo or not repo.listed:
            return
        if views.standing(scheduler.index, repo)[0] is not Status.DONE:
            scheduler.refresh(repo)
        elif not gone:
            scheduler.derive(repo, Status.DONE)
        else:
            detail = f"{gone} of its files were removed meanwhile; they are fetched again"
            log.warning("%s: %s", repo.spec.model_repo, detail)
            self.list_again(repo, detail=detail)
