"""The transfer engine: what the scheduler calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hfdmd.aio import shielded
from hfdmd.config import Limits
from hfdmd.net.origin import RedirectPolicy
from hfdmd.net.retry_after import RetryAfter
from hfdmd.transfer.checkpoint import CheckpointPace
from hfdmd.transfer.disk.buffers import BufferPool
from hfdmd.transfer.disk.part_file import IoThreads, PartFile
from hfdmd.transfer.fetch import OpenPart, fetch_file
from hfdmd.transfer.http.http_transport import HttpShared
from hfdmd.transfer.job import Fetched, Job
from hfdmd.transfer.limiter import Limiter
from hfdmd.transfer.resources import EngineResources
from hfdmd.transfer.slots import ConnectionSlots
from hfdmd.transfer.small import fetch_small

HOUSEKEEPING_S = 5.0


def _receive_buffer_bytes(limits: Limits) -> int | None:
    """What the kernel may hold of each connection under a limit, so that it does not run far ahead of it.

    A fifth of a second's worth for all sixteen of a file, enough for a server 100 ms away; more where that is little.
    """
    rate = limits.bandwidth_bytes_per_s
    return None if not rate else max(16 << 10, min(256 << 10, rate // 8), rate // 80)


class Engine:
    """One per daemon, made and used in the event loop. `open_part` is for tests of what a crash leaves."""

    def __init__(
        self,
        retry_after: RetryAfter,
        policy: RedirectPolicy,
        limits: Limits,
        user_agent: str,
        *,
        open_part: OpenPart = PartFile,
    ) -> None:
        self._http = HttpShared(retry_after, policy, user_agent)
        self._limiter = Limiter()
        self._open_part = open_part
        self._resources = EngineResources(
            IoThreads(), BufferPool(), self._limiter, ConnectionSlots(limits.max_connections), CheckpointPace()
        )
        self._running: set[asyncio.Task[Any]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._asked_at: dict[str, float] = {}
        self.apply(limits)

    def apply(self, limits: Limits) -> None:
        """Settings, now and whenever they change; what runs goes on under the new ones."""
        self._http.stall_timeout_s = self._resources.stall_timeout_s = limits.stall_timeout_s
        self._resources.max_per_file = limits.max_connections_per_file
        self._resources.slots.set_limit(limits.max_connections)
        self._limiter.set_rate(limits.bandwidth_bytes_per_s)
        self._http.pool.set_receive_buffer(_receive_buffer_bytes(limits))

    async def fetch(self, job: Job) -> Fetched:
        """Bring all bytes into `job.part`, their hash right, the data synced.

        Failure when it cannot go on now, or at all. Whenever it ends otherwise than well, all connections are
        closed, what came is written, synced and claimed, and afterwards not a byte is read or written.
        """
        with self._working():
            return await fetch_file(job, self._http, self._resources, self._open_part)

    async def fetch_small(self, job: Job) -> bytearray:
        """A file of at most `SMALL_FILE_BYTES` in memory, verified; touches no disk. Failure as in `fetch`."""
        with self._working():
            return await fetch_small(job, self._http, self._resources.slots, self._limiter)

    def beat(self) -> float:
        """For how many seconds a pool of threads has not answered; to be called every few seconds.

        A disk that hangs shows here, while the loop goes on.
        """
        now = time.monotonic()
        io_threads = self._resources.io_threads
        for name, pool in (("write", io_threads.writers), ("sync", io_threads.syncers), ("hash", io_threads.hashers)):
            if name not in self._asked_at:
                self._asked_at[name] = now
                pool.submit(self._asked_at.pop, name, None)
        return max((now - asked for asked in list(self._asked_at.values())), default=0.0)

    async def close(self) -> None:
        """End what still runs (as a cancel does), close all connections and end the threads."""
        await shielded(self._close())

    async def _close(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._limiter.close()
        await self._http.pool.close()
        await asyncio.get_running_loop().run_in_executor(None, self._resources.io_threads.shutdown)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Around every fetch: while there are any, somebody keeps house, and `close` knows whom to end."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("not in a task")
        self._running.add(task)
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._housekeeping())
        try:
            yield
        finally:
            self._running.discard(task)

    async def _housekeeping(self) -> None:
        """Until there is nothing left to keep: an idle daemon never wakes up."""
        while self._running or self._http.pool.has_idle or self._resources.buffers.has_spare:
            await asyncio.sleep(HOUSEKEEPING_S)
            self._http.pool.reap()
            self._resources.buffers.trim()
