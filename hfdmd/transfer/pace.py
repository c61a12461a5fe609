"""How often transfers sync and claim: often enough that a kill costs little, seldom enough to cost little."""

from __future__ import annotations

import asyncio
import time

SHORTEST_S = 0.1
SYNC_SHARE = 4
"""A sync is followed by a pause of at least this many times its own length."""
CLAIMS_PER_S = 20.0
"""For the whole daemon: each claim is a tracker file written and synced."""


class Pace:
    """Turns for claims, shared by all transfers."""

    def __init__(self) -> None:
        self._pause_s = SHORTEST_S
        self._next_at = 0.0

    async def turn(self) -> None:
        """Sleep until it is time for another claim of this transfer."""
        await asyncio.sleep(self._pause_s)
        now = time.monotonic()
        mine = max(now, self._next_at)
        self._next_at = mine + 1.0 / CLAIMS_PER_S
        if mine > now:
            await asyncio.sleep(mine - now)

    def took(self, seconds: float) -> None:
        """A sync and its claim lasted so long."""
        self._pause_s = max(SHORTEST_S, min(2.0, SYNC_SHARE * seconds))
