"""One bandwidth limit for the whole daemon: a token bucket, shared fairly between downloads.

Fair means deficit round robin with equal weights: every waiting flow gets the same share of each refill, however
many connections it has. What one flow cannot use goes to the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

DEPTH_S = 0.1
"""How much may be saved up: 2 % of what five seconds allow."""
REFILL_S = 0.02
MIN_GRANT_BYTES = 1024


class Limiter:
    """Grants bytes to readers. In the event loop's thread only. `bytes_per_s` 0 means no limit."""

    def __init__(self, bytes_per_s: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.bytes_per_s = bytes_per_s
        self._tokens = 0.0
        self._filled_at = clock()
        self._flows: OrderedDict[str, deque[tuple[int, Callable[[int], None]]]] = OrderedDict()
        self.allowances: set[Allowance] = set()
        """All open allowances: readers may hold grants that they have not used yet."""
        self._timer: asyncio.TimerHandle | None = None

    def set_rate(self, bytes_per_s: int) -> None:
        """Apply a new limit at once, also to waiting readers; a stricter one revokes unused grants."""
        self._fill()
        is_stricter = bytes_per_s > 0 and not 0 < self.bytes_per_s <= bytes_per_s
        self.bytes_per_s = bytes_per_s
        self._tokens = min(self._tokens, self._depth)
        if is_stricter:
            for allowance in list(self.allowances):
                allowance.revoke()
        is_armed = self._timer is not None
        self.close()
        self.distribute()
        if is_armed:
            self._arm()

    def acquire(self, flow: str, want_bytes: int, granted: Callable[[int], None]) -> int:
        """How many bytes may be read now, at most `want_bytes`. 0: wait; `granted` is called once, with a number."""
        if not self.bytes_per_s:
            return want_bytes
        if not self._flows:
            self._fill()
            if self._tokens >= MIN_GRANT_BYTES:
                largest = max(MIN_GRANT_BYTES, int(self.bytes_per_s * REFILL_S / 4))  # so that flows alternate
                grant = min(want_bytes, int(self._tokens), largest)
                self._tokens -= grant
                return grant
        self.enqueue(flow, want_bytes, granted)
        self._arm()
        return 0

    def enqueue(self, flow: str, want_bytes: int, granted: Callable[[int], None]) -> None:
        """Wait for the next `distribute`."""
        self._flows.setdefault(flow, deque()).append((want_bytes, granted))

    def refund(self, count: int) -> None:
        """Return granted bytes that were not read."""
        if self.bytes_per_s and count > 0:
            self._tokens += count

    def cancel(self, flow: str, granted: Callable[[int], None]) -> None:
        """Remove the reader of `granted` from the queue."""
        others = deque(entry for entry in self._flows.get(flow, ()) if entry[1] != granted)
        if others:
            self._flows[flow] = others
        else:
            self._flows.pop(flow, None)

    @property
    def _depth(self) -> float:
        return max(self.bytes_per_s * DEPTH_S, MIN_GRANT_BYTES)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._depth, self._tokens + (now - self._filled_at) * self.bytes_per_s)
        self._filled_at = now

    def _arm(self) -> None:
        if self._timer is None and self._flows and self.bytes_per_s:
            wait_s = max(REFILL_S, (MIN_GRANT_BYTES - self._tokens) / self.bytes_per_s)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def close(self) -> None:
        """Grant nothing any more, until the next `acquire` or `set_rate`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        self.distribute()
        self._arm()

    def distribute(self) -> None:
        """Grant the available bytes in equal shares, until none are left or no reader waits."""
        if not self.bytes_per_s:
            flows, self._flows = self._flows, OrderedDict()
            for waiting in flows.values():
                for want, granted in waiting:
                    granted(want)
            return
        self._fill()
        while self._flows and self._tokens >= MIN_GRANT_BYTES:
            share_bytes = max(MIN_GRANT_BYTES, int(self._tokens / len(self._flows)))
            for flow in list(self._flows):
                self._grant_share(flow, share_bytes)

    def _grant_share(self, flow: str, share_bytes: int) -> None:
        """Grant up to `share_bytes` to one flow, its readers first come, first served."""
        waiting = self._flows.get(flow)
        while waiting and min(share_bytes, self._tokens) >= MIN_GRANT_BYTES:
            want, granted = waiting.popleft()
            grant = min(want, share_bytes, int(self._tokens))
            self._tokens -= grant
            share_bytes -= grant
            if waiting:
                self._flows.move_to_end(flow)
            else:
                del self._flows[flow]
            granted(grant)
            waiting = self._flows.get(flow)


@dataclass(slots=True, eq=False)
class Allowance:
    """How many bytes one reader may read now. `wake` is called when `request` was denied and there are some again."""

    _limiter: Limiter
    _flow: str
    _wake: Callable[[], None]
    bytes: int = 0
    is_waiting: bool = False
    """Whether the reader waits for the bandwidth limit."""

    def __post_init__(self) -> None:
        self._limiter.allowances.add(self)

    def request(self, want_bytes: int) -> bool:
        """Whether some bytes may be read, at most `want_bytes`."""
        if self.bytes <= 0 and not self.is_waiting:
            self.bytes = self._limiter.acquire(self._flow, want_bytes, self._granted)
            self.is_waiting = self.bytes == 0
        return self.bytes > 0

    def exempt(self, count: int) -> None:
        """Allow `count` bytes whatever the limit: this machine has received them already."""
        self._cancel_wait()
        self.bytes = max(self.bytes, count)
        self._wake()

    def revoke(self) -> None:
        """Withdraw an unused grant, because a stricter limit applies."""
        if self.bytes > 0:
            self.bytes = 0
            self._wake()

    def close(self) -> None:
        """Refund an unused grant; no more bytes will be read."""
        self._limiter.allowances.discard(self)
        self._cancel_wait()
        self._limiter.refund(self.bytes)
        self.bytes = 0

    def _cancel_wait(self) -> None:
        if self.is_waiting:
            self._limiter.cancel(self._flow, self._granted)
            self.is_waiting = False

    def _granted(self, count: int) -> None:
        self.is_waiting = False
        self.bytes += count
        self._wake()
