"""`update: true`: ask the Hub for a newer commit, and move to it if there is one."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from hfdmd.failure import Failure
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, Record, RepoRecord, RepoSpec, Source, is_commit
from hfdmd.scheduler.index import matches
from hfdmd.wire.types import Reason, Selector, Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

log = logging.getLogger("hfdmd.updates")


def _place(repo: RepoRecord) -> RepoSpec:
    """Where its files come from and go to, whichever they are."""
    return replace(repo.spec, include=(), exclude=(), confined=False)


class Updates:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._under_way: Counter[str] = Counter()
        self._asking: set[str] = set()

    def start(self, record: Record) -> None:
        """Ask the Hub soon whether there is a newer commit, and move to it.

        When it has been asked, the record has a new version, for who waits to hear that nothing newer was found.
        """
        if is_commit(record.spec.revision):
            return
        self._under_way[record.id] += 1
        self._scheduler.errand(self._look(record), f"update {record.id}")

    def is_under_way(self, key: str) -> bool:
        """Whether the Hub is being asked for this download, so that it may move though it is done."""
        return key in self._under_way

    def any_under_way(self, selector: Selector) -> bool:
        """Whether that is so for any of these."""
        asked = (self._scheduler.index.get(key) for key in self._under_way)
        return any(record is not None and matches(record, selector) for record in asked)

    async def _look(self, record: Record) -> None:
        try:
            await (self.file(record) if isinstance(record, FileRecord) else self.repo(record))
        finally:
            self._under_way[record.id] -= 1
            self._under_way = +self._under_way
            if self._scheduler.index.get(record.id) is record:
                self._scheduler.touch(record)

    async def file(self, record: FileRecord) -> None:
        """Queue the download again at a newer commit. A Hub that does not answer leaves everything as it is."""
        scheduler = self._scheduler
        if record.source is None or is_commit(record.spec.revision):
            return
        try:
            source, _ = await scheduler.hub.resolve(record.spec)
        except Failure as failure:
            log.warning("no update of %s of %s: %s", record.spec.file_path, record.spec.model_repo, failure.detail)
            return
        await scheduler.actions.alone(self.move_file(record, source))

    async def move_file(self, record: FileRecord, source: Source) -> None:
        """Let the download be of `source` from now on. Only while no action is under way (`Actions.alone`)."""
        scheduler = self._scheduler
        old = record.source
        if (
            old is None
            or (source.commit == old.commit and old.same_content(source))
            or scheduler.index.files.get(record.id) is not record
        ):
            return
        await scheduler.admission.stop([record])
        try:
            is_other = await scheduler.reports.pin_anew(record, source)
            if record.state is Status.DONE:
                record.downloaded_bytes = 0
                scheduler.change(record, Stimulus.ASK, detail=f"moves to commit {source.commit[:12]}")
            elif record.state is Status.DOWNLOADING:
                scheduler.change(record, Stimulus.WAIT, detail=f"moves to commit {source.commit[:12]}")
            elif record.state is Status.FAILED and is_other:
                scheduler.change(record, Stimulus.RETRY, detail=f"moves to commit {source.commit[:12]}")
            else:
                scheduler.touch(record)
        finally:
            scheduler.admission.freed([record])

    async def repo(self, repo: RepoRecord) -> None:
        """List the repo again if its revision points at a newer commit. A first listing asks for the newest anyway."""
        scheduler = self._scheduler
        if repo.commit is None or is_commit(repo.spec.revision):
            return
        try:
            commit = await scheduler.hub.head_commit(repo.spec)
        except Failure as failure:
            log.warning("no update of %s: %s", repo.spec.model_repo, failure.detail)
            return
        await scheduler.actions.alone(self._move_repo(repo, commit, time.time()))

    async def _move_repo(self, repo: RepoRecord, commit: str, told_at: float) -> None:
        scheduler = self._scheduler
        if repo.commit in (None, commit) or scheduler.index.repos.get(repo.id) is not repo:
            return
        was_listed, repo.listed = repo.listed, False
        repo.moving = True  # before anything stops, so that nothing else of the old commit starts in its place
        running = [drive.record for drive in scheduler.admission.drives.values() if repo.id in drive.record.repo_ids]
        await scheduler.admission.stop([*running, repo])
        try:
            for record in running:
                if record.state is Status.DOWNLOADING:
                    scheduler.change(record, Stimulus.WAIT, detail=f"moves to commit {commit[:12]}")
            repo.commit, repo.told_at = commit, told_at
            repo.path = None
            if repo.state is Status.PAUSED:  # it is listed when it goes on
                scheduler.derive(repo, Status.PAUSED, reason=Reason.REQUESTED)
            elif was_listed or repo.state in (Status.QUEUED, Status.DOWNLOADING):
                scheduler.derive(repo, Status.QUEUED, detail=f"moves to commit {commit[:12]}")
            else:
                scheduler.touch(repo)
        finally:
            scheduler.admission.freed([*running, repo])

    async def take_along(self, repo: RepoRecord) -> None:
        """Let requests of the same revision that share files with `repo` move to its commit.

        A download is of one commit: theirs would come to lie in two snapshots, and neither would be whole.
        """
        scheduler = self._scheduler
        place = _place(repo)
        for other in [*scheduler.index.of_repo(repo.spec.model_repo)]:
            if not isinstance(other, RepoRecord) or other is repo or _place(other) != place:
                continue
            shared = any(repo.id in child.repo_ids for child in scheduler.index.children(other))
            if shared and other.state is not Status.CANCELLED:
                await scheduler.actions.alone(self._follow(other, repo))

    async def _follow(self, other: RepoRecord, repo: RepoRecord) -> None:
        """Move `other` to the commit of `repo`, unless its own listing is to choose one and take `repo` along."""
        if repo.commit is not None and not other.revive and not other.moving:
            await self._move_repo(other, repo.commit, repo.told_at)

    async def commit_is_gone(self, record: FileRecord, commit: str) -> None:
        """The Hub no longer serves the commit: let the repo downloads that are of it list anew."""
        for repo_id in record.repo_ids:
            repo = self._scheduler.index.repos.get(repo_id)
            if repo is not None and repo.commit == commit and repo_id not in self._asking:
                self._asking.add(repo_id)
                try:
                    await self.repo(repo)
                finally:
                    self._asking.discard(repo_id)
