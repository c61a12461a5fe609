"""Rate limits of the test Hub: a virtual clock a limit, so that the average is exact and bursts are small."""

from __future__ import annotations

import time

CATCH_UP_S = 0.05


class Pace:
    """One limit in bytes/s; 0 or less means none. `take` returns the time to wait before sending that much."""

    def __init__(self, bytes_per_s: float = 0) -> None:
        self.bytes_per_s = bytes_per_s
        self._free_at_s = 0.0

    def take(self, size_bytes: int) -> float:
        """Counts `size_bytes` and returns the seconds to wait before sending them."""
        if self.bytes_per_s <= 0:
            return 0.0
        now_s = time.monotonic()
        late = now_s - self._free_at_s < CATCH_UP_S  # a late timer is compensated, idle time is not
        start_s = self._free_at_s if late else now_s
        self._free_at_s = start_s + size_bytes / self.bytes_per_s
        return max(0.0, self._free_at_s - now_s)

    def step(self, most: int) -> int:
        """How much to send at once, so that a limited body is sent evenly."""
        if self.bytes_per_s <= 0:
            return most
        return int(min(most, max(1024, self.bytes_per_s / 50)))
