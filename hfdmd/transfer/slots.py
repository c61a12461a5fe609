"""How many connections the daemon opens at once: grows while requests succeed, shrinks when servers refuse."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

FIRST_CONNECTIONS = 32
FEWEST_CONNECTIONS = 4
SHRINK_PAUSE_S = 1.0
"""Several refusals within this time shrink only once."""
CAUTION_S = 10.0
"""For this long after a 429/503, grow only after a full round of successes."""


class ConnectionSlots:
    """Slots for connections. In the event loop's thread only."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.size = min(FIRST_CONNECTIONS, limit)
        self.used = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._more_wanted = False
        self._successes = 0
        self._shrunk_at = -math.inf

    def set_limit(self, limit: int) -> None:
        """Change the upper bound. Connections above it finish their current request."""
        self._limit = limit
        self.size = max(min(self.size, limit), min(FIRST_CONNECTIONS, limit))
        self._wake()

    @property
    def is_contended(self) -> bool:
        """Whether a transfer waits for a slot: one with several connections should release one."""
        return bool(self._waiting) or self.used > self.size

    def try_acquire(self, *, first: bool = False) -> bool:
        """Acquire a slot, if one is free and no other transfer waits for it.

        A file's `first` slot is bounded by the setting only: on a slow line it could wait for minutes until another
        file can spare one, and would look stalled.
        """
        if (self.used < self.size and not self._waiting) or (first and self.used < self._limit):
            self.used += 1
            return True
        self._more_wanted = True
        return False

    def acquire_later(self, wake: Callable[[], None]) -> None:
        """Call `wake` once, with a slot acquired for it, as soon as one is free."""
        self._more_wanted = True
        self._waiting.append(wake)
        self._wake()

    def cancel_wait(self, wake: Callable[[], None]) -> None:
        """Undo `acquire_later`; no effect when `wake` was already called."""
        if wake in self._waiting:
            self._waiting.remove(wake)

    async def acquire(self) -> None:
        """Acquire a slot, first come, first served."""
        if self.try_acquire():
            return
        acquired: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if acquired.cancelled():
                self.release()
            else:
                acquired.set_result(None)

        self.acquire_later(wake)
        try:
            await acquired
        except asyncio.CancelledError:
            if acquired.done() and not acquired.cancelled():
                self.release()
            else:
                self.cancel_wait(wake)
            raise

    def release(self) -> None:
        self.used -= 1
        self._wake()

    def request_succeeded(self) -> None:
        """Grow: double after as many successes as there are slots, if all slots were in use.

        While transfers wait for a slot, add one per success at once: the same growth without waiting for a round.
        """
        if self._waiting and self.size < self._limit and time.monotonic() - self._shrunk_at > CAUTION_S:
            self.size += 1
            self._successes = 0
            self._wake()
            return
        self._successes += 1
        if self._successes >= self.size and self._more_wanted and self.size < self._limit:
            self.size = min(self._limit, 2 * self.size)
            self._successes = 0
            self._more_wanted = False
            self._wake()

    def server_refused(self) -> None:
        """A server answered 429 or 503: halve the number of slots."""
        now = time.monotonic()
        self._successes = 0
        if now - self._shrunk_at >= SHRINK_PAUSE_S:
            self._shrunk_at = now
            self.size = max(min(FEWEST_CONNECTIONS, self._limit), self.size // 2)

    def _wake(self) -> None:
        while self._waiting and self.used < self.size:
            self.used += 1
            self._waiting.popleft()()
