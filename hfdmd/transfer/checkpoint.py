"""How often a transfer syncs and claims: often enough that a kill costs little, seldom enough to cost little."""

from __future__ import annotations

import asyncio
import time

CLAIMS_PER_S = 20.0
"""For the whole daemon: each claim is a tracker file written and synced."""
SHORTEST_S = 0.05
LONGEST_S = 1.0
SYNC_SHARE = 0.5
"""A sync is followed by a pause of at least this many times its own length.

The disk has to take all that comes anyway; the longer it idles in between, the more is left to sync at the end.
"""
AT_RISK = 0.001
"""What share of a file may have come since its last claim: that is what a kill costs."""


def pause_s(size_bytes: int | None, bytes_per_s: float, last_sync_s: float) -> float:
    """How long to wait before the next claim of a file that comes at this speed.

    `last_sync_s` is how long the last sync lasted.
    """
    if bytes_per_s <= 0:  # nothing is known of the speed yet: the first claim comes soon
        at_risk_s = SHORTEST_S
    else:
        at_risk_s = LONGEST_S if size_bytes is None else AT_RISK * size_bytes / bytes_per_s
    return max(SHORTEST_S, min(LONGEST_S, at_risk_s), SYNC_SHARE * last_sync_s)


class CheckpointPace:
    """The daemon's bound on claims per second, shared by all transfers."""

    def __init__(self) -> None:
        self._next_at = 0.0

    async def turn(self) -> None:
        """Wait until the daemon may make another claim."""
        now = time.monotonic()
        mine = max(now, self._next_at)
        self._next_at = mine + 1.0 / CLAIMS_PER_S
        if mine > now:
            await asyncio.sleep(mine - now)
