"""Speed of a transfer: a moving average that is unknown while nothing arrives."""

from __future__ import annotations

import math
import time

_WINDOW_S = 5.0
STALLED_AFTER_S = 3.0


class Speed:
    """Bytes per second of one counter, smoothed over about five seconds; None while stalled or unknown."""

    __slots__ = ("_bytes", "_moved_at", "_rate", "_sampled_at")

    def __init__(self, count_bytes: int) -> None:
        self._bytes = count_bytes
        self._sampled_at = self._moved_at = time.monotonic()
        self._rate: float | None = None

    def sample(self, count_bytes: int) -> None:
        """Add the counter's present value; to be called a few times a second."""
        now = time.monotonic()
        passed_s = now - self._sampled_at
        if passed_s <= 0:
            return
        moved = count_bytes - self._bytes
        self._bytes, self._sampled_at = count_bytes, now
        if moved < 0:  # started over
            self._rate = None
            return
        if moved:
            self._moved_at = now
        latest = moved / passed_s
        weight = 1 - math.exp(-passed_s / _WINDOW_S)
        self._rate = latest if self._rate is None else self._rate + weight * (latest - self._rate)

    @property
    def bytes_per_second(self) -> int | None:
        if self._rate is None or self._sampled_at - self._moved_at > STALLED_AFTER_S:
            return None
        return round(self._rate)


def eta_s(remaining_bytes: int | None, bytes_per_second: int | None) -> int | None:
    """Seconds until the end at this speed, rounded up; None while unknown."""
    if remaining_bytes is None or not bytes_per_second:
        return None
    return math.ceil(remaining_bytes / bytes_per_second)
