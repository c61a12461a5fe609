"""When a server may be asked again."""

from __future__ import annotations

import asyncio
import time
from email.utils import format_datetime

import pytest

from hfdmd.failure import Failure
from hfdmd.net.retry_after import (
    MAX_ORIGINS,
    MAX_SPREAD_S,
    MAX_WAIT_S,
    Exemption,
    RetryAfter,
    backoff_s,
    exempted,
    spread_s,
)
from hfdmd.wire.types import Reason

URL = "https://huggingface.co/a/b"
NOW = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def date(epoch_s: float) -> str:
    from datetime import UTC, datetime

    return format_datetime(datetime.fromtimestamp(epoch_s, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [
        (429, {"RateLimit": '"resolvers";r=0;t=87'}, 87.0),
        (429, {"ratelimit": '"api"; r=0; t=55, "resolvers"; r=0; t=66', "Retry-After": "5"}, 66.0),
        (429, {"RateLimit": '"resolvers";r=12;t=87', "Retry-After": "5"}, 5.0),
        (503, {"Retry-After": "7"}, 7.0),
        (500, {"retry-after": date(NOW + 30)}, 30.0),
        (503, {"Retry-After": date(NOW - 30)}, 0.0),
        (408, {"Retry-After": "1"}, 1.0),
        (429, {"Retry-After": "99999999"}, MAX_WAIT_S),
        (429, {"Retry-After": "soon"}, None),
        (429, {"Retry-After": "-1"}, None),
        (429, {"RateLimit": "garbage"}, None),
        (429, {}, None),
        (404, {"Retry-After": "7"}, None),
        (200, {"RateLimit": '"resolvers";r=0;t=87'}, None),
    ],
)
def test_reads_what_is_asked_for(status: int, headers: dict[str, str], wait_s: float | None) -> None:
    clock = Clock()
    retry_after = RetryAfter(clock, lambda: NOW)
    assert retry_after.note(URL, status, headers) == wait_s
    assert retry_after.delay_s("https://huggingface.co:443/other") == (wait_s or 0.0)
    assert retry_after.delay_s("https://cdn.example/") == 0.0
    clock.now += 10_000
    assert retry_after.delay_s(URL) == 0.0


async def test_a_long_wait_is_a_failure_with_its_length() -> None:
    retry_after = RetryAfter()
    retry_after.note(URL, 429, {"Retry-After": "60"})
    with pytest.raises(Failure) as failed:
        await retry_after.wait(URL, 30)
    assert failed.value.reason is Reason.RATE_LIMITED
    assert failed.value.retry_after_s == pytest.approx(60, abs=1)


async def test_a_short_wait_is_waited_for() -> None:
    retry_after = RetryAfter()
    retry_after.note(URL, 429, {"Retry-After": "0.05"})
    await retry_after.wait(URL, 30)
    assert retry_after.delay_s(URL) == 0.0


async def test_an_exempted_task_and_its_tasks_ask_at_once_until_they_are_refused() -> None:
    retry_after = RetryAfter()
    retry_after.note(URL, 429, {"Retry-After": "60"})
    exemption = Exemption()
    answers: list[str] = []

    async def ask(name: str) -> None:
        try:
            await retry_after.wait(URL, 30)
            answers.append(name)
        except Failure:
            answers.append(f"{name} waits")

    async def work() -> None:
        await ask("first")
        await asyncio.create_task(ask("its task"))
        retry_after.note(URL, 200, {})
        await ask("again")
        retry_after.note(URL, 503, {"Retry-After": "1"})
        await ask("refused")

    with exempted(exemption):
        task = asyncio.create_task(work())
    await ask("other")
    await task
    await ask("other")
    assert answers == ["other waits", "first", "its task", "again", "refused waits", "other waits"]
    assert exemption.is_spent


async def test_those_who_wait_together_do_not_ask_in_one_moment() -> None:
    retry_after = RetryAfter()
    retry_after.note(URL, 429, {"Retry-After": "0.2"})
    began = time.monotonic()
    woke: list[float] = []

    async def wait() -> None:
        await retry_after.wait(URL, 30)
        woke.append(time.monotonic() - began)

    await asyncio.gather(*(wait() for _ in range(100)))
    assert woke[0] >= 0.2
    assert woke[-1] - woke[0] > 0.03, "over up to a quarter of the wait"
    assert 0 <= min(spread_s(1e6) for _ in range(100)) <= max(spread_s(1e6) for _ in range(100)) <= MAX_SPREAD_S


def test_a_shorter_wait_does_not_undo_a_longer_one() -> None:
    retry_after = RetryAfter()
    retry_after.note(URL, 429, {"Retry-After": "60"})
    retry_after.note(URL, 503, {"Retry-After": "1"})
    assert retry_after.delay_s(URL) > 50


def test_backoff_stays_within_its_bounds() -> None:
    assert all(0 <= backoff_s(attempt, base_s=1, cap_s=20) <= min(20, 2**attempt) for attempt in range(100))
    assert 0 <= backoff_s(10_000) <= 300


def test_thousands_of_origins_are_bounded_and_the_longest_waits_stay() -> None:
    clock = Clock()
    retry_after = RetryAfter(clock)
    retry_after.note(URL, 429, {"Retry-After": "3000"})
    for number in range(3 * MAX_ORIGINS):
        retry_after.note(f"https://{number}.example/", 429, {"Retry-After": "60"})
    assert len(retry_after._not_before) == MAX_ORIGINS
    assert retry_after.delay_s(URL) == 3000.0
    clock.now += 61
    retry_after.note("https://one.more.example/", 429, {"Retry-After": "60"})
    assert len(retry_after._not_before) == 2, "waits that are over are forgotten first"
