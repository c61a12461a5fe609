"""Why no byte of a download comes, as far as it is known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from hfdmd.net.retry_after import RetryAfter
from hfdmd.transfer.job import Meter
from hfdmd.wire.types import Reason

STALLED_AFTER_S = 2.5
"""How long no byte has to come until the reason is shown. By then the speed is gone (`speed.LOST_AFTER_S`)."""

Why = tuple[Reason | None, str | None]
"""Reason and detail of a download."""

NOTHING: Why = (None, None)


def why_silent(meter: Meter, retry_after: RetryAfter, now_s: float) -> Why:
    """Nothing while bytes come, for `STALLED_AFTER_S` after the last one, and while no server owes any. Pure."""
    if meter.quiet_since_s is None or now_s - meter.quiet_since_s <= STALLED_AFTER_S:
        return NOTHING
    if meter.last_error is not None:
        return meter.last_error
    if (asked := retry_after.asked_to_wait(meter.url)) is not None:
        return Reason.RATE_LIMITED, asked
    return Reason.STALLED, f"no data from {meter.host} for {now_s - meter.quiet_since_s:.0f} s"


@contextmanager
def asking(meter: Meter, url: str) -> Iterator[None]:
    """Around a question: its server owes an answer."""
    meter.url, meter.quiet_since_s = url, time.monotonic()
    try:
        yield
    finally:
        meter.quiet_since_s = None
