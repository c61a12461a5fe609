"""Speeds: an average of about five seconds, right from the second sample on, and silent while nothing arrives."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd.scheduler import speed as speed_module
from hfdmd.scheduler.speed import LOST_AFTER_S, Speed, eta_s


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(speed_module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def sampled(clock: Clock, speed: Speed, counts: list[int], every_s: float = 0.25) -> int | None:
    for count in counts:
        clock.now += every_s
        speed.sample(count)
    return speed.bytes_per_second


def test_bytes_of_earlier_attempts_have_no_speed(clock: Clock) -> None:
    assert Speed(700).bytes_per_second is None
    assert sampled(clock, Speed(700), [800]) is None, "in which part of the time they came is not known"
    assert sampled(clock, Speed(700), [800, 900]) == 400


@pytest.mark.parametrize("waited", [0, 1, 8, 100])
def test_a_steady_line_is_right_from_the_second_sample_with_bytes_on(clock: Clock, waited: int) -> None:
    speed = Speed(0)
    sampled(clock, speed, [0] * waited)
    shown = [sampled(clock, speed, [100 + 250 * number]) for number in range(20)]
    assert shown == [None] + [1000] * 19
    count = 100 + 250 * 19
    sampled(clock, speed, [count] * 40)
    shown = [sampled(clock, speed, [count + 100 + 500 * number]) for number in range(20)]
    assert shown == [None] + [2000] * 19, "what was before the outage does not count"


def test_a_change_is_taken_over_slowly(clock: Clock) -> None:
    speed = Speed(0)
    steady = [number * 250 for number in range(1, 41)]
    assert sampled(clock, speed, steady) == 1000
    soon = sampled(clock, speed, [steady[-1] + number * 500 for number in range(1, 5)])
    assert soon is not None
    assert 1100 < soon < 1300, "one second of the double speed counts for about a fifth"
    later = sampled(clock, speed, [steady[-1] + number * 500 for number in range(5, 81)])
    assert later is not None
    assert 1950 < later <= 2000


def test_it_is_silent_when_nothing_arrives_and_speaks_again(clock: Clock) -> None:
    speed = Speed(0)
    sampled(clock, speed, [250, 500])
    sampled(clock, speed, [500] * int(LOST_AFTER_S / 0.25))
    assert speed.bytes_per_second is not None
    assert sampled(clock, speed, [500]) is None
    assert sampled(clock, speed, [750, 1000]) == 1000


def test_between_two_samples_it_does_not_change(clock: Clock) -> None:
    """So that the sample that finds a stall can see that there was a speed before."""
    speed = Speed(0)
    sampled(clock, speed, [250, 500])
    clock.now += 2 * LOST_AFTER_S
    assert speed.bytes_per_second == 1000


def test_what_was_not_sampled_for_long_is_measured_anew(clock: Clock) -> None:
    speed = Speed(0)
    sampled(clock, speed, [250, 500])
    assert sampled(clock, speed, [600], every_s=3600) is None
    assert sampled(clock, speed, [850, 1100]) == 1000


def test_a_counter_that_starts_over_is_never_negative(clock: Clock) -> None:
    speed = Speed(0)
    sampled(clock, speed, [1000, 2000])
    assert sampled(clock, speed, [0]) is None
    assert sampled(clock, speed, [25, 50]) == 100


def test_two_samples_at_one_moment_lose_no_byte(clock: Clock) -> None:
    speed = Speed(0)
    sampled(clock, speed, [100])
    speed.sample(150)
    assert sampled(clock, speed, [300], every_s=1.0) == 200


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_the_average_is_never_outside_what_was_measured(moves: list[int]) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed_module, "time", SimpleNamespace(monotonic=clock.monotonic))
        counts = [sum(moves[: number + 1]) for number in range(len(moves))]
        rate = sampled(clock, Speed(0), counts)
    assert rate is None or min(moves) * 4 - 1 <= rate <= max(moves) * 4 + 1


def test_the_remaining_time_is_rounded_up() -> None:
    assert eta_s(1001, 1000) == 2
    assert eta_s(0, 1000) == 0
    assert eta_s(None, 1000) is eta_s(5, None) is eta_s(5, 0) is None
