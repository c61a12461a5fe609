"""How many connections a file gets, on simulated lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hfdmd.transfer.scaling import (
    ALONE_BYTES_PER_S,
    ENOUGH_BYTES_PER_S,
    FAST_BYTES_PER_S,
    FIRST_WINDOW_S,
    RETRY_S,
    WINDOW_S,
    ConnectionScaling,
)

STEP_S = 0.005


class Line:
    """A line whose speed depends on the number of connections, and the scaling that measures it."""

    def __init__(self, bytes_per_s: Callable[[int], float], *, most: int = 16) -> None:
        self.scaling = ConnectionScaling()
        self.now = 100.0
        self.holds = 0
        self.is_held = False
        self._received = 0.0
        self._bytes_per_s = bytes_per_s
        self._most = most

    @property
    def connections(self) -> int:
        return min(self._most, self.scaling.wanted or self._most)

    def run(self, for_s: float) -> int:
        """Run for `for_s` seconds; returns the number of connections then."""
        until = self.now + for_s
        while self.now < until:
            self.now += STEP_S
            self._received += STEP_S * self._bytes_per_s(self.connections)
            self.scaling.measure(self.now, int(self._received), self.holds, is_throttled=self.is_held)
        return self.connections


def test_a_slow_connection_gets_company_at_once() -> None:
    line = Line(lambda connections: 20e6 * connections)
    assert line.run(FIRST_WINDOW_S - STEP_S) == 1
    assert line.run(4 * STEP_S) == 16
    assert line.scaling.window_s is None


def test_nothing_is_judged_before_the_first_byte() -> None:
    line = Line(lambda _: 0.0)
    assert line.run(10) == 1


@pytest.mark.parametrize(("alone", "limit", "least"), [(300e6, 1.2e9, 4), (150e6, 10e9, 8)])
def test_a_fast_line_gets_as_many_as_make_it_faster(alone: float, limit: float, least: int) -> None:
    line = Line(lambda connections: min(limit, alone * connections))
    assert line.run(1.0) >= least


def test_what_does_not_pay_is_given_up_and_tried_again_much_later() -> None:
    line = Line(lambda _: 0.9 * ALONE_BYTES_PER_S)
    assert line.run(FIRST_WINDOW_S + WINDOW_S + 4 * STEP_S) == 2
    assert line.run(WINDOW_S + 2 * STEP_S) == 1
    assert line.run(RETRY_S - 2 * WINDOW_S) == 1
    assert line.run(3 * WINDOW_S) == 2


def test_a_connection_as_fast_as_this_machine_stays_alone() -> None:
    line = Line(lambda connections: 1.1 * ALONE_BYTES_PER_S * connections)
    for _ in range(100):
        assert line.run(WINDOW_S) == 1


def test_several_grow_until_they_bring_enough() -> None:
    line = Line(lambda connections: 0.51 * ENOUGH_BYTES_PER_S * connections)
    assert line.run(1.0) == 2
    assert line.run(RETRY_S) == 2


def test_a_wait_that_began_before_a_window_says_nothing_either() -> None:
    line = Line(lambda _: 20e6)
    line.is_held = True
    line.run(2 * STEP_S)
    line.is_held = False
    assert line.run(WINDOW_S) == 1


def test_a_fast_line_that_becomes_slow_gets_all() -> None:
    speed = 10 * FAST_BYTES_PER_S
    line = Line(lambda _: speed)
    line.run(1.0)
    speed = FAST_BYTES_PER_S / 2
    assert line.run(4 * WINDOW_S) == 16


@pytest.mark.parametrize("is_held", [True, False])
def test_a_slow_disk_is_not_taken_for_a_slow_line(is_held: bool) -> None:
    line = Line(lambda _: 20e6)
    line.is_held = is_held
    for _ in range(100):
        line.holds += not is_held
        assert line.run(2 * STEP_S) == 1


def test_a_try_that_meets_the_disk_is_given_up() -> None:
    line = Line(lambda _: 0.9 * ALONE_BYTES_PER_S)
    assert line.run(FIRST_WINDOW_S + WINDOW_S + 4 * STEP_S) == 2
    line.holds += 1
    assert line.run(WINDOW_S + 2 * STEP_S) == 1


def test_who_need_not_look_has_all_at_once() -> None:
    line = Line(lambda _: 1e9)
    assert not line.scaling.has_measured
    line.scaling.grow_fully()
    assert line.scaling.has_measured
    assert line.run(1.0) == 16
