"""When a transfer is synced and recorded: often enough that a kill costs little, seldom enough to cost little."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hfdmd.aio import shielded
from hfdmd.record import Span
from hfdmd.transfer.disk.writer import Writer
from hfdmd.transfer.job import Job
from hfdmd.transfer.resources import EngineResources

SHORTEST_S = 0.05
LONGEST_S = 1.0
SYNC_SHARE = 0.5
"""After a sync, pause for at least this share of the time that the sync took.

The disk has to write all data in any case; the longer it idles in between, the more is left to sync at the end.
"""
AT_RISK = 0.001
"""The share of a file that may arrive between two checkpoints: a kill costs that much."""


def pause_s(size_bytes: int | None, bytes_per_s: float, last_sync_s: float) -> float:
    """Seconds until the next checkpoint of a file that arrives at this speed; the last sync took `last_sync_s`."""
    if bytes_per_s <= 0:  # the speed is not known yet: the first checkpoint is soon
        at_risk_s = SHORTEST_S
    else:
        at_risk_s = LONGEST_S if size_bytes is None else AT_RISK * size_bytes / bytes_per_s
    return max(SHORTEST_S, min(LONGEST_S, at_risk_s), SYNC_SHARE * last_sync_s)


@dataclass(slots=True, eq=False)
class Checkpointer:
    """Makes the checkpoints of one pass over a file: data synced first, then reported to `Job.checkpoint`."""

    spans: list[Span]
    """The spans of the last checkpoint."""
    _job: Job
    _writer: Writer
    _resources: EngineResources
    _flush: Callable[[], None]
    """Hands received bytes to the writer."""

    async def run(self) -> None:
        """Make checkpoints until cancelled, as often as the disk and the daemon's pace allow. Failure of the disk."""
        while True:
            started_at, received_bytes = time.monotonic(), self._job.meter.received_bytes
            while (left_s := self._left_s(started_at, received_bytes)) > 0:
                if await self._writer.sync_due(min(left_s, SHORTEST_S)):
                    await shielded(self._writer.sync())
            await self._resources.checkpoint_allowed()
            self._flush()
            await self._writer.wait_written()
            await self.checkpoint()

    def _left_s(self, started_at: float, received_bytes: int) -> float:
        """Seconds until the next checkpoint, at the speed since `started_at`: a new connection gets faster by far."""
        elapsed_s = time.monotonic() - started_at
        bytes_per_s = (self._job.meter.received_bytes - received_bytes) / max(elapsed_s, 0.001)
        return pause_s(self._job.size_bytes, bytes_per_s, self._writer.last_sync_s) - elapsed_s

    async def checkpoint(self) -> None:
        """Sync what is written and report it, if it has changed. Not interrupted: checkpoints must stay in order."""
        if self._writer.failure is None and list(self._writer.written) != self.spans:
            await shielded(self._sync_and_report())

    async def _sync_and_report(self) -> None:
        spans = await self._writer.sync()
        await self._job.checkpoint(spans)
        self.spans = spans
