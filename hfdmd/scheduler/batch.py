"""Natural batching: what comes while one call is at work goes together into the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hfdmd.scheduler.threads import settled

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Entry(Generic[Item, Result]):
    item: Item
    result: asyncio.Future[Result]
    finished: bool = False
    left: asyncio.Future[None] | None = None
    """What the caller waits for once it was cancelled while the item is at work."""


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
        self._waiting: list[_Entry[Item, Result]] = []
        self._runner: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        loop = asyncio.get_running_loop()
        entry: _Entry[Item, Result] = _Entry(item, loop.create_future())
        self._waiting.append(entry)
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        # Work that has begun in a thread cannot be taken back: its caller, even a cancelled one, waits for its end.
        try:
            return await entry.result
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif not entry.finished:
                entry.left = loop.create_future()
                self._abandon(item)
                await settled(entry.left)
            raise

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._at_most], self._waiting[self._at_most :]
                try:
                    results = await self._work([entry.item for entry in batch])
                except Exception as error:
                    results = [error] * len(batch)
                for entry, result in zip(batch, results, strict=True):
                    entry.finished = True
                    if entry.left is not None:
                        entry.left.set_result(None)
                    elif not entry.result.done():  # it is when the caller is being cancelled in this moment
                        _tell(entry.result, result)
        finally:
            self._runner = None
            if self._waiting:
                self._runner = asyncio.create_task(self._run())


def _tell(waiting: asyncio.Future[Result], result: Result | Exception) -> None:
    if isinstance(result, Exception):
        waiting.set_exception(result)
    else:
        waiting.set_result(result)
