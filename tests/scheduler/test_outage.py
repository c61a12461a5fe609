"""Why no byte comes: the last error, a wait that the server asked for, or silence; nothing before its time."""

from __future__ import annotations

import pytest

from hfdmd.net.retry_after import RetryAfter
from hfdmd.scheduler.outage import NOTHING, STALLED_AFTER_S, Why, asking, why_silent
from hfdmd.scheduler.sampler import SAMPLE_S
from hfdmd.scheduler.speed import LOST_AFTER_S
from hfdmd.transfer.job import Meter
from hfdmd.wire.types import OUTAGE_REASONS, QUEUED_REASONS, Reason

URL = "https://cdn.example:444/path?signature=secret"
REFUSED = (Reason.NETWORK, "cannot connect to cdn.example:444: connection refused")


@pytest.mark.parametrize(
    ("quiet_s", "error", "wait_s", "expected"),
    [
        (None, REFUSED, 60, NOTHING),
        (0.0, REFUSED, 60, NOTHING),
        (STALLED_AFTER_S, REFUSED, 60, NOTHING),
        (STALLED_AFTER_S + 0.1, REFUSED, 60, REFUSED),
        (4.0, None, 56, (Reason.RATE_LIMITED, "cdn.example asked for no requests for another 56 s")),
        (4.0, None, 0, (Reason.STALLED, "no data from cdn.example for 4 s")),
        (100.4, None, 0, (Reason.STALLED, "no data from cdn.example for 100 s")),
    ],
)
def test_what_is_known_is_said_most_exact_first(
    quiet_s: float | None, error: tuple[Reason, str] | None, wait_s: int, expected: Why
) -> None:
    retry_after = RetryAfter(clock=lambda: 1000.0)
    if wait_s:
        retry_after.note(URL, 429, {"Retry-After": str(wait_s)})
    meter = Meter(url=URL, last_error=error, quiet_since_s=None if quiet_s is None else 1000.0 - quiet_s)
    assert why_silent(meter, retry_after, 1000.0) == expected


def test_where_nothing_was_asked_yet_no_host_is_named() -> None:
    found = why_silent(Meter(quiet_since_s=0.0), RetryAfter(), 5.0)
    assert found == (Reason.STALLED, "no data from the server for 5 s")


def test_a_question_that_is_answered_is_over() -> None:
    meter = Meter()
    with asking(meter, URL):
        assert meter.host == "cdn.example"
        assert meter.quiet_since_s is not None
    assert meter.quiet_since_s is None


def test_a_reason_is_shown_within_three_seconds_and_never_beside_a_speed() -> None:
    assert LOST_AFTER_S + SAMPLE_S <= STALLED_AFTER_S
    assert STALLED_AFTER_S + SAMPLE_S < 3


def test_reasons_of_an_outage_are_reasons_to_wait() -> None:
    assert OUTAGE_REASONS < QUEUED_REASONS
