"""Waits end at their time, once each, and a later wait replaces an earlier one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hfdmd.failure import Failure
from hfdmd.record import rfc3339
from hfdmd.scheduler.retries import DISK_RETRY_S, RETRY_CAP_S, RetryTimes, wait_s
from hfdmd.wire.types import Reason


def test_the_other_side_decides_how_long_to_wait() -> None:
    assert wait_s(Failure(Reason.RATE_LIMITED, "", retry_after_s=17.5), 9) == 17.5


def test_a_full_disk_is_looked_at_again_and_again() -> None:
    assert wait_s(Failure(Reason.DISK_FULL, ""), 1) == wait_s(Failure(Reason.DISK_FULL, ""), 50) == DISK_RETRY_S


@given(st.integers(0, 10_000))
def test_the_backoff_is_bounded(attempt: int) -> None:
    assert 0 < wait_s(Failure(Reason.NETWORK, ""), attempt) <= RETRY_CAP_S


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abc"), st.integers(0, 20)),
        st.tuples(st.just("discard"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("time"), st.just(""), st.integers(0, 20)),
    ),
    max_size=40,
)


@given(STEPS)
def test_an_id_is_due_once_and_at_its_last_time(steps: list[tuple[str, str, int]]) -> None:
    times = RetryTimes()
    due: dict[str, float] = {}
    now = 0.0
    for number, (step, key, value) in enumerate(steps):
        if step == "add":
            due[key] = now + value
            times.add(key, rfc3339(number), due[key])
        elif step == "discard":
            due.pop(key, None)
            times.discard(key)
        else:
            now += value
            expected = sorted((at, one) for one, at in due.items() if at <= now)
            assert sorted((due.pop(one), one) for one in times.take_due(now)) == expected
        assert times.next_s() == (min(due.values()) if due else None)
        assert len(times) == len(due)


def test_the_same_wait_again_changes_nothing() -> None:
    times = RetryTimes()
    times.add("a", "t", 5.0)
    times.add("a", "t", 9.0)
    assert times.next_s() == 5.0
