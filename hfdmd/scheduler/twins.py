"""Files of one content in a local folder: fetched once, the others by copy. The Hub's cache needs no such help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfdmd.hub.shelf import Placed
from hfdmd.record import FileRecord
from hfdmd.scheduler.batch import Batcher
from hfdmd.scheduler.drive import Hold
from hfdmd.scheduler.threads import in_thread
from hfdmd.wire.types import Status

if TYPE_CHECKING:
    from hfdmd.scheduler.core import Scheduler


class Twins:
    """Remembers which download brought a content into a folder."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._brought: dict[tuple[str, str], str] = {}

    def note(self, record: FileRecord) -> None:
        """The download is in its place."""
        if record.spec.local_dir is not None and record.source is not None:
            self._brought[record.spec.local_dir, record.source.etag] = record.id

    async def copy(self, hold: Hold) -> Placed | None:
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

        async def copied(holds: list[Hold]) -> list[Placed | Exception | None]:
            return [await in_thread(self._copied, one, there) for one in holds]

        return await Batcher(copied, abandon=Hold.abandon)(hold)

    def _copied(self, hold: Hold, twin: Placed) -> Placed | None:
        return self._scheduler.shelf.copy_twin(hold.spec, hold.source, twin, hold.previous, lambda: hold.abandoned)
