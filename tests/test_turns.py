"""Going through much: others get their turn after some milliseconds, however long each item takes."""

from __future__ import annotations

import asyncio
import time

from hfdmd.scheduler.turns import by_turns


async def test_others_get_their_turn_between_slow_items() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    seen = []
    async for number in by_turns(range(5)):
        time.sleep(0.005)  # noqa: ASYNC251 - work that holds the loop
        seen.append((number, turns))
    task.cancel()
    assert seen == [(number, number) for number in range(5)]
