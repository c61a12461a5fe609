"""Going through tens of thousands of downloads without holding everybody else up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

_TURN_S = 0.003


async def by_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """All of them, with a turn for everybody else whenever so much time is gone.

    What is true of an item may change meanwhile, and `items` is not to change: a list, where others may add or remove.
    """
    until = time.monotonic() + _TURN_S
    for item in items:
        yield item
        if time.monotonic() >= until:
            await asyncio.sleep(0)
            until = time.monotonic() + _TURN_S
