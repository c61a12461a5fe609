"""The gate for small files lets so many through as there is room for, the most urgent first, and loses no turn."""

from __future__ import annotations

import asyncio

from hfdmd.scheduler.priority_semaphore import PrioritySemaphore


class Crowd:
    def __init__(self, room: int) -> None:
        self.room = room
        self.gate = PrioritySemaphore(lambda: self.room)
        self.inside: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, urgency: int = 0) -> None:
        self.leave[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._pass(name, urgency))
        await self.turns()

    async def _pass(self, name: str, urgency: int) -> None:
        async with self.gate.slot((-urgency, 0.0, "")):
            self.inside.append(name)
            try:
                await self.leave[name].wait()
            finally:
                self.inside.remove(name)

    async def go(self, name: str) -> None:
        self.leave[name].set()
        await self.turns()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await self.turns()

    async def turns(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_in_the_order_of_coming_and_the_urgent_first() -> None:
    crowd = Crowd(2)
    for name in "abcd":
        await crowd.come(name)
    await crowd.come("urgent", urgency=9)
    assert crowd.inside == ["a", "b"]
    await crowd.go("a")
    assert crowd.inside == ["b", "urgent"]
    await crowd.go("b")
    await crowd.go("urgent")
    assert crowd.inside == ["c", "d"]


async def test_room_that_grows_is_seen_and_one_always_gets_through() -> None:
    crowd = Crowd(0)
    for name in "abc":
        await crowd.come(name)
    assert crowd.inside == ["a"]
    crowd.room = 3
    crowd.gate.refill()
    await crowd.turns()
    assert crowd.inside == ["a", "b", "c"]
    crowd.room = -5
    await crowd.come("d")
    for name in "ab":
        await crowd.go(name)
    assert crowd.inside == ["c"]
    await crowd.go("c")
    assert crowd.inside == ["d"]


async def test_who_is_cancelled_takes_no_turn_along() -> None:
    crowd = Crowd(1)
    for name in "abcd":
        await crowd.come(name)
    await crowd.cancel("b")
    crowd.leave["a"].set()
    crowd.tasks["c"].cancel()  # in the moment in which it would be let through
    await crowd.turns()
    assert crowd.inside == ["d"]
    crowd.leave["d"].set()
    await crowd.come("e")
    assert crowd.inside == ["e"]


async def test_who_is_cancelled_in_the_moment_of_its_turn_hands_it_on() -> None:
    crowd = Crowd(1)
    for name in "abc":
        await crowd.come(name)
    crowd.leave["a"].set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    crowd.tasks["b"].cancel()
    await crowd.turns()
    assert crowd.inside == ["c"]
