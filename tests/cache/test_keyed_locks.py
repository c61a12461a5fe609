"""Locks by name: shared while in use, forgotten afterwards."""

from __future__ import annotations

import threading

from hfdmd.cache.keyed_locks import KeyedLocks


def test_a_lock_is_shared_while_it_is_used_and_forgotten_afterwards() -> None:
    locks = KeyedLocks()
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.get("a"):
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(10)
    assert not locks.get("a").acquire(blocking=False)
    assert locks.get("b").acquire(blocking=False)
    leave.set()
    holder.join()
    assert locks.get("a").acquire(blocking=False)
    assert len(locks) == 0


def test_thousands_of_keys_leave_nothing() -> None:
    locks = KeyedLocks()
    for number in range(5_000):
        with locks.get(str(number)):
            assert len(locks) == 1
    assert len(locks) == 0
