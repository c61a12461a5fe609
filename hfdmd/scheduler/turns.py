"""Going through tens of thousands of downloads without holding everybody else up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

_TURN = 100  # some milliseconds


async def by_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """All of them, with a turn for everybody else now and then: what is true of an item may change meanwhile."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _TURN == 0:
            await asyncio.sleep(0)
