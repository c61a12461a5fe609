"""Blocking work in a thread that is always waited for, cancelled or not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in a thread. A cancelled caller leaves only when the thread is through.

    `asyncio.to_thread` alone would leave at once while the thread goes on writing.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await settled(work)
        raise


async def settled(work: asyncio.Future[T]) -> None:
    """Wait for the end of what cannot be stopped, for a caller on its way out, however often it is cancelled."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    if not work.cancelled():
        work.exception()  # seen
