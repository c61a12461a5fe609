"""When a server may be asked again: RateLimit and Retry-After, kept per origin and shared by all requests."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from hfdmd.failure import Failure
from hfdmd.net.origin import host_of, origin
from hfdmd.wire.types import Reason

MAX_WAIT_S = 3600.0
"""Longer Retry-After values are clamped to this."""
MAX_SPREAD_S = 10.0
MAX_ORIGINS = 1000
"""Origins that are remembered: a Hub chooses where its redirects lead."""

_BUSY = frozenset({408, 429})
# "resolvers";r=0;t=87 in draft-ietf-httpapi-ratelimit-headers-09; r and t belong to the same policy
_RATE_LIMIT = re.compile(r'"[^"]*"\s*;\s*r\s*=\s*(\d{1,15})\s*;\s*t\s*=\s*(\d{1,15})')
_SECONDS = re.compile(r"\d{1,15}(\.\d{1,9})?")


@dataclass(slots=True)
class Exemption:
    """Lets the requests of some tasks through although a server asked to wait, until one refuses again."""

    is_spent: bool = False


_EXEMPTION: ContextVar[Exemption | None] = ContextVar("exemption", default=None)


@contextmanager
def exempted(exemption: Exemption | None) -> Iterator[None]:
    """Tasks that are started inside, and theirs, have the exemption."""
    token = _EXEMPTION.set(exemption)
    try:
        yield
    finally:
        _EXEMPTION.reset(token)


def spread_s(wait_s: float) -> float:
    """Random seconds to add to a wait that many have in common: they do not all ask in one moment."""
    return random.uniform(0.0, min(MAX_SPREAD_S, wait_s / 4))  # noqa: S311 - jitter, not a secret


class RetryAfter:
    """The waits that servers asked for, by origin. One per daemon."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._not_before: dict[str, float] = {}

    def note(self, url: str, status: int, headers: Mapping[str, str]) -> float | None:
        """Remember the wait in seconds that a 408, 429 or 5xx response asks for, and return it; None if there is none.

        `RateLimit` applies when it reports that no requests are left, else `Retry-After` (seconds or HTTP-date).
        """
        if status not in _BUSY and not 500 <= status < 600:
            return None
        lower = {name.lower(): value for name, value in headers.items()}
        wait_s = _rate_limit_s(lower.get("ratelimit", ""))
        if wait_s is None:
            wait_s = self._retry_after_s(lower.get("retry-after", "").strip())
        if wait_s is None:
            return None
        if (exemption := _EXEMPTION.get()) is not None:
            exemption.is_spent = True
        wait_s = min(wait_s, MAX_WAIT_S)
        key = origin(url)
        now = self._clock()
        until = max(self._not_before.pop(key, 0.0), now + wait_s)
        if len(self._not_before) >= MAX_ORIGINS:
            self._not_before = {name: end for name, end in self._not_before.items() if end > now}
        if len(self._not_before) >= MAX_ORIGINS:
            del self._not_before[min(self._not_before, key=self._not_before.__getitem__)]
        self._not_before[key] = until
        return wait_s

    def delay_s(self, url: str) -> float:
        """How many seconds requests to this origin must still wait."""
        until = self._not_before.get(origin(url)) if self._not_before else None
        return 0.0 if until is None else max(0.0, until - self._clock())

    def asked_to_wait(self, url: str) -> str | None:
        """A sentence for a server that must not be asked yet; None for one that may."""
        delay_s = self.delay_s(url) if url else 0.0
        return _asked(url, delay_s) if delay_s > 0 else None

    async def wait(self, url: str, at_most_s: float) -> None:
        """Sleep until the server may be asked. Failure(RATE_LIMITED) when that takes more than `at_most_s`.

        Returns at once in a task that is exempted.
        """
        exemption = _EXEMPTION.get()
        while (delay_s := self.delay_s(url)) > 0 and (exemption is None or exemption.is_spent):
            if delay_s > at_most_s:
                raise Failure(Reason.RATE_LIMITED, _asked(url, delay_s), retry_after_s=delay_s)
            await asyncio.sleep(delay_s + spread_s(delay_s))

    def _retry_after_s(self, value: str) -> float | None:
        if not value:
            return None
        if _SECONDS.fullmatch(value):
            return float(value)
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - self._wall())
        except (ValueError, OverflowError, OSError):
            return None


def _asked(url: str, delay_s: float) -> str:
    return f"{host_of(url)} asked for no requests for another {delay_s:.0f} s"


def _rate_limit_s(value: str) -> float | None:
    """The longest reset time among the exhausted policies; None when none is exhausted."""
    return max((float(reset) for left, reset in _RATE_LIMIT.findall(value) if int(left) == 0), default=None)


def backoff_s(attempt: int, *, base_s: float = 1.0, cap_s: float = 300.0) -> float:
    """Seconds to wait before retry number `attempt` (from 0), with full jitter, so that clients do not synchronize."""
    return random.uniform(0.0, min(cap_s, base_s * 2.0 ** min(attempt, 30)))  # noqa: S311 - jitter, not a secret
