"""Ending things properly although somebody cancels."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` until it is done, even when cancelled meanwhile; then the cancellation is passed on.

    What `work` raises is raised; a cancellation that came meanwhile wins over it.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and task.exception() is None:
            raise cancelled
        raise cancelled from task.exception() if not task.cancelled() else None
    return task.result()


async def end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel the tasks and return when they have ended; what they raise then is of no interest any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
