"""Speed of a transfer: a moving average that is unknown while nothing arrives."""

from __future__ import annotations

import math
import time

_WINDOW_S = 5.0
LOST_AFTER_S = 2.0
"""How long nothing has to arrive until a speed is unknown."""


class Speed:
    """Bytes per second of one counter, averaged over about five seconds; None while stalled or unknown.

    It is measured from the first sample with bytes on, anew after each stall: what came before that sample came in a
    part of its time, which is not known.
    """

    __slots__ = ("_bytes", "_is_measuring", "_moved_at", "_sampled_at", "_weighted_bytes", "_weighted_s")

    def __init__(self, count_bytes: int) -> None:
        self._bytes = count_bytes
        self._sampled_at = self._moved_at = time.monotonic()
        self._stop()

    def _stop(self) -> None:
        self._is_measuring = False
        self._weighted_bytes = self._weighted_s = 0.0

    def sample(self, count_bytes: int) -> None:
        """Add the counter's present value; to be called a few times a second."""
        now = time.monotonic()
        passed_s = now - self._sampled_at
        if passed_s <= 0:
            return
        moved = count_bytes - self._bytes
        self._bytes, self._sampled_at = count_bytes, now
        if moved > 0:
            self._moved_at = now
        if moved < 0 or passed_s > LOST_AFTER_S or now - self._moved_at > LOST_AFTER_S:
            self._stop()  # started over, not looked at for long, or stalled
        if self._is_measuring:
            kept = math.exp(-passed_s / _WINDOW_S)
            self._weighted_bytes = kept * self._weighted_bytes + moved
            self._weighted_s = kept * self._weighted_s + passed_s
        else:
            self._is_measuring = moved > 0

    @property
    def bytes_per_second(self) -> int | None:
        """Changes with a sample only."""
        return round(self._weighted_bytes / self._weighted_s) if self._weighted_bytes else None


def eta_s(remaining_bytes: int | None, bytes_per_second: int | None) -> int | None:
    """Seconds until the end at this speed, rounded up; None while unknown."""
    if remaining_bytes is None or not bytes_per_second:
        return None
    return math.ceil(remaining_bytes / bytes_per_second)
