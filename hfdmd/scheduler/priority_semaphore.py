"""A gate for small files: so many fetch at once, the most urgent first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from types import TracebackType

from hfdmd.scheduler.queue import Key


class PrioritySemaphore:
    """Lets as many through as there is `room` for, and always one. In the event loop only.

    A line of hundreds before the connections themselves would take each that a large file could have.
    """

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self._inside = 0
        self._waiting: list[tuple[Key, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def slot(self, key: Key) -> _Slot:
        """`async with` it; the smaller key goes first."""
        return _Slot(self, key)

    def look(self) -> None:
        """There may be more room."""
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
            if not slot.cancelled():  # it was let through in this moment
                self._leave()
            raise

    def _leave(self) -> None:
        self._inside -= 1
        self.look()


class _Slot:
    __slots__ = ("_gate", "_key")

    def __init__(self, gate: PrioritySemaphore, key: Key) -> None:
        self._gate = gate
        self._key = key

    async def __aenter__(self) -> None:
        await self._gate._enter(self._key)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate._leave()
