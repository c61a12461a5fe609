"""How many connections the daemon has open at once: it grows while that goes well, and shrinks when servers object."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

FIRST_CONNECTIONS = 32
FEWEST_CONNECTIONS = 4
SHRINK_PAUSE_S = 1.0
"""A burst of refusals is one reason to shrink, not many."""
CAUTION_S = 10.0
"""So long after a refusal slots come back only in rounds of good answers."""


class ConnectionSlots:
    """Slots for connections. In the event loop's thread only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = min(FIRST_CONNECTIONS, most)
        self.used = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._wanted_more = False
        self._good = 0
        self._shrunk_at = -math.inf

    def set_most(self, most: int) -> None:
        """The upper bound, changed while running; who is above it finishes what he has begun."""
        self._most = most
        self.size = max(min(self.size, most), min(FIRST_CONNECTIONS, most))
        self._wake()

    @property
    def is_contended(self) -> bool:
        """Whether somebody waits for a slot: who can spare one should give it."""
        return bool(self._waiting) or self.used > self.size

    def try_take(self, *, first: bool = False) -> bool:
        """A slot, if one is free and nobody waits for it.

        A file's `first` one is bounded by the setting only: on a slow line it could wait for minutes until another
        file has one to spare, and would look dead.
        """
        if (self.used < self.size and not self._waiting) or (first and self.used < self._most):
            self.used += 1
            return True
        self._wanted_more = True
        return False

    def wait(self, wake: Callable[[], None]) -> None:
        """`wake` is called once, with a slot taken for it, as soon as one is free."""
        self._wanted_more = True
        self._waiting.append(wake)
        self._wake()

    def leave(self, wake: Callable[[], None]) -> None:
        """Who waits with `wake` waits no more."""
        if wake in self._waiting:
            self._waiting.remove(wake)

    async def take(self) -> None:
        """A slot, in the order of asking."""
        if self.try_take():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def mine() -> None:
            if turn.cancelled():
                self.give()
            else:
                turn.set_result(None)

        self.wait(mine)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()
            else:
                self.leave(mine)
            raise

    def give(self) -> None:
        self.used -= 1
        self._wake()

    def went_well(self) -> None:
        """A request was answered in full. As many of them as there are slots, all slots in use: twice as many.

        Where some wait for a slot, one more at once for each answer, which comes to the same and needs no round.
        """
        if self._waiting and self.size < self._most and time.monotonic() - self._shrunk_at > CAUTION_S:
            self.size += 1
            self._good = 0
            self._wake()
            return
        self._good += 1
        if self._good >= self.size and self._wanted_more and self.size < self._most:
            self.size = min(self._most, 2 * self.size)
            self._good = 0
            self._wanted_more = False
            self._wake()

    def objected(self) -> None:
        """A server said that it is too much (429, 503): half as many, slowly more again."""
        now = time.monotonic()
        self._good = 0
        if now - self._shrunk_at >= SHRINK_PAUSE_S:
            self._shrunk_at = now
            self.size = max(min(FEWEST_CONNECTIONS, self._most), self.size // 2)

    def _wake(self) -> None:
        while self._waiting and self.used < self.size:
            self.used += 1
            self._waiting.popleft()()
