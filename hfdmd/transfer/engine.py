"""The transfer engine: what the scheduler calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hfdmd.aio import cancel_and_wait, shielded
from hfdmd.config import Limits
from hfdmd.net.origin import RedirectPolicy
from hfdmd.net.retry_after import RetryAfter
from hfdmd.transfer.choice import TransportChoice, preferred
from hfdmd.transfer.disk.buffers import BufferPool
from hfdmd.transfer.disk.part_file import IoThreads, PartFile
from hfdmd.transfer.fetch import OpenPart, fetch_file, fetch_small
from hfdmd.transfer.http.http_transport import HttpShared, HttpTransport
from hfdmd.transfer.job import Fetched, Job, XetFile
from hfdmd.transfer.limiter import Limiter
from hfdmd.transfer.resources import EngineResources
from hfdmd.transfer.slots import ConnectionSlots
from hfdmd.transfer.transport import Transport
from hfdmd.transfer.xet.cas_client import CasClient
from hfdmd.transfer.xet.delta import Delta
from hfdmd.transfer.xet.recipes import RecipeStore
from hfdmd.transfer.xet.xet_transport import XetTransport
from hfdmd.wire.types import TransportName

HOUSEKEEPING_S = 5.0


class Engine:
    """One per daemon, created and used in the event loop. `open_part` lets tests simulate disks and crashes."""

    def __init__(
        self,
        retry_after: RetryAfter,
        policy: RedirectPolicy,
        limits: Limits,
        user_agent: str,
        *,
        open_part: OpenPart = PartFile,
        recipes: RecipeStore | None = None,
    ) -> None:
        slots = ConnectionSlots(limits.max_connections)
        self._http = HttpShared(retry_after, policy, user_agent, slots)
        self._cas = CasClient(self._http)
        self._delta = None if recipes is None else Delta(self._cas, recipes)
        self._transport_setting = limits.transport
        self._limiter = Limiter()
        self._open_part = open_part
        self._resources = EngineResources(IoThreads(), BufferPool(), self._limiter, slots)
        self._running: set[asyncio.Task[Any]] = set()
        self._housekeeper: asyncio.Task[None] | None = None
        self._probed_at: dict[str, float] = {}
        self.apply(limits)

    def apply(self, limits: Limits) -> None:
        """Apply settings, also to running transfers."""
        self._http.stall_timeout_s = self._resources.stall_timeout_s = limits.stall_timeout_s
        self._resources.max_per_file = limits.max_connections_per_file
        self._resources.slots.set_limit(limits.max_connections)
        self._transport_setting = limits.transport
        self._limiter.set_rate(limits.bandwidth_bytes_per_s)
        self._http.pool.set_bandwidth(limits.bandwidth_bytes_per_s)

    async def fetch(self, job: Job) -> Fetched:
        """Fetch all bytes into `job.part`, verify the hash and sync the data.

        Raises Failure when it cannot continue now, or at all. After a failure or a cancellation all connections are
        closed, received bytes are written, synced and checkpointed, and nothing is read or written any more.
        """
        with self._tracked():
            return await fetch_file(job, self._choice(job), self._resources, self._open_part)

    async def fetch_small(self, job: Job) -> bytearray:
        """Fetch and verify a file of at most `SMALL_FILE_BYTES` in memory; uses no disk. Failure as in `fetch`."""
        with self._tracked():
            return await fetch_small(job, self._choice(job), self._resources)

    async def reusable_bytes(self, xet: XetFile, size_bytes: int) -> int:
        """How many bytes of a file could be copied from others on this machine. Asks the store of Xet."""
        if self._delta is None or self._transport_setting == "http":
            return 0
        with self._tracked():
            return await self._delta.reusable_bytes(xet, size_bytes)

    def _choice(self, job: Job) -> TransportChoice:
        """The transports for this file."""
        makers: dict[TransportName, Callable[[], Transport]] = {
            "http": lambda: HttpTransport(self._http, job.locate, job.size_bytes, has_digest=job.digest is not None)
        }
        xet, size_bytes = job.xet, job.size_bytes
        if xet is not None and size_bytes:
            makers["xet"] = lambda: XetTransport(self._cas, xet, size_bytes, self._resources)
        return preferred(job, self._transport_setting, makers, self._delta)

    def unresponsive_s(self) -> float:
        """How many seconds a thread pool has not responded, 0.0 if all do. Call it every few seconds.

        Detects a disk that hangs, while the event loop still runs.
        """
        now = time.monotonic()
        io_threads = self._resources.io_threads
        for name, pool in (("write", io_threads.writers), ("sync", io_threads.syncers), ("hash", io_threads.hashers)):
            if name not in self._probed_at:
                self._probed_at[name] = now
                pool.submit(self._probed_at.pop, name, None)
        return max((now - probed_at for probed_at in list(self._probed_at.values())), default=0.0)

    async def close(self) -> None:
        """Cancel running transfers, close all connections and end the threads."""
        await shielded(self._close())

    async def _close(self) -> None:
        await cancel_and_wait(self._running.copy())
        if self._housekeeper is not None:
            await cancel_and_wait({self._housekeeper})
        self._limiter.close()
        await self._http.pool.close()
        await asyncio.get_running_loop().run_in_executor(None, self._resources.io_threads.shutdown)

    @contextmanager
    def _tracked(self) -> Iterator[None]:
        """Around everything that opens connections: `close` cancels it, and the housekeeping task runs meanwhile."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("not in a task")
        self._running.add(task)
        if self._housekeeper is None or self._housekeeper.done():
            self._housekeeper = asyncio.create_task(self._housekeeping())
        try:
            yield
        finally:
            self._running.discard(task)

    async def _housekeeping(self) -> None:
        """Runs until there is nothing left to free, so that an idle daemon never wakes up."""
        while self._running or self._http.pool.has_idle or self._resources.buffers.has_spare:
            await asyncio.sleep(HOUSEKEEPING_S)
            self._http.pool.reap()
            self._resources.buffers.trim()
