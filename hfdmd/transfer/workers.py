"""The workers of one file: how fast each is, who will be last, who is silent."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from hfdmd.transfer.disk.writer import LeaseSink

MIN_STOLEN_BYTES = 256 * 1024
MEASURED_S = 0.5
"""A connection's speed is believed after this."""
STEAL_S = 1.0
"""Who needs so much longer for his rest may lose some of it: what is on its way to him is sent twice, after all."""
QUIET_BESIDE_OTHERS = 1 / 6
"""A connection that is silent for this share of the stall timeout, while others of the file bring bytes, is dropped."""

SLOW_TO_BEGIN = 4
"""An answer that takes so many times as long to begin as usual will not come."""


@dataclass(slots=True, eq=False)
class Worker:
    """One connection's worth of work: what it fetches now, since when and from where, and when it last heard."""

    task: asyncio.Task[None] | None = None
    sink: LeaseSink | None = None
    since: float = 0.0
    began_at: int = 0
    heard_at: float = 0.0

    def begin(self, sink: LeaseSink) -> None:
        """It starts on a lease."""
        self.sink = sink
        self.since = self.heard_at = time.monotonic()
        self.began_at = sink.lease.at

    @property
    def has_heard(self) -> bool:
        """Whether a byte of what it fetches now has come."""
        return self.heard_at > self.since

    @property
    def bytes_per_s(self) -> float:
        """How fast it is with what it fetches now."""
        if self.sink is None:
            return 0.0
        return (self.sink.lease.at - self.began_at) / max(time.monotonic() - self.since, 0.001)

    @property
    def eta_s(self) -> float:
        """How long its rest will take at that speed."""
        return 0.0 if self.sink is None else self.sink.lease.left_bytes / max(self.bytes_per_s, 1.0)


class Workers(set[Worker]):
    """All workers of one file."""

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return {worker.task for worker in self if worker.task is not None}

    @property
    def idle(self) -> int:
        """How many have nothing to fetch at the moment: they begin, or wait after trouble."""
        return sum(1 for worker in self if worker.sink is None)

    @property
    def is_held(self) -> bool:
        """Whether bytes wait for us somewhere: for the disk, or the limit."""
        return any(worker.sink is not None and worker.sink.is_held for worker in self)

    def flush(self) -> None:
        for worker in self:
            if worker.sink is not None:
                worker.sink.flush()

    def usual_bytes_per_s(self) -> float:
        """The median of the workers' speeds."""
        rates = sorted(worker.bytes_per_s for worker in self if worker.sink is not None)
        return rates[len(rates) // 2] if rates else 0.0

    def last_to_finish(self, first_byte_s: float) -> Worker | None:
        """Who will be last, if it pays to take some of his rest away; an answer takes `first_byte_s` to begin."""
        old = time.monotonic() - MEASURED_S
        measured = [
            worker for worker in self if worker.sink is not None and worker.since < old and not worker.sink.is_held
        ]
        worst = max(measured, key=lambda worker: worker.eta_s, default=None)
        if worst is None or worst.sink is None or worst.sink.lease.left_bytes < 2 * MIN_STOLEN_BYTES:
            return None
        return worst if worst.eta_s > 8 * first_byte_s + STEAL_S else None

    def others_progress(self, worker: Worker, stall_timeout_s: float) -> bool:
        """Whether any other has heard something lately."""
        soon = time.monotonic() - QUIET_BESIDE_OTHERS * stall_timeout_s
        return any(other is not worker and other.sink is not None and other.heard_at > soon for other in self)

    def silent(self, stall_timeout_s: float, first_byte_s: float) -> list[Worker]:
        """Those who hear nothing while others do; an answer usually takes `first_byte_s` to begin."""
        latest = max((worker.heard_at for worker in self if worker.has_heard), default=0.0)
        patience_s = QUIET_BESIDE_OTHERS * stall_timeout_s
        first_patience_s = max(patience_s, SLOW_TO_BEGIN * first_byte_s)
        return [
            worker
            for worker in self
            if worker.sink is not None
            and not worker.sink.is_held
            and latest - worker.heard_at > (patience_s if worker.has_heard else first_patience_s)
        ]
