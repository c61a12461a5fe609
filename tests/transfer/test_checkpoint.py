"""Checkpoints: their spans are on disk, whatever a crash discards, and a kill or a pause costs next to nothing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from hfdmd.record import Span
from hfdmd.transfer.checkpoint import LONGEST_S, SHORTEST_S, pause_s
from hfdmd.transfer.disk.part_file import PartFile
from hfdmd.transfer.spans import Spans
from tests.fakehub import HubServer
from tests.transfer.bench import FILE, MiB, cancelled, engine_for, file_download, signed_url, unread_bytes, until


class ForgetfulPart(PartFile):
    """A file that records what a power loss would leave: bytes written before the start of a completed sync."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lock = threading.Lock()
        self._written: list[Span] = []
        self.durable = Spans()

    def resize(self, size_bytes: int) -> None:
        super().resize(size_bytes)
        with self._lock:
            self.durable.remove(size_bytes, 1 << 60)

    def write(self, data: memoryview, offset: int, *, is_read_back: bool = True) -> None:
        super().write(data, offset, is_read_back=is_read_back)
        with self._lock:
            self._written.append((offset, offset + len(data)))

    def sync(self) -> None:
        with self._lock:
            before = list(self._written)
        super().sync()
        with self._lock:
            for start, end in before:
                self.durable.add(start, end)

    def lose_power(self, size_bytes: int) -> None:
        """Everything that was not synced is garbage."""
        with self.path.open("r+b") as file:
            for start, end in self.durable.missing(size_bytes):
                file.seek(start)
                file.write(b"\xa5" * (end - start))


def missing(claimed: Sequence[Span], durable: Spans) -> int:
    """How many checkpointed bytes are not durable."""
    left = Spans(claimed)
    for start, end in durable:
        left.remove(start, end)
    return left.total_bytes


async def test_a_line_that_gets_faster_is_checkpointed_at_its_new_speed(hub: HubServer, tmp_path: Path) -> None:
    """At a speed that was measured while a connection started, the next checkpoint came a second later."""
    download = file_download(hub, tmp_path, 64 * MiB)
    hub.rate_bytes_per_s = 50_000
    async with engine_for(hub) as engine:
        job = download.job()
        fetching = asyncio.create_task(engine.fetch(job))
        await until(lambda: bool(download.synced))
        hub.rate_bytes_per_s = 16 * MiB
        await until(lambda: job.meter.downloaded_bytes > 10 * MiB)
        assert Spans(download.synced).total_bytes > 2 * MiB
        await cancelled(fetching)


async def test_what_is_claimed_survives_the_loss_of_everything_unsynced(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 24 * MiB)
    hub.rate_bytes_per_s = 16 * MiB
    parts: list[ForgetfulPart] = []
    lies: list[int] = []

    def open_part(path: Path) -> PartFile:
        parts.append(ForgetfulPart(path))
        if len(parts) > 1:
            parts[-1].durable = parts[-2].durable  # it was on disk before
        return parts[-1]

    async def checkpoint(spans: list[Span]) -> None:
        lies.append(missing(spans, parts[-1].durable))
        await download.checkpoint(spans)

    async with engine_for(hub, open_part=open_part) as engine:
        for _ in range(2):
            task = asyncio.create_task(engine.fetch(download.job(checkpoint=checkpoint)))
            before = len(download.checkpoints)
            await until(lambda before=before: len(download.checkpoints) > before + 2)  # type: ignore[misc]
            claimed = list(download.synced)
            await cancelled(task)
            download.checkpoints.append(claimed)  # the daemon died before the next checkpoint
            parts[-1].lose_power(24 * MiB)
            parts[-1].durable = Spans(claimed)
            kept = parts[-1].durable.total_bytes
        await until(lambda: not any(request.open for request in hub.log))
        hub.clear_log()
        await engine.fetch(download.job(checkpoint=checkpoint))
    assert len(lies) > 4
    assert not any(lies)
    assert download.is_right()
    assert hub.sent_bytes(FILE) <= 24 * MiB - kept + 2 * MiB, "the claim was not believed, or wrong"


@pytest.mark.slow
async def test_fifty_pauses_cost_next_to_nothing(hub: HubServer, tmp_path: Path) -> None:
    size = 48 * MiB
    download = file_download(hub, tmp_path, size)
    hub.rate_bytes_per_s = 12 * MiB
    async with engine_for(hub) as engine:
        for number in range(50):
            job = download.job()
            task = asyncio.create_task(engine.fetch(job))
            goal = size * (number + 1) // 52
            await until(lambda job=job, goal=goal: job.meter.downloaded_bytes >= goal)  # type: ignore[misc]
            hub.freeze()  # a busy machine could receive much more before the pause than it can read
            await until(lambda: not unread_bytes(engine))
            await cancelled(task)
            assert sum(end - start for start, end in download.synced) == job.meter.downloaded_bytes
            hub.thaw()
        hub.rate_bytes_per_s = 0
        await engine.fetch(download.job())
    assert download.is_right()
    assert hub.sent_bytes(FILE) <= 1.05 * size, hub.sent_bytes(FILE) / size


CHILD = """
import asyncio, json, os, sys
from pathlib import Path
from hfdmd.config import Limits
from hfdmd.net.retry_after import RetryAfter
from hfdmd.net.origin import RedirectPolicy
from hfdmd.transfer.engine import Engine
from hfdmd.net.origin import Target
from hfdmd.transfer.job import Job

url, folder, size, digest = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
tracker = folder / "claim.json"

async def claim(spans):
    with open(folder / "claim.tmp", "w") as file:
        json.dump(spans, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(folder / "claim.tmp", tracker)

async def locate():
    return Target(url)

async def main():
    engine = Engine(RetryAfter(), RedirectPolicy(url), Limits(128, 16, 0, 10.0), "test")
    synced = [tuple(span) for span in json.loads(tracker.read_text())] if tracker.exists() else []
    try:
        await engine.fetch(Job("job", "job", folder / "file.part", size, digest, synced, locate, claim, int))
    finally:
        await engine.close()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_kills_cost_next_to_nothing(hub: HubServer, tmp_path: Path) -> None:
    """kill -9 at ten random moments of half a minute."""
    size = 64 * MiB
    download = file_download(hub, tmp_path, size)
    hub.rate_bytes_per_s = 2.5 * MiB
    url = await asyncio.to_thread(signed_url, hub, FILE)
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    command = [sys.executable, str(script), url, str(tmp_path), str(size), str(download.digest)]
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    choose = random.Random(7)
    for number in range(10):
        goal = size * (number + choose.random()) / 11
        child = await asyncio.create_subprocess_exec(*command, env=environment)
        try:
            await until(lambda goal=goal: hub.sent_bytes(FILE) >= goal, 60)  # type: ignore[misc]
        finally:
            child.kill()
            await child.wait()
    hub.rate_bytes_per_s = 0
    child = await asyncio.create_subprocess_exec(*command, env=environment)
    assert await child.wait() == 0
    assert download.is_right()
    claimed = json.loads((tmp_path / "claim.json").read_text())
    assert claimed == [[0, size]]
    assert hub.sent_bytes(FILE) <= 1.05 * size, hub.sent_bytes(FILE) / size


def test_a_claim_comes_sooner_the_more_is_at_risk() -> None:
    size = 256 * MiB
    assert pause_s(size, float("inf"), 0.0) == SHORTEST_S
    assert pause_s(size, 100.0, 0.0) == LONGEST_S
    assert SHORTEST_S < pause_s(100 * size, 100.0 * MiB, 0.0) < LONGEST_S
    assert pause_s(size, float("inf"), 4.0) == 2.0, "a slow disk is not kept busy with syncs alone"
    assert pause_s(size, 1e6, 1.0) == 0.5, "what is slow for others' sake is claimed as often as it can be"
    assert pause_s(size, 0.0, 0.0) == SHORTEST_S, "the first claim comes soon"
    assert pause_s(None, 1e6, 0.0) == LONGEST_S
