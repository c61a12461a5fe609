"""One bandwidth limit for the whole daemon: a token bucket, shared out fairly between downloads.

Fair means deficit round robin with equal weights: every flow that waits gets the same share of each refill, however
many connections it has; what one flow cannot use the others get.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable

DEPTH_S = 0.1
"""How much may be saved up: 2 % of what five seconds allow."""
REFILL_S = 0.02
MIN_GRANT_BYTES = 1024
_UNLIMITED = 1 << 62


class Limiter:
    """Grants bytes to whoever is about to read. In the event loop's thread only; `bytes_per_s` 0 is no limit."""

    def __init__(self, bytes_per_s: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate = bytes_per_s
        self._tokens = 0.0
        self._filled_at = clock()
        self._flows: OrderedDict[str, deque[tuple[int, Callable[[int], None]]]] = OrderedDict()
        self.allowances: set[Allowance] = set()
        """What readers have been granted and may not have read yet."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def bytes_per_s(self) -> int:
        return self._rate

    def set_rate(self, bytes_per_s: int) -> None:
        """The new limit holds from now on: who waits is served by it, and what a looser one granted is taken back."""
        self._fill()
        is_stricter = bytes_per_s > 0 and not 0 < self._rate <= bytes_per_s
        self._rate = bytes_per_s
        self._tokens = min(self._tokens, self._depth)
        if is_stricter:
            for allowance in list(self.allowances):
                allowance.revoke()
        is_armed = self._timer is not None
        self._disarm()
        self.serve()
        if is_armed and self._flows and self._rate:
            self._arm()

    def take(self, flow: str, want_bytes: int, granted: Callable[[int], None]) -> int:
        """So many bytes may be read now, at most `want_bytes`. 0: wait, `granted` is called once, with a number."""
        if not self._rate:
            return want_bytes
        if not self._flows:
            self._fill()
            if self._tokens >= MIN_GRANT_BYTES:
                grant = min(want_bytes, int(self._tokens), self._largest)
                self._tokens -= grant
                return grant
        self.take_later(flow, want_bytes, granted)
        self._arm()
        return 0

    def take_later(self, flow: str, want_bytes: int, granted: Callable[[int], None]) -> None:
        """Queue for the next `serve`."""
        self._flows.setdefault(flow, deque()).append((want_bytes, granted))

    def give_back(self, count: int) -> None:
        """Granted but not read after all."""
        if self._rate and count > 0:
            self._tokens += count

    def leave(self, flow: str, granted: Callable[[int], None]) -> None:
        """Who waits with `granted` waits no more."""
        waiting = self._flows.get(flow)
        if waiting is None:
            return
        for entry in list(waiting):
            if entry[1] == granted:
                waiting.remove(entry)
        if not waiting:
            del self._flows[flow]

    def close(self) -> None:
        self._disarm()

    @property
    def _depth(self) -> float:
        return max(self._rate * DEPTH_S, MIN_GRANT_BYTES)

    @property
    def _largest(self) -> int:
        """The largest grant to one who need not wait: a quarter of what one refill brings, so that flows take turns."""
        return max(MIN_GRANT_BYTES, int(self._rate * REFILL_S / 4))

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._depth, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now

    def _arm(self) -> None:
        if self._timer is None:
            wait_s = max(REFILL_S, (MIN_GRANT_BYTES - self._tokens) / self._rate)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        self.serve()
        if self._flows and self._rate:
            self._arm()

    def serve(self) -> None:
        """Share out what there is, in turns of equal size, until nothing is left or nobody waits."""
        if not self._rate:
            flows, self._flows = self._flows, OrderedDict()
            for waiting in flows.values():
                for want, granted in waiting:
                    granted(want)
            return
        self._fill()
        while self._flows and self._tokens >= MIN_GRANT_BYTES:
            turn_bytes = max(MIN_GRANT_BYTES, int(self._tokens / len(self._flows)))
            for flow in list(self._flows):
                self._give_turn(flow, turn_bytes)

    def _give_turn(self, flow: str, turn_bytes: int) -> None:
        """So much for one flow, as far as there is some: its readers in the order of asking."""
        waiting = self._flows.get(flow)
        while waiting and min(turn_bytes, self._tokens) >= MIN_GRANT_BYTES:
            want, granted = waiting.popleft()
            grant = min(want, turn_bytes, int(self._tokens))
            self._tokens -= grant
            turn_bytes -= grant
            if waiting:
                self._flows.move_to_end(flow)
            else:
                del self._flows[flow]
            granted(grant)
            waiting = self._flows.get(flow)


class Allowance:
    """What one reader may read now. `wake` is called when there may be some again, after `ask` has said no."""

    __slots__ = ("_flow", "_limiter", "_wake", "bytes", "waits")

    def __init__(self, limiter: Limiter, flow: str, wake: Callable[[], None]) -> None:
        self.bytes = 0
        self.waits = False
        """Whether the limit is what it waits for."""
        self._limiter = limiter
        self._flow = flow
        self._wake = wake
        limiter.allowances.add(self)

    def ask(self, want_bytes: int) -> bool:
        """Whether some may be read, at most `want_bytes`."""
        if self.bytes <= 0 and not self.waits:
            self.bytes = self._limiter.take(self._flow, want_bytes, self._granted)
            self.waits = self.bytes == 0
        return self.bytes > 0

    def exempt(self, count: int) -> None:
        """So many bytes may be read whatever the limit: they have come already."""
        self._leave()
        self.bytes = max(self.bytes, count)
        self._wake()

    def revoke(self) -> None:
        """A stricter limit holds."""
        if self.bytes > 0:
            self.bytes = 0
            self._wake()

    def close(self) -> None:
        """Nothing is read any more."""
        self._limiter.allowances.discard(self)
        self._leave()
        self._limiter.give_back(self.bytes)
        self.bytes = 0

    def _leave(self) -> None:
        if self.waits:
            self._limiter.leave(self._flow, self._granted)
            self.waits = False

    def _granted(self, count: int) -> None:
        self.waits = False
        self.bytes += count
        self._wake()
