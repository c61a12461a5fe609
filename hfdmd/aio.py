"""Helpers for asyncio: threads that are waited for, work that survives cancellation, fairness, natural batching."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")

_YIELD_AFTER_S = 0.003


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in a thread. A cancelled caller leaves only when the thread has ended.

    `asyncio.to_thread` alone would return at once while the thread goes on writing.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await wait_done(work)
        raise


async def wait_done(work: asyncio.Future[T]) -> None:
    """Wait for the end of work that cannot be stopped, however often the caller is cancelled meanwhile."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    if not work.cancelled():
        work.exception()  # marks it as retrieved, so that asyncio does not log it


async def shielded(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end even when the caller is cancelled; then pass the cancellation on.

    Raises what `work` raises; a cancellation that arrived meanwhile takes precedence over it.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and task.exception() is None:
            raise cancelled
        raise cancelled from task.exception() if not task.cancelled() else None
    return task.result()


async def cancel_and_wait(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel the tasks and return when they have ended; their exceptions are discarded."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def yielding(items: Iterable[T]) -> AsyncIterator[T]:
    """Iterate over many items and yield to the event loop every few milliseconds.

    The state of an item may change between two steps. `items` itself must not change: pass a list where other tasks
    may add or remove items.
    """
    until = time.monotonic() + _YIELD_AFTER_S
    for item in items:
        yield item
        if time.monotonic() >= until:
            await asyncio.sleep(0)
            until = time.monotonic() + _YIELD_AFTER_S


@dataclass(slots=True, eq=False)
class _Entry(Generic[Item, Result]):
    item: Item
    result: asyncio.Future[Result]
    finished: bool = False
    left: asyncio.Future[None] | None = None
    """Set when the caller was cancelled while the item is processed: it waits for this."""


class Batcher(Generic[Item, Result]):
    """Natural batching: calls `work` with all items that wait, never two calls at a time. A single item is not delayed.

    `work` returns one result per item; a result that is an exception is raised at the caller of that item.
    `abandon` is called with an item whose caller was cancelled while the item is processed.
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
        # Work that has begun in a thread cannot be taken back: its caller waits for the end, even when cancelled.
        try:
            return await entry.result
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif not entry.finished:
                entry.left = loop.create_future()
                self._abandon(item)
                await wait_done(entry.left)
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
                    elif not entry.result.done():  # done when the caller is being cancelled at this moment
                        _resolve(entry.result, result)
        finally:
            self._runner = None
            if self._waiting:
                self._runner = asyncio.create_task(self._run())


def _resolve(future: asyncio.Future[Result], result: Result | Exception) -> None:
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
