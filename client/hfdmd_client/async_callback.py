"""Calls functions that the caller passed, for asyncio programs; `callback` is for blocking programs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


async def called(function: Callable[[Any], object], value: Any) -> None:
    """Call `function`; an async one is awaited, so that the next state waits for it."""
    result = function(value)
    if inspect.isawaitable(result):
        await result
