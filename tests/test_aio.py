"""Batches: items that arrive during a batch go into the next, callers wait for theirs. Long loops yield."""

from __future__ import annotations

import asyncio
import time

import pytest

from hfdmd.aio import Batcher, yielding


class Work:
    """Doubles numbers, when it is told to; odd ones below zero are refused."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()

    async def __call__(self, items: list[int]) -> list[int | Exception]:
        self.batches.append(items)
        await self.go.wait()
        return [ValueError(str(item)) if item < 0 else 2 * item for item in items]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_meanwhile_goes_together_and_each_has_its_own_result() -> None:
    work = Work()
    batch = Batcher(work, at_most=3)
    calls = [asyncio.create_task(batch(item)) for item in (1, 2, -3, 4, 5)]
    await turns()
    work.go.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [result for result in results if isinstance(result, int)] == [2, 4, 8, 10]
    assert isinstance(results[2], ValueError)
    assert work.batches == [[1, 2, -3], [4, 5]]


async def test_who_leaves_before_the_work_is_not_worked_for() -> None:
    work = Work()
    abandoned: list[int] = []
    batch = Batcher(work, abandon=abandoned.append)
    first = asyncio.create_task(batch(1))
    await turns()
    second = asyncio.create_task(batch(2))
    await turns()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    work.go.set()
    assert await first == 2
    assert work.batches == [[1]]
    assert abandoned == []


async def test_who_leaves_while_it_is_at_work_waits_for_its_end() -> None:
    work = Work()
    abandoned: list[int] = []
    batch = Batcher(work, abandon=abandoned.append)
    calls = [asyncio.create_task(batch(item)) for item in (1, 2)]
    await turns()
    calls[0].cancel()
    await turns()
    calls[0].cancel()  # even the impatient
    await turns()
    assert not calls[0].done()
    assert abandoned == [1]
    work.go.set()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    assert await calls[1] == 4


@pytest.mark.parametrize("first", ["cancel", "end"])
async def test_who_leaves_in_the_moment_of_its_end_does_not_wait_for_ever(first: str) -> None:
    work = Work()
    batch = Batcher(work)
    call = asyncio.create_task(batch(1))
    await turns()
    if first == "cancel":
        call.cancel()
        work.go.set()
    else:
        work.go.set()
        call.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_work_that_fails_as_a_whole_fails_for_each_and_the_next_batch_goes_on() -> None:
    async def fails(items: list[int]) -> list[int | Exception]:
        if 1 in items:
            raise OSError("the disk")
        return list(items)

    batch = Batcher(fails)
    results = await asyncio.gather(batch(1), batch(2), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    assert await batch(3) == 3


async def test_others_get_their_turn_between_slow_items() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    seen = []
    async for number in yielding(range(5)):
        time.sleep(0.005)  # noqa: ASYNC251 - work that holds the loop
        seen.append((number, turns))
    task.cancel()
    assert seen == [(number, number) for number in range(5)]
