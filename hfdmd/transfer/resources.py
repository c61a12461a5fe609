"""What all transfers of the daemon share."""

from __future__ import annotations

from dataclasses import dataclass

from hfdmd.transfer.checkpoint import CheckpointPace
from hfdmd.transfer.disk.buffers import BufferPool
from hfdmd.transfer.disk.part_file import IoThreads
from hfdmd.transfer.limiter import Limiter
from hfdmd.transfer.slots import ConnectionSlots

LIMITED_CONNECTION_BYTES_PER_S = 512 * 1024


@dataclass(slots=True)
class EngineResources:
    """Threads, buffers, limits and settings that all transfers of the daemon share."""

    io_threads: IoThreads
    buffers: BufferPool
    limiter: Limiter
    slots: ConnectionSlots
    pace: CheckpointPace
    max_per_file: int = 16
    """Connections of one file, at most."""
    stall_timeout_s: float = 30.0

    @property
    def connections_per_file(self) -> int:
        """Fewer under a low bandwidth limit: few connections suffice, and keep less in the kernel's buffers."""
        rate = self.limiter.bytes_per_s
        return min(self.max_per_file, max(1, rate // LIMITED_CONNECTION_BYTES_PER_S)) if rate else self.max_per_file
