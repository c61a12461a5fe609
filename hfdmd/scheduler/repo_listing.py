"""The first step of a repo download: one listing names its files, with the size and digest of each."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from hfdmd.aio import in_thread
from hfdmd.cache.layout import METADATA_FOLDER, is_metadata
from hfdmd.cache.storage import Storage
from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.hub.listing import Listing, matches
from hfdmd.record import Entry, RepoRecord
from hfdmd.scheduler import reconcile, views
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger
from hfdmd.scheduler.listing_cache import ListingCache
from hfdmd.scheduler.merging import Merger
from hfdmd.scheduler.outage import asking
from hfdmd.scheduler.retries import Retries
from hfdmd.scheduler.room import RepoRoom
from hfdmd.scheduler.running import ActiveListing
from hfdmd.scheduler.supervisor import Supervisor
from hfdmd.scheduler.updates import Updates
from hfdmd.transfer.disk.part_file import disk_failure
from hfdmd.wire.types import Phase, Reason, Status

log = logging.getLogger("hfdmd.listing")


@dataclass(slots=True, eq=False)
class RepoListing:
    """Lists one repo download; runs as long as that has a slot for it."""

    _active: ActiveListing
    _hub: Hub
    _storage: Storage
    _index: Index
    _ledger: Ledger
    _merger: Merger
    _listings: ListingCache
    _retries: Retries
    _updates: Updates
    _room: RepoRoom
    _supervisor: Supervisor

    @property
    def _repo(self) -> RepoRecord:
        return self._active.repo

    async def run(self) -> None:
        """Until the files are known, or the listing failed or waits. Raises nothing but CancelledError."""
        repo = self._repo
        try:
            try:
                await self._list()
            except Failure as failure:
                if not self._is_gone(failure):
                    raise
                log.warning("%s: %s; resolving %s anew", repo.spec.model_repo, failure.detail, repo.spec.revision)
                self._ledger.note(repo, commit=None)
                await self._list()
        except Failure as failure:
            self._stopped_by(await in_thread(self._storage.explained, repo.spec, failure))
        except OSError as error:
            refused = disk_failure(error, f"listing {repo.spec.model_repo}")
            self._stopped_by(await in_thread(self._storage.explained, repo.spec, refused))
        except Exception as error:
            log.exception("internal error: the listing of %s ended", repo.spec.model_repo)
            detail = f"internal error ({type(error).__name__}); see the daemon's log"
            self._stopped_by(Failure(Reason.INTERNAL, detail))

    def _is_gone(self, failure: Failure) -> bool:
        """Whether the Hub no longer serves the pinned commit, so that another one may do."""
        commit = self._repo.commit
        is_pinned = commit is not None and commit != self._repo.spec.revision
        return failure.reason is Reason.REVISION_NOT_FOUND and is_pinned

    def _stopped_by(self, failure: Failure) -> None:
        repo = self._repo
        if not failure.is_final:
            retry_at = self._retries.retry_at(failure, repo.attempt)
            self._ledger.derive(repo, Status.QUEUED, reason=failure.reason, detail=failure.detail, retry_at=retry_at)
            return
        fields: dict[str, Any] = {}
        if failure.reason is Reason.FILE_NOT_FOUND:
            fields["commit"] = None  # a later commit may have what is asked for
        self._ledger.derive(repo, Status.FAILED, reason=failure.reason, detail=failure.detail, **fields)

    async def _list(self) -> None:
        repo = self._repo
        meter, endpoint = self._active.meter, self._hub.endpoint
        await self._room.check_again(repo)
        with asking(meter, endpoint):
            listing = await self._hub.list_repo(repo.spec, commit=repo.commit, told_at=repo.told_at)
        self._ledger.save(repo, commit=listing.commit, told_at=listing.told_at)
        with asking(meter, endpoint):
            entries, matching = await self._read(listing)
        wanted = [one for one in matching if repo.spec.local_dir is None or not is_metadata(one.path)]
        await self._check_room(wanted)
        # With the tree in place every reader of the cache can see that an incomplete snapshot is incomplete. It names
        # what is left out too: the Hub's own client would fetch that.
        await in_thread(self._storage.write_tree, repo.spec, listing.commit, [*entries, *listing.left_out])
        known_files = self._index.sums[repo.id].files
        now = time.time()
        unlisted = await self._merger.take_in(repo, enumerate(wanted), now, list(known_files))
        await in_thread(self._keep, listing.commit, listing.told_at, now, wanted)
        await self._merger.drop(repo, unlisted)
        ids = await in_thread(lambda: [repo.spec.file(entry.path).id for entry in wanted])  # of 100,000 it takes 0.5 s
        if reconcile.chooses_commit(repo):
            await self._updates.move_siblings(repo)
        if not known_files:
            await self._supervisor.exclusive(self._forget_emptied())
            if not self._index.holds(repo):
                return
        # Deleted meanwhile; wanted again when the repo was asked for again meanwhile.
        missing = [entry for file_id, entry in zip(ids, wanted, strict=True) if file_id not in known_files]
        await self._merger.take_in(repo, ((len(wanted), entry) for entry in missing), now)
        self._listed(listing, len(matching) - len(wanted))

    async def _check_room(self, wanted: list[Entry]) -> None:
        try:
            await self._room.check(self._repo, wanted)
        except Failure:
            total_bytes = sum(entry.source.size_bytes or 0 for entry in wanted)
            self._ledger.note(self._repo, files_total=len(wanted), total_bytes=total_bytes)
            raise

    async def _read(self, listing: Listing) -> tuple[list[Entry], list[Entry]]:
        """All entries, and those that the globs name. Raises Failure when there is none of the latter."""
        spec = self._repo.spec
        entries: list[Entry] = []
        wanted: list[Entry] = []
        async for page in listing.pages():
            self._active.meter.quiet_since_s = time.monotonic()
            if self._repo.state is Status.QUEUED:  # what it waited for is over
                self._ledger.derive(self._repo, Status.DOWNLOADING, phase=Phase.LISTING)
            entries.extend(page)
            wanted.extend(entry for entry in page if matches(entry.path, spec.include, spec.exclude))
        if not wanted:
            globs = f" that match {' or '.join(spec.include)}" if spec.include else ""
            but = f" other than {' or '.join(spec.exclude)}" if spec.exclude else ""
            raise Failure(
                Reason.FILE_NOT_FOUND,
                f"{spec.model_repo} at {spec.revision} has no files{globs}{but}; it has {len(entries)} in all",
            )
        return entries, wanted

    def _listed(self, listing: Listing, metadata_files: int) -> None:
        """The files are known now: the status follows from them."""
        repo = self._repo
        notes: list[str] = []
        if listing.refused_total:
            path, why = listing.refused[0]
            count = "1 file is" if listing.refused_total == 1 else f"{listing.refused_total} files are"
            notes.append(f"{count} left out: {path!r} {why}")
        if metadata_files:
            count = "1 file" if metadata_files == 1 else f"{metadata_files} files"
            notes.append(f"left out: {count} below {'/'.join(METADATA_FOLDER)}/, where the Hub's client keeps its own")
        note = "; ".join(notes) or None
        if note is not None:
            log.warning("%s: %s", repo.spec.model_repo, note)
        self._ledger.note(repo, revive=False, retry=False, moving=False, listed=True, attempt=0, note=note)
        standing = views.standing(self._index, repo)
        self._ledger.derive(repo, standing.status, phase=standing.phase, reason=standing.reason, detail=standing.detail)
        self._retries.network_is_back()

    async def _forget_emptied(self) -> None:
        """All of its files were deleted while they were being listed: the request goes with them."""
        if self._index.holds(self._repo) and self._repo.dropped:
            self._ledger.forget(self._repo)

    def _keep(self, commit: str, told_at: float, listed_at: float, wanted: list[Entry]) -> None:
        try:
            self._listings.write(self._repo.id, commit, told_at, listed_at, wanted)
        except OSError as error:  # nothing is lost: the Hub still has the list
            log.warning("cannot keep the list of %s, a restart will ask for it: %s", self._repo.spec.model_repo, error)
