"""What is known of files that hfdmd wrote: of one content in a folder they are fetched once, and it may delete them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hfdmd.aio import Batcher, in_thread
from hfdmd.cache.storage import Placed
from hfdmd.record import FileRecord
from hfdmd.scheduler.drive import Placement
from hfdmd.wire.types import Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler

_SPARE = 10_000  # files remembered as written by hfdmd beside those that downloads name


class WrittenFiles:
    """Remembers which download brought a content into a folder, and which contents hfdmd wrote."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._started_at = time.time()
        self._brought: dict[tuple[str, str], str] = {}
        self._written: set[int] = set()

    def note(self, record: FileRecord) -> None:
        """The download is in its place."""
        if record.source is None:
            return
        if record.spec.local_dir is not None:
            self._brought[record.spec.local_dir, record.source.etag] = record.id
        files = self._scheduler.index.files
        if len(self._written) > 2 * len(files) + _SPARE:
            self._written = set()
            for known in files.values():
                self._note_written(known)
        self._note_written(record)

    def _note_written(self, record: FileRecord) -> None:
        if record.source is None or record.adopted or record.placed_mtime_ns is None or record.placed_bytes is None:
            return
        self._written.add(_mark(record.source.etag, record.placed_bytes, record.placed_mtime_ns))

    def is_others(self, record: FileRecord, placed: Placed) -> bool:
        """Whether somebody else than hfdmd wrote what was placed. The record still says what stood there before."""
        source = record.source
        if not placed.found or source is None:
            return False
        if (record.placed_bytes, record.placed_mtime_ns) == (placed.size_bytes, placed.mtime_ns):
            return record.adopted
        if _mark(source.etag, placed.size_bytes, placed.mtime_ns) in self._written:
            return False
        # What a crash left between the placing and the tracker that says so is younger than the Hub's answer.
        return not source.told_at <= placed.mtime_ns / 1e9 < self._started_at

    async def copy(self, hold: Placement) -> Placed | None:
        """The file, copied from another of the same content in the same folder; None when there is none."""
        if hold.spec.local_dir is None:
            return None
        key = (hold.spec.local_dir, hold.source.etag)
        twin = self._scheduler.index.files.get(self._brought.get(key, ""))
        if twin is None or twin.id == hold.spec.id or twin.state is not Status.DONE:
            self._brought.pop(key, None)
            return None
        there = self._scheduler.reports.previous(twin)
        if there is None:
            return None

        async def copied(holds: list[Placement]) -> list[Placed | Exception | None]:
            return [await in_thread(self._copied, one, there) for one in holds]

        return await Batcher(copied, abandon=Placement.abandon)(hold)

    def _copied(self, hold: Placement, twin: Placed) -> Placed | None:
        return self._scheduler.storage.copy_same_content(
            hold.spec, hold.source, twin, hold.previous, lambda: hold.abandoned
        )


def _mark(etag: str, size_bytes: int, mtime_ns: int) -> int:
    """Tells a file apart from all others, in a few bytes: tens of thousands are remembered."""
    return hash((etag, size_bytes, mtime_ns))
