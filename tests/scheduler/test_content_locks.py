"""Content locks: one holder per name, in order, and nothing is kept of a lock that is not used."""

from __future__ import annotations

import asyncio

import pytest

from hfdmd.scheduler.content_locks import ContentLocks


async def test_one_name_is_held_once_and_passed_on_in_order() -> None:
    locks, inside, order = ContentLocks(), 0, []

    async def hold(number: int) -> None:
        nonlocal inside
        async with locks.hold("a"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            order.append(number)
            inside -= 1

    await asyncio.gather(*(hold(number) for number in range(5)))
    assert order == list(range(5))
    assert locks._locks == {}


async def test_other_names_do_not_wait() -> None:
    locks = ContentLocks()
    async with locks.hold("a"), locks.hold("b"):
        assert len(locks._locks) == 2
    assert locks._locks == {}


async def test_a_cancelled_waiter_leaves_the_lock_to_the_next() -> None:
    locks, has_it = ContentLocks(), asyncio.Event()

    async def hold() -> None:
        async with locks.hold("a"):
            has_it.set()

    async with locks.hold("a"):
        gives_up, waits = asyncio.create_task(hold()), asyncio.create_task(hold())
        await asyncio.sleep(0)
        gives_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gives_up
        assert not has_it.is_set()
    await waits
    assert has_it.is_set()
    assert locks._locks == {}


async def test_work_that_fails_releases_its_lock() -> None:
    locks = ContentLocks()
    with pytest.raises(RuntimeError):
        async with locks.hold("a"):
            raise RuntimeError
    async with locks.hold("a"):
        pass
