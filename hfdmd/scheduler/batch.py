"""Natural batching: what comes while one call is at work goes together into the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from hfdmd.scheduler.threads import settled

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Calls `work` with all that waits, never two at a time. One item alone waits for nobody.

    `work` returns one result an item; a result that is an exception is raised at that item's caller.
    `abandon` is told of an item whose caller was cancelled while it is at work.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Awaitable[list[Result | Exception]]],
        at_most: int = 256,
        abandon: Callable[[Item], None] = lambda _: None,
    ) -> None:
        self._work = work
        self._abandon = abandon
        self._at_most = at_most
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._runner: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        # Work that has begun in a thread cannot be taken back: its caller, even a cancelled one, waits for its end.
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            waiting = [entry for entry in self._waiting if entry[1] is future]
            if waiting:
                self._waiting.remove(waiting[0])
                future.cancel()
            else:
                self._abandon(item)
                await settled(future)
            raise

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._at_most], self._waiting[self._at_most :]
                try:
                    results = await self._work([item for item, _ in batch])
                except Exception as error:
                    results = [error] * len(batch)
                for (_, future), result in zip(batch, results, strict=True):
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._runner = None
            if self._waiting:
                self._runner = asyncio.create_task(self._run())
