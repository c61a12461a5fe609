"""Limits how many small files are fetched at once; the most urgent are admitted first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from types import TracebackType

from hfdmd.scheduler.queue import Key


class PrioritySemaphore:
    """Admits as many as there is `room` for, and always at least one. For the event loop only.

    Without it, hundreds of small files would take every free connection from large ones.
    """

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self._inside = 0
        self._waiting: list[tuple[Key, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def slot(self, key: Key) -> _Slot:
        """An asynchronous context manager that holds a slot; smaller keys are admitted first."""
        return _Slot(self, key)

    def refill(self) -> None:
        """Admit waiting callers as far as there is room now."""
        while self._waiting and self._inside < max(1, self._room()):
            *_, slot = heapq.heappop(self._waiting)
            if not slot.done():
                self._inside += 1
                slot.set_result(None)

    async def _enter(self, key: Key) -> None:
        if not self._waiting and self._inside < max(1, self._room()):
            self._inside += 1
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (key, next(self._numbers), slot))
        try:
            await slot
        except asyncio.CancelledError:
            if not slot.cancelled():  # it was admitted at this very moment
                self._leave()
            raise

    def _leave(self) -> None:
        self._inside -= 1
        self.refill()


class _Slot:
    __slots__ = ("_key", "_semaphore")

    def __init__(self, semaphore: PrioritySemaphore, key: Key) -> None:
        self._semaphore = semaphore
        self._key = key

    async def __aenter__(self) -> None:
        await self._semaphore._enter(self._key)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._semaphore._leave()
