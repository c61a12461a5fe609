"""Calls functions that the caller passed, for blocking programs; `async_callback` is for asyncio programs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def called(function: Callable[[Any], object], value: Any) -> None:
    """Call `function`. Raises TypeError for an async one, which would never run."""
    result = function(value)
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError("on_progress is an async function: use AsyncClient, which awaits it")
