"""Waits end at their time, once each, or when the network is back; a later wait replaces an earlier one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd.failure import Failure
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, rfc3339
from hfdmd.scheduler import retries as retries_module
from hfdmd.scheduler.retries import DISK_RETRY_S, RETRY_CAP_S, RetryTimes, wait_s
from hfdmd.wire.types import Reason, Status
from tests.scheduler.parts import Wired, file_of, until


def test_the_other_side_decides_how_long_to_wait() -> None:
    waits = [wait_s(Failure(Reason.RATE_LIMITED, "", retry_after_s=16.0), 9) for _ in range(1000)]
    assert 16 <= min(waits) < 16.4, "a little longer, so that not all start in one moment"
    assert 19.6 < max(waits) <= 20


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


def waiting(wired: Wired, name: str, reason: Reason, left_s: float = 1000.0) -> FileRecord:
    record = file_of(name, asked_singly=True, number=ord(name))
    wired.enter(record)
    wired.made.ledger.change(record, Stimulus.WAIT, reason=reason, retry_at=rfc3339(time.time() + left_s))
    return record


async def test_an_answer_ends_the_waits_for_the_network_alone(wired: Wired) -> None:
    offline, limited = waiting(wired, "a", Reason.NETWORK), waiting(wired, "b", Reason.RATE_LIMITED)
    resumed, changed = waiting(wired, "c", Reason.NETWORK), waiting(wired, "e", Reason.NETWORK)
    wired.made.ledger.change(resumed, Stimulus.RETRY)
    gone = waiting(wired, "d", Reason.NETWORK)
    version = resumed.version
    wired.retries.network_is_back()
    wired.made.ledger.forget(gone)
    wired.made.ledger.change(changed, Stimulus.WAIT, reason=Reason.LOCKED, retry_at=changed.retry_at)
    await until(lambda: offline.retry_at is None)
    assert limited.retry_at is not None
    assert changed.retry_at is not None, "it waits for something else by now"
    assert resumed.version == version
    assert wired.made.queue.next_unit(()) is offline
    assert (offline.state, offline.reason) == (Status.QUEUED, Reason.NETWORK), "why it waited stays visible"


async def test_a_wait_ends_at_its_time_and_the_next_one_is_armed(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    wired.admit()
    soon, later = waiting(wired, "a", Reason.NETWORK, 0.001), waiting(wired, "b", Reason.LOCKED, 500)
    await until(lambda: soon.retry_at is None)
    await until(lambda: wired.made.running.is_running(soon))
    assert later.retry_at is not None
    assert wired.retries._timer is not None
    now = time.monotonic()
    monkeypatch.setattr(retries_module.time, "monotonic", lambda: now + 501)
    wired.retries._due()
    monkeypatch.undo()
    assert later.retry_at is None
    assert wired.retries._timer is None


async def test_a_time_that_has_passed_does_not_hold_up_the_start(wired: Wired) -> None:
    record = waiting(wired, "a", Reason.NETWORK, -5)
    assert record.retry_at is None
    assert wired.made.queue.next_unit(()) is record


async def test_a_clock_that_was_set_far_ahead_does_not_hold_up_for_years(wired: Wired) -> None:
    waiting(wired, "a", Reason.LOCKED, 10 * 365 * 86400)
    next_s = wired.retries._times.next_s()
    assert next_s is not None
    assert next_s - time.monotonic() <= 3600


async def test_after_the_end_no_timer_is_left(wired: Wired) -> None:
    waiting(wired, "a", Reason.LOCKED)
    wired.supervisor.close()
    wired.retries.close()
    assert wired.retries._timer is None
    waiting(wired, "b", Reason.LOCKED)
    assert wired.retries._timer is None
