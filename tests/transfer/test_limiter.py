"""The bandwidth limit: exact, fair, and changed while it runs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from hfdmd.transfer.limiter import REFILL_S, Allowance, Limiter
from tests.fakehub import HubServer
from tests.transfer.bench import MiB, engine_for, file_download, limits, until


class Readers:
    """Readers that use every grant at once, with a simulated clock."""

    def __init__(self, rate: int) -> None:
        self.now = 0.0
        self.limiter = Limiter(rate, clock=lambda: self.now)
        self.got: dict[str, int] = {}

    def add(self, flow: str, want: int = 1 << 20) -> None:
        """A connection of `flow` that always wants more."""
        self.got.setdefault(flow, 0)

        def read(count: int) -> None:
            self.got[flow] += count
            self.limiter.enqueue(flow, want, read)

        read(0)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += REFILL_S
            self.limiter.distribute()


@pytest.mark.parametrize("rate", [100_000, 1_000_000, 37_000_000, 1_000_000_000])
@pytest.mark.parametrize("connections", [1, 16])
def test_is_exact_within_five_percent_over_five_seconds(rate: int, connections: int) -> None:
    readers = Readers(rate)
    for _ in range(connections):
        readers.add("a")
    readers.run(5.0)
    assert readers.got["a"] == pytest.approx(5 * rate, rel=0.05)


@pytest.mark.parametrize("rate", [100_000, 5_000_000, 1_000_000_000])
def test_is_fair_between_flows_however_many_connections_they_have(rate: int) -> None:
    readers = Readers(rate)
    for _ in range(15):
        readers.add("greedy")
    readers.add("modest")
    readers.add("small reads", want=4096)
    readers.run(5.0)
    assert sum(readers.got.values()) == pytest.approx(5 * rate, rel=0.05)
    assert readers.got["greedy"] == pytest.approx(readers.got["modest"], rel=0.05)
    assert readers.got["small reads"] == pytest.approx(readers.got["modest"], rel=0.1)


def test_a_change_holds_at_once() -> None:
    readers = Readers(10_000_000)
    readers.add("a")
    readers.run(1.0)
    before = readers.got["a"]
    readers.limiter.set_rate(100_000)
    readers.run(5.0)
    assert readers.got["a"] - before == pytest.approx(500_000, rel=0.05)


async def test_lifting_the_limit_lets_everybody_go() -> None:
    limiter = Limiter(100_000)
    granted: list[int] = []
    while limiter.acquire("a", 1 << 20, granted.append):
        pass
    limiter.set_rate(0)
    assert granted == [1 << 20]
    assert limiter.acquire("a", 123, granted.append) == 123
    limiter.close()


async def test_raising_a_very_low_limit_holds_at_once() -> None:
    limiter = Limiter(50)
    granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    assert limiter.acquire("a", 65536, granted.set_result) == 0
    limiter.set_rate(50_000_000)
    assert await asyncio.wait_for(granted, 10) > 0  # at 50 bytes a second it would be 20 s
    limiter.close()


async def test_who_leaves_gets_nothing() -> None:
    limiter = Limiter(1_000_000)
    granted: list[int] = []
    while limiter.acquire("a", 1 << 20, granted.append):
        pass
    limiter.cancel("a", granted.append)
    limiter.cancel("unknown", granted.append)
    limiter.set_rate(0)
    assert granted == []
    limiter.close()


async def test_a_fetch_keeps_to_the_limit_and_follows_a_change(hub: HubServer, tmp_path: Path) -> None:
    """On a real connection only the upper bound is certain: a busy machine may be slower."""
    download = file_download(hub, tmp_path, 40 * MiB)
    async with engine_for(hub, bandwidth_bytes_per_s=2 * MiB) as engine:
        job = download.job()
        task = asyncio.create_task(engine.fetch(job))
        await until(lambda: job.meter.downloaded_bytes > 0)
        began, had = time.monotonic(), job.meter.downloaded_bytes
        await until(lambda: job.meter.downloaded_bytes > had + 3 * MiB)
        lasted = time.monotonic() - began
        assert (job.meter.downloaded_bytes - had) / lasted <= 2 * MiB * 1.15
        engine.apply(limits())
        await task
    assert download.is_right()


async def test_what_a_looser_limit_granted_is_taken_back() -> None:
    limiter = Limiter()
    woken: list[str] = []
    reader = Allowance(limiter, "a", lambda: woken.append("a"))
    assert reader.request(1 << 20)
    limiter.set_rate(1_000_000)
    assert (reader.bytes, woken) == (0, ["a"])
    limiter.set_rate(0)
    assert reader.request(1 << 20)
    limiter.set_rate(2_000_000)
    limiter.refund(50_000)
    assert reader.request(1 << 20)
    granted = reader.bytes
    limiter.set_rate(4_000_000)
    assert reader.bytes == granted, "a looser one takes nothing"
    reader.close()
    limiter.set_rate(1_000)
    assert woken == ["a", "a"], "who is gone is not woken"
    limiter.close()
