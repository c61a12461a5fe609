"""Connection slots: more while requests succeed, fewer when servers refuse, and none is lost."""

from __future__ import annotations

import asyncio
from functools import partial

from hfdmd.transfer.slots import FIRST_CONNECTIONS, ConnectionSlots
from tests.transfer.bench import cancelled


def fill(slots: ConnectionSlots) -> None:
    while slots.try_acquire():
        pass


def test_grows_by_doubling_when_all_is_used_and_goes_well() -> None:
    slots = ConnectionSlots(100)
    sizes = [slots.size]
    for _ in range(3):
        fill(slots)
        for _ in range(slots.size):
            slots.request_succeeded()
        sizes.append(slots.size)
    assert sizes == [FIRST_CONNECTIONS, 2 * FIRST_CONNECTIONS, 100, 100]


def test_grows_by_one_for_each_answer_while_some_wait() -> None:
    slots = ConnectionSlots(100)
    fill(slots)
    woken: list[int] = []
    for number in range(200):
        slots.acquire_later(partial(woken.append, number))
    for count in range(1, 101):
        slots.request_succeeded()
        assert slots.size == min(100, FIRST_CONNECTIONS + count)
        assert len(woken) == slots.size - FIRST_CONNECTIONS == slots.used - FIRST_CONNECTIONS


def test_who_waits_is_woken_too_when_it_grows_after_a_refusal() -> None:
    slots = ConnectionSlots(100)
    slots.server_refused()
    size = slots.size
    fill(slots)
    woken: list[int] = []
    for number in range(size):
        slots.acquire_later(partial(woken.append, number))
    for _ in range(size):
        slots.request_succeeded()
    assert slots.size == 2 * size
    assert len(woken) == size


def test_does_not_grow_when_nobody_wants_more() -> None:
    slots = ConnectionSlots(100)
    assert slots.try_acquire()
    for _ in range(1000):
        slots.request_succeeded()
    assert slots.size == FIRST_CONNECTIONS


def test_a_burst_of_refusals_halves_once() -> None:
    slots = ConnectionSlots(100)
    for _ in range(50):
        slots.server_refused()
    assert slots.size == FIRST_CONNECTIONS // 2


def test_keeps_a_few_and_never_more_than_allowed() -> None:
    slots = ConnectionSlots(2)
    slots.server_refused()
    assert slots.size == 2
    fill(slots)
    assert slots.used == 2
    slots.set_limit(100)
    assert slots.size == FIRST_CONNECTIONS
    slots.set_limit(1)
    assert slots.size == 1
    assert slots.is_contended, "one too many is out"


async def test_slots_are_given_in_the_order_of_asking() -> None:
    slots = ConnectionSlots(1)
    await slots.acquire()
    order: list[int] = []

    async def one(number: int) -> None:
        await slots.acquire()
        order.append(number)
        slots.release()

    tasks = [asyncio.create_task(one(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert slots.is_contended
    slots.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert slots.used == 0


async def test_a_cancelled_waiter_loses_no_slot() -> None:
    slots = ConnectionSlots(1)
    await slots.acquire()
    waiting = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    await cancelled(waiting)
    given = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    slots.release()
    given.cancel()  # it has the slot already, but does not know yet
    await asyncio.wait((given,))
    assert slots.used == 0
    await slots.acquire()
