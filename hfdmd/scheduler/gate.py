"""A gate for small files: so many fetch at once, the most urgent first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from types import TracebackType

from hfdmd.scheduler.queue import Key


class Gate:
    """Lets as many through as there is `room` for, and always one. In the event loop only.

    A line of hundreds before the connections themselves would take each that a large file could have.
    """

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self._inside = 0
        self._waiting: list[tuple[Key, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def turn(self, key: Key) -> _Turn:
        """`async with` it; the smaller key goes first."""
        return _Turn(self, key)

    def look(self) -> None:
        """There may be more room."""
        while self._waiting and self._inside < max(1, self._room()):
            *_, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._inside += 1
                turn.set_result(None)

    async def _enter(self, key: Key) -> None:
        if not self._waiting and self._inside < max(1, self._room()):
            self._inside += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (key, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was let through in this moment
                self._leave()
            raise

    def _leave(self) -> None:
        self._inside -= 1
        self.look()


class _Turn:
    __slots__ = ("_gate", "_key")

    def __init__(self, gate: Gate, key: Key) -> None:
        self._gate = gate
        self._key = key

    async def __aenter__(self) -> None:
        await self._gate._enter(self._key)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate._leave()
