"""How many connections a file gets: all that are allowed on a slow line, on a fast one as many as make it faster."""

from __future__ import annotations

FIRST_WINDOW_S = 0.025
"""How long the first connection's speed is measured alone."""
WINDOW_S = 0.1
"""How long a speed is measured while there are fewer connections than allowed."""
RETRY_S = 5.0
"""After more connections did not pay, try again no earlier than this."""
FAST_BYTES_PER_S = 100e6
"""A connection of this speed is limited by the two machines rather than by distance or a server's limit."""
ALONE_BYTES_PER_S = 500e6
"""A third of what one thread can hash. One connection of this speed stays alone: a second costs more than it gains."""
ENOUGH_BYTES_PER_S = 750e6
"""Half of what one thread can hash: beyond this, more connections gain little and receive the file out of order."""
MIN_GAIN = 1.5
"""Twice as many connections must receive at least this many times the bytes."""
SLOW_WINDOWS = 2
"""A line that was fast counts as slow after this many slow windows in a row: one may be a pause of this machine."""


class ConnectionScaling:
    """How many connections to open, from the time and the bytes received. Pure: no I/O, no clock.

    Several connections hide distance and a server's limit per connection. Where neither exists, each costs requests
    and task switches, and receives the file out of order, so that the hash must read back what it could have had
    from memory.
    """

    def __init__(self) -> None:
        self.wanted: int | None = 1
        """None: as many as are allowed."""
        self._window_started_at: float | None = None
        self._received_bytes = 0
        self._throttle_count = 0
        self._was_throttled = False
        self._slow_windows = 0
        self._window_s = FIRST_WINDOW_S
        self._retry_at = 0.0
        self._before: tuple[int, float] | None = None  # connections and speed before the present try

    @property
    def window_s(self) -> float | None:
        """How often to call `measure`; None when there is nothing left to find out."""
        return None if self.wanted is None else self._window_s

    @property
    def has_measured(self) -> bool:
        """Whether `wanted` is more than a first guess."""
        return self.wanted is None or self._window_s > FIRST_WINDOW_S

    def grow_fully(self) -> None:
        """Use all connections that are allowed, without measuring."""
        self.wanted = None

    def measure(self, now: float, received_bytes: int, throttle_count: int, *, is_throttled: bool) -> None:
        """Update `wanted`; `received_bytes` have arrived by `now` (seconds). Call it every `window_s`.

        `throttle_count` is how often receiving has waited for the disk, the hash or a limit so far, `is_throttled`
        whether it does now: a window with such a wait says nothing about the line.
        """
        started_at, received_before_bytes = self._window_started_at, self._received_bytes
        if self.wanted is None or not received_bytes or (started_at is not None and now - started_at < self._window_s):
            return
        waited = throttle_count != self._throttle_count or is_throttled or self._was_throttled
        self._window_started_at, self._received_bytes = now, received_bytes
        self._throttle_count, self._was_throttled = throttle_count, is_throttled
        if started_at is None:
            return
        had_measured, self._window_s = self.has_measured, WINDOW_S
        if waited:  # the line was faster than this machine: one slow window later is not the line's
            self._undo_try(now)
            return
        bytes_per_s = (received_bytes - received_before_bytes) / (now - started_at)
        if bytes_per_s < FAST_BYTES_PER_S:
            self._slow_windows += 1
            if not had_measured or self._slow_windows >= SLOW_WINDOWS:
                self.wanted = None
            return
        self._slow_windows = 0
        enough_bytes_per_s = ALONE_BYTES_PER_S if self.wanted == 1 else ENOUGH_BYTES_PER_S
        if self._before is not None and bytes_per_s < MIN_GAIN * self._before[1]:
            self._undo_try(now)
        elif had_measured and now >= self._retry_at and bytes_per_s < enough_bytes_per_s:
            self.wanted, self._before = 2 * self.wanted, (self.wanted, bytes_per_s)

    def _undo_try(self, now: float) -> None:
        """Return to the number of connections before the present try, if there is one."""
        if self._before is not None:
            self.wanted, self._before = self._before[0], None
            self._retry_at = now + RETRY_S
