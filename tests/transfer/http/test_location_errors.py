"""What follows from each error of HTTP: a new URL, a start over, a failure, or a wait."""

from __future__ import annotations

import pytest

from hfdmd.failure import Failure
from hfdmd.net.origin import Target
from hfdmd.transfer.http import location as location_module
from hfdmd.transfer.http.http_errors import (
    BadRange,
    BadRedirect,
    BadResponse,
    ConnectionFailed,
    RangeIgnored,
    ServerBusy,
    UrlRefused,
)
from hfdmd.transfer.http.location import MAX_IGNORED_RANGES, Location
from hfdmd.transfer.slots import FIRST_CONNECTIONS, ConnectionSlots
from hfdmd.transfer.transport import StartOver, TransferError
from hfdmd.wire.types import Reason


class Harness:
    """A location that judges errors, and the waits that it made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.located = 0
        self.slots = ConnectionSlots(128)
        self.location = Location(self._locate, self.slots)
        self.waits: list[int] = []

        def backoff_s(attempt: int, **_: float) -> float:
            self.waits.append(attempt)
            return 0.0

        monkeypatch.setattr(location_module, "backoff_s", backoff_s)
        monkeypatch.setattr(location_module, "RELOCATE_S", 0.0)

    async def _locate(self) -> Target:
        self.located += 1
        return Target(f"https://hub.example/{self.located}")

    async def redirected(self) -> None:
        await self.location.get()
        self.location.remember_direct("https://cdn.example/", {}, self.location.generation)

    async def after(self, error: TransferError, attempt: int = 0, *, others: bool = False, kept: bool = False) -> None:
        generation = self.location.generation
        await self.location.recover(error, generation, attempt, others_progress=others, has_bytes=kept)


@pytest.fixture
async def harness(monkeypatch: pytest.MonkeyPatch) -> Harness:
    return Harness(monkeypatch)


async def test_a_lost_connection_is_retried_at_the_same_url_after_a_wait(harness: Harness) -> None:
    await harness.redirected()
    for attempt in range(10):
        await harness.after(ConnectionFailed("lost"), attempt)
    assert harness.waits == list(range(10))
    assert harness.location.url == "https://cdn.example/"


async def test_a_refused_url_is_renewed_the_redirect_first(harness: Harness) -> None:
    await harness.redirected()
    await harness.after(UrlRefused("403"))
    assert harness.location.url == "https://hub.example/1", "the redirect is followed again"
    await harness.after(UrlRefused("403"), 1)
    assert harness.location.url is None, "the Hub is asked again"
    await harness.after(UrlRefused("403"), 2)
    with pytest.raises(Failure) as failed:
        await harness.after(UrlRefused("403"), 3)
    assert failed.value.reason is Reason.HUB_UNAVAILABLE
    assert harness.waits == [1, 2], "the first new URL is tried at once"


async def test_errors_of_an_old_url_count_once(harness: Harness) -> None:
    for _ in range(10):
        await harness.location.recover(UrlRefused("403"), 0, 0, others_progress=False)
    assert harness.location.generation == 1


async def test_arriving_bytes_forget_earlier_errors(harness: Harness) -> None:
    for _ in range(10):
        await harness.after(UrlRefused("403"))
        harness.location.progressed()
    assert harness.location.generation == 10


@pytest.mark.parametrize("error", [UrlRefused("403"), BadRedirect("loop"), BadResponse("gzip")])
async def test_nothing_is_given_up_while_other_connections_receive_bytes(
    harness: Harness, error: TransferError
) -> None:
    for attempt in range(10):
        await harness.after(error, attempt, others=True)


async def test_the_hub_is_asked_ever_more_seldom_for_urls_that_serve_nothing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By all connections together: those that others refused meanwhile wait as well."""
    slept: list[int] = []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds))

    monkeypatch.setattr(location_module.asyncio, "sleep", sleep)
    monkeypatch.setattr(location_module, "RELOCATE_S", 1.0)
    location = harness.location
    for _ in range(6):
        await location.get()
        generation = location.generation
        for _ in range(3):
            await location.recover(UrlRefused("403"), generation, 0, others_progress=True)
    assert slept == [seconds for seconds in (1, 2, 4, 8, 8) for _ in range(3)], "the first new URL is asked for at once"
    location.served(generation)
    assert location._useless, "a late answer of an old URL says nothing about the present one"
    location.served(location.generation)
    await harness.after(UrlRefused("403"), others=True)
    assert len(slept) == 15, "an expired URL is renewed at once"


@pytest.mark.parametrize(("has_bytes", "forgiven"), [(False, 1), (True, 3)])
async def test_a_server_with_ranges_may_ignore_some(harness: Harness, has_bytes: bool, forgiven: int) -> None:
    harness.location.has_ranged = True
    for attempt in range(forgiven):
        await harness.after(RangeIgnored("200"), attempt, kept=has_bytes)
    assert harness.location.ranged


@pytest.mark.parametrize("has_bytes", [False, True])
async def test_ignored_ranges_end_in_a_start_over_later_if_bytes_are_on_disk(harness: Harness, has_bytes: bool) -> None:
    harness.location.has_ranged = True
    for attempt in range(MAX_IGNORED_RANGES if has_bytes else 1):
        await harness.after(RangeIgnored("200"), attempt, kept=has_bytes)
    with pytest.raises(StartOver):
        await harness.after(RangeIgnored("200"), 9, kept=has_bytes)


async def test_a_server_that_never_sent_ranges_starts_over_at_once(harness: Harness) -> None:
    with pytest.raises(StartOver):
        await harness.after(RangeIgnored("200"))


@pytest.mark.parametrize(
    ("error", "has_bytes", "ranged", "expected"),
    [
        (BadResponse("gzip"), True, True, Failure),
        (BadResponse("gzip"), False, True, StartOver),
        (BadRange("1-2"), True, True, StartOver),
        (BadRange("1-2"), True, False, Failure),
    ],
)
async def test_bad_responses_start_over_only_if_ranges_may_be_the_cause(
    harness: Harness, error: TransferError, has_bytes: bool, ranged: bool, expected: type[Exception]
) -> None:
    harness.location.ranged = ranged
    for attempt in range(2):
        await harness.after(error, attempt, kept=has_bytes)
    with pytest.raises(expected):
        await harness.after(error, 2, kept=has_bytes)


@pytest.mark.parametrize(("status", "shrinks"), [(408, False), (429, True), (500, False), (502, False), (503, True)])
async def test_only_a_server_that_refuses_requests_gets_fewer(harness: Harness, status: int, shrinks: bool) -> None:
    await harness.after(ServerBusy("busy", status, None))
    assert (harness.slots.size < FIRST_CONNECTIONS) is shrinks


async def test_after_a_mismatch_the_hub_is_asked_for_another_url(harness: Harness) -> None:
    await harness.redirected()
    harness.location.content_mismatched()
    assert harness.location.url is None
    await harness.location.get()
    assert harness.located == 2


async def test_a_busy_server_shrinks_the_slots_and_its_own_wait_replaces_the_backoff(harness: Harness) -> None:
    await harness.after(ServerBusy("429", 429, 60.0))
    assert harness.slots.size == FIRST_CONNECTIONS // 2
    assert harness.waits == [], "the next request waits as long as the server asked for"
    await harness.after(ServerBusy("500", 500, None))
    assert harness.waits == [0]
