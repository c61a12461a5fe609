"""How many connections the daemon has: it grows while that goes well, shrinks when servers object, loses no slot."""

from __future__ import annotations

import asyncio
from functools import partial

from hfdmd.transfer.budget import FIRST_CONNECTIONS, Budget
from hfdmd.transfer.pace import LONGEST_S, SHORTEST_S, pause_s
from tests.transfer.bench import MiB, cancelled


def fill(budget: Budget) -> None:
    while budget.try_take():
        pass


def test_grows_by_doubling_when_all_is_used_and_goes_well() -> None:
    budget = Budget(100)
    sizes = [budget.size]
    for _ in range(3):
        fill(budget)
        for _ in range(budget.size):
            budget.went_well()
        sizes.append(budget.size)
    assert sizes == [FIRST_CONNECTIONS, 2 * FIRST_CONNECTIONS, 100, 100]


def test_grows_by_one_for_each_answer_while_some_wait() -> None:
    budget = Budget(100)
    fill(budget)
    woken: list[int] = []
    for number in range(200):
        budget.wait(partial(woken.append, number))
    for count in range(1, 101):
        budget.went_well()
        assert budget.size == min(100, FIRST_CONNECTIONS + count)
        assert len(woken) == budget.size - FIRST_CONNECTIONS == budget.used - FIRST_CONNECTIONS


def test_who_waits_is_woken_too_when_it_grows_after_a_refusal() -> None:
    budget = Budget(100)
    budget.objected()
    size = budget.size
    fill(budget)
    woken: list[int] = []
    for number in range(size):
        budget.wait(partial(woken.append, number))
    for _ in range(size):
        budget.went_well()
    assert budget.size == 2 * size
    assert len(woken) == size


def test_does_not_grow_when_nobody_wants_more() -> None:
    budget = Budget(100)
    assert budget.try_take()
    for _ in range(1000):
        budget.went_well()
    assert budget.size == FIRST_CONNECTIONS


def test_a_burst_of_refusals_halves_once() -> None:
    budget = Budget(100)
    for _ in range(50):
        budget.objected()
    assert budget.size == FIRST_CONNECTIONS // 2


def test_keeps_a_few_and_never_more_than_allowed() -> None:
    budget = Budget(2)
    budget.objected()
    assert budget.size == 2
    fill(budget)
    assert budget.used == 2
    budget.set_most(100)
    assert budget.size == FIRST_CONNECTIONS
    budget.set_most(1)
    assert budget.size == 1
    assert budget.is_contended, "one too many is out"


async def test_slots_are_given_in_the_order_of_asking() -> None:
    budget = Budget(1)
    await budget.take()
    order: list[int] = []

    async def one(number: int) -> None:
        await budget.take()
        order.append(number)
        budget.give()

    tasks = [asyncio.create_task(one(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert budget.is_contended
    budget.give()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert budget.used == 0


async def test_a_cancelled_waiter_loses_no_slot() -> None:
    budget = Budget(1)
    await budget.take()
    waiting = asyncio.create_task(budget.take())
    await asyncio.sleep(0)
    await cancelled(waiting)
    given = asyncio.create_task(budget.take())
    await asyncio.sleep(0)
    budget.give()
    given.cancel()  # it has the slot already, but does not know yet
    await asyncio.wait((given,))
    assert budget.used == 0
    await budget.take()


def test_a_claim_comes_sooner_the_more_is_at_risk() -> None:
    size = 256 * MiB
    assert pause_s(size, float("inf"), 0.0) == SHORTEST_S
    assert pause_s(size, 100.0, 0.0) == LONGEST_S
    assert SHORTEST_S < pause_s(100 * size, 100.0 * MiB, 0.0) < LONGEST_S
    assert pause_s(size, float("inf"), 4.0) == 2.0, "a slow disk is not kept busy with syncs alone"
    assert pause_s(size, 1e6, 1.0) == 0.5, "what is slow for others' sake is claimed as often as it can be"
    assert pause_s(size, 0.0, 0.0) == SHORTEST_S, "the first claim comes soon"
    assert pause_s(None, 1e6, 0.0) == LONGEST_S
