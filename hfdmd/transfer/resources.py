"""What all transfers of the daemon share."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from hfdmd.transfer.disk.buffers import BufferPool
from hfdmd.transfer.disk.part_file import IoThreads
from hfdmd.transfer.limiter import Limiter
from hfdmd.transfer.slots import ConnectionSlots

LIMITED_CONNECTION_BYTES_PER_S = 512 * 1024
CHECKPOINTS_PER_S = 20.0
"""For the whole daemon: each checkpoint writes and syncs a tracker file."""


@dataclass(slots=True)
class EngineResources:
    """Threads, buffers, limits and settings that all transfers of the daemon share."""

    io_threads: IoThreads
    buffers: BufferPool
    limiter: Limiter
    slots: ConnectionSlots
    max_per_file: int = 16
    """Connections of one file, at most."""
    stall_timeout_s: float = 30.0
    _next_checkpoint_at: float = 0.0

    @property
    def connections_per_file(self) -> int:
        """Fewer under a low bandwidth limit: few connections suffice, and keep less in the kernel's buffers."""
        rate = self.limiter.bytes_per_s
        return min(self.max_per_file, max(1, rate // LIMITED_CONNECTION_BYTES_PER_S)) if rate else self.max_per_file

    async def checkpoint_allowed(self) -> None:
        """Wait until the daemon may make another checkpoint."""
        now = time.monotonic()
        at = max(now, self._next_checkpoint_at)
        self._next_checkpoint_at = at + 1.0 / CHECKPOINTS_PER_S
        if at > now:
            await asyncio.sleep(at - now)
