"""Whether what is still to come of a repo download fits on the disk: looked at as a whole, before its first byte."""

from __future__ import annotations

from collections.abc import Sequence

from hfdmd.aio import in_thread
from hfdmd.cache.storage import Storage
from hfdmd.record import Entry, FileRecord, Record, RepoRecord
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Observer
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.wire.types import Status


class RepoRoom(Observer):
    """Remembers what did not fit, so that it is listed again only when it does."""

    def __init__(self, index: Index, storage: Storage, reservations: DiskReservations) -> None:
        self._index = index
        self._storage = storage
        self._reservations = reservations
        self._needs: dict[str, int] = {}

    async def check(self, repo: RepoRecord, wanted: Sequence[Entry]) -> None:
        """Raises Failure(DISK_FULL) when the files that were listed do not fit."""
        self._needs[repo.id] = await in_thread(self._still_to_come_bytes, repo, wanted)
        await self.check_again(repo)

    async def check_again(self, repo: RepoRecord) -> None:
        """Raises Failure(DISK_FULL) with the numbers of now when it did not fit and still does not."""
        if (need_bytes := self._needs.get(repo.id)) is not None:
            await in_thread(self._reservations.check, self._storage.folder(repo.spec), need_bytes)
            self._needs.pop(repo.id, None)

    def changed(self, record: Record, before: Status) -> None:
        if record.state is not Status.QUEUED:
            self._needs.pop(record.id, None)
        if isinstance(record, FileRecord) and record.state is Status.DONE:
            for key in [*self._needs]:  # less may be needed now: it is listed again, to see
                if self._index.repos[key].spec.model_repo == record.spec.model_repo:
                    del self._needs[key]

    def forgotten(self, record: Record) -> None:
        self._needs.pop(record.id, None)

    def _still_to_come_bytes(self, repo: RepoRecord, wanted: Sequence[Entry]) -> int:
        """Without what is on the disk already. Blocking."""
        return sum(self._missing_bytes(repo, entry) for entry in wanted if entry.path not in repo.dropped)

    def _missing_bytes(self, repo: RepoRecord, entry: Entry) -> int:
        spec = repo.spec.file(entry.path)
        if self._storage.cached(spec, entry.source):
            return 0
        return (entry.source.size_bytes or 0) - self._index.synced_bytes(spec.id, entry.source)
