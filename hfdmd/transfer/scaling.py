"""How many connections a file gets: all that are allowed on a slow line, on a fast one as many as make it faster."""

from __future__ import annotations

LOOK_S = 0.025
"""The first connection has this long to show how fast it is alone."""
WINDOW_S = 0.1
"""How long a speed is measured while there are fewer connections than allowed."""
HOLD_S = 5.0
"""After a try that did not pay the next one comes so much later."""
FAST_BYTES_PER_S = 100e6
"""A connection of this speed is limited by the machines at its ends rather than by distance or a server's share."""
ALONE_BYTES_PER_S = 500e6
"""A third of what one thread can hash. Who brings this alone stays alone: a try costs more than it may bring."""
ENOUGH_BYTES_PER_S = 750e6
"""Half of what one thread can hash: beyond this others bring little, and take the file out of order."""
PAYS = 1.5
"""Twice as many connections must bring at least so many times the bytes."""
SLOW_WINDOWS = 2
"""A line that was fast counts as slow after so many slow windows in a row: one may be a hiccup of this machine."""


class ConnectionScaling:
    """Pure: told the time and the bytes that came, says how many connections to have.

    Several connections hide distance and a server's limit per connection. Where neither is, each costs requests and
    switches between tasks, and takes the file out of order, so that the hash must read back what it could have had
    from memory.
    """

    def __init__(self) -> None:
        self.wanted: int | None = 1
        """None: as many as are allowed."""
        self._began_at: float | None = None
        self._had_bytes = 0
        self._holds = 0
        self._was_held = False
        self._slow_windows = 0
        self._window_s = LOOK_S
        self._hold_until = 0.0
        self._before: tuple[int, float] | None = None  # how many there were before the present try, and their speed

    @property
    def window_s(self) -> float | None:
        """How often to `look`; None when there is nothing left to find out."""
        return None if self.wanted is None else self._window_s

    @property
    def has_looked(self) -> bool:
        """Whether `wanted` is more than a first guess."""
        return self.wanted is None or self._window_s > LOOK_S

    def grow_fully(self) -> None:
        """There is no need to look: it takes all that are allowed."""
        self.wanted = None

    def look(self, now: float, received_bytes: int, holds: int, *, is_held: bool) -> None:
        """`received_bytes` have come by `now`, a time in seconds. To be called now and then.

        `holds` is how often bytes have had to wait for the disk, the hash or a limit so far, `is_held` whether some do
        now: a window in which they had to says nothing about the line.
        """
        if self.wanted is None or not received_bytes:
            return
        if self._began_at is None:
            self._began(now, received_bytes, holds, is_held)
            return
        took_s = now - self._began_at
        if took_s < self._window_s:
            return
        if holds != self._holds or is_held or self._was_held:
            self._window_s = WINDOW_S  # it was faster than this machine for a while: one slow window is not the line's
            self._give_up(now)
            self._began(now, received_bytes, holds, is_held)
            return
        bytes_per_s = (received_bytes - self._had_bytes) / took_s
        self._began(now, received_bytes, holds, is_held)
        looked, self._window_s = self.has_looked, WINDOW_S
        if bytes_per_s < FAST_BYTES_PER_S:
            self._slow_windows += 1
            if not looked or self._slow_windows >= SLOW_WINDOWS:
                self.wanted = None
            return
        self._slow_windows = 0
        if self._before is not None and bytes_per_s < PAYS * self._before[1]:
            self._give_up(now)
        elif looked and now >= self._hold_until and bytes_per_s < self._enough_bytes_per_s:
            self.wanted, self._before = 2 * self.wanted, (self.wanted, bytes_per_s)

    @property
    def _enough_bytes_per_s(self) -> float:
        return ALONE_BYTES_PER_S if self.wanted == 1 else ENOUGH_BYTES_PER_S

    def _began(self, now: float, received_bytes: int, holds: int, is_held: bool) -> None:
        self._began_at, self._had_bytes, self._holds, self._was_held = now, received_bytes, holds, is_held

    def _give_up(self, now: float) -> None:
        """The present try, if there is one, does not pay."""
        if self._before is not None:
            self.wanted, self._before = self._before[0], None
            self._hold_until = now + HOLD_S
