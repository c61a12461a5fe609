"""Fixtures of the transfer tests."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.fakehub import HubServer


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """No task, no thread of the engine and no part file's descriptor outlives a test."""
    before = asyncio.all_tasks()
    yield
    deadline = time.monotonic() + 5.0
    while _left(before) and time.monotonic() < deadline:  # noqa: ASYNC110 - threads set no events
        await asyncio.sleep(0.01)
    assert not _left(before)


def _left(before: set[asyncio.Task[Any]]) -> list[str]:
    tasks = [repr(task) for task in asyncio.all_tasks() - before - {asyncio.current_task()} if not task.done()]
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("hfdmd-")]
    return tasks + threads + [name for name in _open_files() if ".part" in name]


def _open_files() -> Iterator[str]:
    folder = "/proc/self/fd"
    for descriptor in os.listdir(folder) if os.path.isdir(folder) else []:
        try:
            yield os.readlink(f"{folder}/{descriptor}")
        except FileNotFoundError:
            continue
