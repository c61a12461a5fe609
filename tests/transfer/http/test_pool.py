"""The pool keeps a bounded number of connections and addresses, whatever hosts a Hub leads it to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from hfdmd.net.origin import RedirectPolicy
from hfdmd.transfer.http import pool as pool_module
from hfdmd.transfer.http.http_errors import ConnectionFailed
from hfdmd.transfer.http.pool import MAX_IDLE, MAX_NAMES, Pool


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(RedirectPolicy("http://127.0.0.1:1"))
    yield pool
    await pool.close()


class IdleConnection:
    """What the pool sees of an open connection that has served a request."""

    reusable = is_open = True
    unread_bytes = 0
    window = SimpleNamespace(size_bytes=None)

    def __init__(self, host: str, aborted: list[str]) -> None:
        self.key = (f"https://{host}:443", None)
        self.abort = lambda: aborted.append(host)


def connection_to(host: str, aborted: list[str]) -> Any:
    return IdleConnection(host, aborted)


async def test_idle_connections_of_thousands_of_origins_are_bounded(pool: Pool) -> None:
    aborted: list[str] = []
    for number in range(3 * MAX_IDLE):
        pool.release(connection_to(f"{number}.example", aborted))
    assert len({connection.key for connection in pool._idle}) == len(pool._idle) == MAX_IDLE
    assert aborted == [f"{number}.example" for number in range(2 * MAX_IDLE)], "the oldest are closed first"


async def test_idle_connections_of_one_origin_are_bounded(pool: Pool) -> None:
    aborted: list[str] = []
    for _ in range(MAX_IDLE + 10):
        pool.release(connection_to("one.example", aborted))
    assert len(aborted) == 10


@pytest.mark.parametrize(("idle_s", "kept"), [(0.0, True), (19.0, True), (20.0, False), (60.0, False)])
async def test_an_idle_connection_is_closed_before_servers_drop_it(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, idle_s: float, kept: bool
) -> None:
    aborted: list[str] = []
    pool.release(connection_to("one.example", aborted))
    released_at = time.monotonic()
    monkeypatch.setattr(pool_module.time, "monotonic", lambda: released_at + idle_s)
    pool.reap()
    assert pool.has_idle is kept
    assert aborted == ([] if kept else ["one.example"])


@pytest.mark.parametrize(("idle_s", "reused"), [(19.0, True), (20.0, False)])
async def test_a_connection_that_is_idle_for_too_long_is_not_used_again(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, idle_s: float, reused: bool
) -> None:
    aborted: list[str] = []
    idle = connection_to("127.0.0.1", aborted)
    idle.key = ("http://127.0.0.1:1", None)  # nothing listens there
    pool.release(idle)
    released_at = time.monotonic()
    monkeypatch.setattr(pool_module.time, "monotonic", lambda: released_at + idle_s)
    if reused:
        assert await pool.acquire("http://127.0.0.1:1/file", None, 5.0) == (idle, True)
    else:
        with pytest.raises(ConnectionFailed):
            await pool.acquire("http://127.0.0.1:1/file", None, 5.0)
        assert aborted == ["127.0.0.1"]


async def test_addresses_of_thousands_of_hosts_are_bounded(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_addresses", lambda host, port: [])
    for number in range(3 * MAX_NAMES):
        assert await pool._lookup(f"{number}.example", 443) == []
    assert len(pool._names) == MAX_NAMES


async def test_running_lookups_are_bounded(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = asyncio.Event()

    async def resolve(host: str, port: int) -> list[Any]:
        await answers.wait()
        return []

    monkeypatch.setattr(pool, "_resolve", resolve)
    waiting = [asyncio.create_task(pool._lookup(f"{number}.example", 443)) for number in range(MAX_NAMES + 10)]
    await asyncio.sleep(0)
    answers.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(result, ConnectionFailed) for result in results) == 10
    assert len(pool._names) == MAX_NAMES
