"""The workers of one file: the speed of each, which one finishes last, which ones are silent."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from hfdmd.transfer.sinks import LeaseSink

MIN_STOLEN_BYTES = 256 * 1024
MEASURED_S = 0.5
"""A worker's speed is used only after this time."""
STEAL_S = 1.0
"""Steal only from workers with more than this left; bytes in flight are received twice."""
SILENT_SHARE = 1 / 6
"""A worker that is silent for this share of the stall timeout, while others receive bytes, is restarted."""
SLOW_FIRST_BYTE = 4
"""A response that takes this many times as long as usual to start is not expected any more."""


@dataclass(slots=True, eq=False)
class Worker:
    """One connection's task: the lease it fetches, since when and from which offset, and its last byte's time."""

    task: asyncio.Task[None] = field(init=False)
    sink: LeaseSink | None = None
    started_at: float = 0.0
    start_offset: int = 0
    last_byte_at: float = 0.0

    def start(self, sink: LeaseSink) -> None:
        """Record that the worker starts on a lease."""
        self.sink = sink
        self.started_at = self.last_byte_at = time.monotonic()
        self.start_offset = sink.lease.at

    @property
    def has_received(self) -> bool:
        """Whether a byte of the current lease has arrived."""
        return self.last_byte_at > self.started_at

    @property
    def bytes_per_s(self) -> float:
        """Average speed on the current lease."""
        if self.sink is None:
            return 0.0
        return (self.sink.lease.at - self.start_offset) / max(time.monotonic() - self.started_at, 0.001)

    @property
    def eta_s(self) -> float:
        """Seconds until the current lease is complete, at that speed."""
        return 0.0 if self.sink is None else self.sink.lease.left_bytes / max(self.bytes_per_s, 1.0)


class Workers(set[Worker]):
    """All workers of one file."""

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return {worker.task for worker in self}

    @property
    def idle(self) -> int:
        """How many have no lease at the moment: they start, or wait after an error."""
        return sum(1 for worker in self if worker.sink is None)

    @property
    def is_throttled(self) -> bool:
        """Whether any worker waits for this machine: for a buffer or for the bandwidth limit."""
        return any(worker.sink is not None and worker.sink.is_throttled for worker in self)

    def flush(self) -> None:
        for worker in self:
            if worker.sink is not None:
                worker.sink.flush()

    def median_bytes_per_s(self) -> float:
        rates = sorted(worker.bytes_per_s for worker in self if worker.sink is not None)
        return rates[len(rates) // 2] if rates else 0.0

    def last_to_finish(self, first_byte_s: float) -> Worker | None:
        """The worker that will finish last, if stealing from it pays; a response takes `first_byte_s` to start."""
        started_before = time.monotonic() - MEASURED_S
        measured = [
            worker
            for worker in self
            if worker.sink is not None and worker.started_at < started_before and not worker.sink.is_throttled
        ]
        last = max(measured, key=lambda worker: worker.eta_s, default=None)
        if last is None or last.sink is None or last.sink.lease.left_bytes < 2 * MIN_STOLEN_BYTES:
            return None
        return last if last.eta_s > 8 * first_byte_s + STEAL_S else None

    def others_progress(self, worker: Worker, stall_timeout_s: float) -> bool:
        """Whether any other worker has received bytes recently."""
        recent = time.monotonic() - SILENT_SHARE * stall_timeout_s
        return any(other is not worker and other.sink is not None and other.last_byte_at > recent for other in self)

    def silent(self, stall_timeout_s: float, first_byte_s: float) -> list[Worker]:
        """Workers that receive nothing while others do; a response usually takes `first_byte_s` to start."""
        latest = max((worker.last_byte_at for worker in self if worker.has_received), default=0.0)
        timeout_s = SILENT_SHARE * stall_timeout_s
        first_timeout_s = max(timeout_s, SLOW_FIRST_BYTE * first_byte_s)
        return [
            worker
            for worker in self
            if worker.sink is not None
            and not worker.sink.is_throttled
            and latest - worker.last_byte_at > (timeout_s if worker.has_received else first_timeout_s)
        ]
