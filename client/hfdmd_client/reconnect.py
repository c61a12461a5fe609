"""How long a client waits for a daemon that does not answer. Pure except for the clock."""

from __future__ import annotations

import random
import time

from hfdmd.wire.errors import ApiError
from hfdmd_client.errors import DaemonUnreachable, WaitTimeout

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0


class Backoff:
    """Exponential waits with jitter. Gives up when no daemon has answered for `give_up_after_s` (None: never).

    `deadline` is a limit set by the caller, in `time.monotonic` seconds, or None.
    """

    def __init__(self, give_up_after_s: float | None, deadline: float | None = None) -> None:
        self._give_up_after_s = give_up_after_s
        self.deadline = deadline
        self._attempt = 0
        self._unreachable_since: float | None = None

    def answered(self) -> None:
        """To be called when the daemon has answered: the next wait is short again."""
        self._attempt = 0
        self._unreachable_since = None

    @property
    def unreachable_s(self) -> float:
        """For how long no daemon has answered."""
        return 0.0 if self._unreachable_since is None else time.monotonic() - self._unreachable_since

    def wait_s(self, error: Exception | None = None) -> float:
        """How long to wait now. Raises `DaemonUnreachable` after `give_up_after_s`, `WaitTimeout` past the deadline."""
        if self._unreachable_since is None:
            self._unreachable_since = time.monotonic()
        if self._give_up_after_s is not None and self.unreachable_s >= self._give_up_after_s:
            raise DaemonUnreachable(
                f"The daemon has not answered for {self._give_up_after_s:.0f} s. Downloads continue when it runs"
                " again: start it with `hfdmd`, or check with `hfdm doctor`."
            ) from error
        if isinstance(error, ApiError) and error.retry_after_s:
            wait_s = min(float(error.retry_after_s), LONGEST_WAIT_S)
        else:
            wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - spread
        self._attempt = min(self._attempt + 1, 16)
        return self.limited(wait_s)

    def limited(self, wait_s: float) -> float:
        """`wait_s`, or less when the deadline is nearer. Raises `WaitTimeout` past the deadline."""
        if self.deadline is None:
            return wait_s
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise WaitTimeout("not done within the time limit; the download continues")
        return min(wait_s, left_s)


def deadline(timeout_s: float | None) -> float | None:
    """The `time.monotonic` value `timeout_s` seconds from now; None: no limit."""
    return None if timeout_s is None else time.monotonic() + timeout_s


def left_s(until: float | None) -> float | None:
    """The seconds until `until`, 0 when it has passed; None: no limit."""
    return None if until is None else max(0.0, until - time.monotonic())
