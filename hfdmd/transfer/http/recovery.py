"""What to do after an error of HTTP: wait, ask for a new URL, start over, or fail with the cause."""

from __future__ import annotations

import asyncio
from collections import Counter

from hfdmd.failure import Failure
from hfdmd.net.retry_after import backoff_s
from hfdmd.transfer.http.http_errors import (
    BadRange,
    BadRedirect,
    BadResponse,
    RangeIgnored,
    RangeRefused,
    ServerBusy,
    UrlRefused,
)
from hfdmd.transfer.http.location import Location
from hfdmd.transfer.slots import ConnectionSlots
from hfdmd.transfer.transfer_errors import StartOver, TransferError
from hfdmd.wire.types import Reason

BACKOFF_BASE_S = 0.2
BACKOFF_CAP_S = 8.0
MAX_IGNORED_RANGES = 3
"""A server that sent ranges before, and sends the whole file more often than this in a row, stopped sending ranges."""


class Recovery:
    """Judges the errors of one file. Errors are counted by type until bytes arrive."""

    def __init__(self, location: Location, slots: ConnectionSlots) -> None:
        self._location = location
        self._slots = slots
        self._strikes: Counter[type[TransferError]] = Counter()

    def progressed(self) -> None:
        """Bytes arrived."""
        if self._strikes:
            self._strikes.clear()

    async def after(
        self, error: TransferError, generation: int, attempt: int, *, others_progress: bool, has_bytes: bool = False
    ) -> None:
        """See `Transport.recover`."""
        current = generation == self._location.generation
        strike = 0
        if current:
            self._strikes[type(error)] += 1
            strike = self._strikes[type(error)]
        if isinstance(error, ServerBusy) and error.status in (429, 503):
            self._slots.server_refused()
        if current:
            self._judge(error, strike, others_progress, has_bytes)
        if isinstance(error, ServerBusy) and (error.wait_s or 0.0) >= BACKOFF_CAP_S:
            return  # the next request waits as long as the server asked for
        if isinstance(error, UrlRefused | RangeIgnored | RangeRefused | BadResponse) and strike <= 1 and not attempt:
            return  # a new URL is worth an immediate try; bytes of other workers say nothing about this one's next ones
        await asyncio.sleep(backoff_s(attempt, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S))

    def _judge(self, error: TransferError, strike: int, others_progress: bool, has_bytes: bool) -> None:
        location = self._location
        match error:
            case UrlRefused():
                if strike > 3 and not others_progress:
                    raise Failure(Reason.HUB_UNAVAILABLE, f"{error.detail}, even with a new URL")
                location.forget(redirect_only=strike == 1 and location.was_redirected)
            case BadRedirect():
                if strike > 1 and not others_progress:
                    raise Failure(Reason.HUB_UNAVAILABLE, error.detail)
                location.forget()
            case RangeIgnored():
                if strike > (MAX_IGNORED_RANGES if has_bytes else 1) or not (location.has_ranged or has_bytes):
                    raise StartOver(error.detail)
                location.forget()
            case RangeRefused() | BadResponse():
                if strike > 2 and not others_progress:
                    ranges_are_the_cause = isinstance(error, BadRange) or not has_bytes
                    if not location.ranged or not ranges_are_the_cause:
                        raise Failure(Reason.HUB_UNAVAILABLE, error.detail)
                    raise StartOver(error.detail)
                location.forget()
