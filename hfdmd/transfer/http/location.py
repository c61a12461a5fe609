"""Where one file is, whether its server sends ranges, and what follows from errors of either."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from hfdmd.failure import Failure
from hfdmd.net.origin import Target
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
from hfdmd.transfer.slots import ConnectionSlots
from hfdmd.transfer.transport import StartOver, TransferError
from hfdmd.wire.types import Reason

BACKOFF_BASE_S = 0.2
BACKOFF_CAP_S = 8.0
RELOCATE_S = 0.5
"""The Hub is asked for a third URL this long after a second one has served nothing either, and twice as long each time
after that. The wait is shared by all connections of the file: a server that refuses some of them would otherwise make
each of them ask, many times a second."""
MAX_IGNORED_RANGES = 3
"""A server that sent ranges before, and sends the whole file more often than this in a row, stopped sending ranges."""


class Location:
    """The URL of one file, where its redirects led, and what is known of ranges. `locate` asks for a fresh URL.

    Errors are counted by type until bytes arrive. See `Transport` for the public attributes.
    """

    def __init__(self, locate: Callable[[], Awaitable[Target]], slots: ConnectionSlots) -> None:
        self.on_located: Callable[[], None] | None = None
        self.generation = 0
        self.ranged = True
        self.has_ranged = False
        self._locate = locate
        self._locating = asyncio.Lock()
        self._target: Target | None = None
        self._direct: tuple[str, Mapping[str, str]] | None = None
        self._slots = slots
        self._strikes: Counter[type[TransferError]] = Counter()
        self._useless = 0  # how many URLs in a row served nothing
        self._locate_at = 0.0

    @property
    def url(self) -> str | None:
        """The URL that the next request goes to, if it is known."""
        if self._direct is not None:
            return self._direct[0]
        return None if self._target is None else self._target.url

    async def get(self) -> tuple[str, Mapping[str, str]]:
        """URL and headers for the next request. The Hub is asked once for all callers that wait. Raises Failure."""
        async with self._locating:
            if self._target is None:
                self._target = await self._locate()
                if self.on_located is not None:
                    self.on_located()
            return self._direct or (self._target.url, self._target.headers)

    def remember_direct(self, url: str, headers: Mapping[str, str], generation: int) -> None:
        """Redirects led to `url`; ignored if the location was forgotten after the request started."""
        if generation == self.generation:
            self._direct = (url, headers)

    def served(self, generation: int) -> None:
        """A request for the location of that generation was answered with content."""
        if generation == self.generation:
            self._useless, self._locate_at = 0, 0.0

    def stop_ranging(self) -> None:
        self.ranged = self.has_ranged = False

    def content_mismatched(self) -> None:
        self.ranged = self.ranged and not self.has_ranged
        self._forget()

    def progressed(self) -> None:
        if self._strikes:
            self._strikes.clear()

    async def recover(
        self, error: TransferError, generation: int, attempt: int, *, others_progress: bool, has_bytes: bool = False
    ) -> None:
        """See `Transport.recover`."""
        if isinstance(error, ServerBusy) and error.status in (429, 503):
            self._slots.server_refused()
        strike = 0
        if generation == self.generation:
            self._strikes[type(error)] += 1
            strike = self._strikes[type(error)]
            self._judge(error, strike, others_progress, has_bytes)
        if isinstance(error, ServerBusy) and (error.wait_s or 0.0) >= BACKOFF_CAP_S:
            return  # the next request waits as long as the server asked for
        wait_s = 0.0 if self._target is not None else self._locate_at - time.monotonic()
        # a new URL is worth an immediate try; bytes of other workers say nothing about this one's next ones
        wants_url = isinstance(error, UrlRefused | RangeIgnored | RangeRefused | BadResponse)
        if not wants_url or strike > 1 or attempt:
            wait_s = max(wait_s, backoff_s(attempt, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S))
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def _judge(self, error: TransferError, strike: int, others_progress: bool, has_bytes: bool) -> None:
        match error:
            case UrlRefused():
                if strike > 3 and not others_progress:
                    raise Failure(Reason.HUB_UNAVAILABLE, f"{error.detail}, even with a new URL")
                was_redirected = self._target is not None and self.url != self._target.url
                self._forget(redirect_only=strike == 1 and was_redirected)
            case BadRedirect():
                if strike > 1 and not others_progress:
                    raise Failure(Reason.HUB_UNAVAILABLE, error.detail)
                self._forget()
            case RangeIgnored():
                if strike > (MAX_IGNORED_RANGES if has_bytes else 1) or not (self.has_ranged or has_bytes):
                    raise StartOver(error.detail)
                self._forget()
            case RangeRefused() | BadResponse():
                if strike > 2 and not others_progress:
                    ranges_are_the_cause = isinstance(error, BadRange) or not has_bytes
                    if not self.ranged or not ranges_are_the_cause:
                        raise Failure(Reason.HUB_UNAVAILABLE, error.detail)
                    raise StartOver(error.detail)
                self._forget()

    def _forget(self, *, redirect_only: bool = False) -> None:
        """Ask for a new URL before the next request, or only follow the redirects again."""
        self.generation += 1
        self._direct = None
        if not redirect_only:
            self._target = None
            self._useless += 1
            if self._useless > 1:
                wait_s = min(BACKOFF_CAP_S, RELOCATE_S * 2 ** (self._useless - 2))
                self._locate_at = time.monotonic() + wait_s
