"""At start: trackers are loaded, work is queued again, and leftovers of a crash are removed."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec

from hfdmd.aio import in_thread, yielding
from hfdmd.cache.storage import Storage
from hfdmd.failure import Failure
from hfdmd.record import FileSpec, Record, RepoRecord
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger
from hfdmd.scheduler.listing_cache import ListingCache
from hfdmd.scheduler.merging import Merger
from hfdmd.scheduler.written_files import WrittenFiles
from hfdmd.store import Store
from hfdmd.wire.types import Status

log = logging.getLogger("hfdmd.scheduler")

P = ParamSpec("P")


@dataclass(slots=True, eq=False)
class Startup:
    """`loaded` is set when all trackers are known."""

    _index: Index
    _ledger: Ledger
    _store: Store
    _storage: Storage
    _listings: ListingCache
    _merger: Merger
    _written_files: WrittenFiles
    loaded: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        index = self._index
        gc.disable()  # loaded records stay: collecting among them again and again costs as much as loading them
        try:
            await in_thread(self._written_files.load)
            batches = self._store.load()
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                self._take_in(batch)
            await self._recall_listings()
            gc.freeze()
        finally:
            gc.enable()
        await self._remove_orphans()
        index.is_complete = True
        self.loaded.set()
        self._detach_from_unknown()
        for repo in list(index.repos.values()):
            self._revive(repo)
        for record in list(index.files.values()):
            if record.state is Status.QUEUED:
                self._ledger.offer(record)
        log.info("loaded %d downloads and %d repo downloads", len(index.files), len(index.repos))

    def lacks_files(self, repo: RepoRecord) -> bool:
        """Whether some of its files have no tracker: they are known only when everything is loaded."""
        return repo.state is not Status.DONE and len(self._index.sums[repo.id].files) != repo.files_total

    async def first(self, read: Callable[[], list[Record]]) -> None:
        """Load what is asked for by name before the rest. `read` runs in a thread."""
        self._take_in(await in_thread(read))

    def _take_in(self, records: list[Record]) -> None:
        """Add records from disk that are not known yet. A request may have restored some of them already."""
        for record in records:
            if record.id not in self._index:
                self._ledger.restore(record)
            known = self._index.files.get(record.id)
            if known is not None and known.state is Status.DONE:
                self._written_files.add(known)

    def _detach_from_unknown(self) -> None:
        """Files whose trackers name repo downloads that are gone, as after a crash in the middle of a delete."""
        for repo_id in self._index.unknown_repos():
            for file_id in list(self._index.sums[repo_id].files):
                record = self._index.files[file_id]
                self._ledger.edit(record, repo_ids=[known for known in record.repo_ids if known != repo_id])
            self._index.drop_sums(repo_id)

    def _revive(self, repo: RepoRecord) -> None:
        """Bring a repo download up to date, or have it listed when some of its files are not known any more."""
        if repo.state is Status.DONE or (repo.listed and not self.lacks_files(repo)):
            if repo.listed:
                self._ledger.refresh(repo)
            return
        self._ledger.note(repo, listed=False)
        if repo.state is Status.QUEUED:
            self._ledger.restarted(repo)
            self._ledger.offer(repo)

    async def _recall_listings(self) -> None:
        """Files that never left the queue have no tracker: the kept lists name them again. The Hub is not asked."""
        unfinished = [repo for repo in self._index.repos.values() if repo.state is not Status.DONE]
        for repo in sorted(unfinished, key=lambda repo: repo.created_at):  # a file is as old as its first request
            if not self.lacks_files(repo) or not repo.listed or repo.commit is None:
                continue
            cached = await in_thread(self._listings.read, repo.id, repo.commit)
            if cached is None:
                continue
            known = self._index.sums[repo.id].files
            missing = [
                (number, entry)
                async for number, entry in yielding(enumerate(cached.entries))
                if repo.spec.file(entry.path).id not in known
            ]
            await self._merger.take_in(repo, missing, cached.listed_at)
        try:
            await in_thread(self._listings.sweep, {repo.id for repo in unfinished})
        except OSError as error:
            log.warning("cannot look for leftover lists of files: %s", error)

    async def _remove_orphans(self) -> None:
        """Remove part files that no tracker names: only what hfdmd itself wrote, by their names."""
        if self._store.left_alone:
            return  # one of those trackers may name what looks like an orphan
        known: set[Path] = set()
        loose: list[FileSpec] = []
        for record in self._index.files.values():
            if record.synced and record.source is not None and record.state is not Status.DONE:
                known.add(self._storage.part_location(record.spec))
            elif record.spec.local_dir is not None:
                loose.append(record.spec)
        await self._tidied("the cache", self._storage.discard_orphans, known)
        await self._tidied("local folders", self._storage.discard_leftovers, loose)
        for repo in list(self._index.repos.values()):
            if repo.spec.local_dir is not None and repo.state is not Status.DONE:
                await self._tidied(repo.spec.local_dir, self._storage.discard_unlisted, repo.spec, repo.commit, known)

    async def _tidied(self, where: str, discard: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a clean-up in a thread. Its failure is logged; it neither stops the others nor the start."""
        try:
            await in_thread(discard, *args, **kwargs)
        except (Failure, OSError) as error:
            log.warning("cannot remove what a crash left in %s: %s", where, error)
