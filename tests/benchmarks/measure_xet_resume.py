"""What interruptions cost by Xet: kills, pauses, and how exact a bandwidth limit is on the line."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hfdmd.wire.types import SettingsPatch
from hfdmd_client import Client
from tests.benchmarks import content
from tests.benchmarks.bench import Bench
from tests.benchmarks.content import sha256_of
from tests.benchmarks.report import Goal, Section, Table, number
from tests.daemon_process import Daemon, until
from tests.fakehub import BytesContent, HubServer

REPO, FILE = "bench/xet-resumed", "model.safetensors"
RATE_BYTES_PER_S = 20_000_000
LIMIT_BYTES_PER_S = 10_000_000
LIMIT_OVER_S = 5.0
AFTER_PAUSE_S = 0.5
DEADLINE_S = 120.0


def interruptions(bench: Bench) -> Section:
    """Twenty kills and ten pauses of 126 MB at 20 MB/s; a limit of 10 MB/s over 5 s."""
    part = 4 if bench.quick else 1
    size_bytes = 126_000_000 // part
    kills, extra_mb = _kills(bench, size_bytes, 20 // part)
    answered_s, late = _pauses(bench, size_bytes, 10 // part)
    off = _limit(bench)
    rows = [
        (f"{kills} kills: MB sent twice, each", number(extra_mb)),
        ("pause: slowest answer, ms", number(answered_s * 1000)),
        (f"pause: requests begun after the answer, or open {AFTER_PAUSE_S:g} s later", number(late)),
        ("limit of 10 MB/s: off by, %", number(off * 100)),
    ]
    return Section(
        "xet-resume",
        "Interruptions by Xet",
        "One file from the test Hub's CAS at 20 MB/s, interrupted at random moments. Counted are bytes of xorbs that"
        " the server sent and the client acknowledged.",
        [Table("", ("", ""), rows)],
        [
            Goal("sent twice, each kill", extra_mb, 0.5, "MB"),
            Goal("pause: slowest answer", answered_s * 1000, 200, "ms"),
            Goal("pause: requests after the answer", late, 0),
            Goal(f"bandwidth limit: off by, over {LIMIT_OVER_S:g} s", off * 100, 5, "%"),
        ],
    )


@contextmanager
def _started(bench: Bench, size_bytes: int) -> Iterator[tuple[HubServer, Daemon, str]]:
    """A download by Xet that has begun; afterwards it is finished, and its content is checked."""
    data = BytesContent(b"".join(content.pieces([content.noise, content.bf16, content.text], size_bytes, 9)))
    with HubServer(xet=True) as hub, bench.daemon(hub.endpoint, transport="xet") as daemon:
        hub.add_repo(REPO, {FILE: data}, xet=True)
        hub.rate_bytes_per_s = RATE_BYTES_PER_S
        key = daemon.ask(REPO, FILE)["id"]
        yield hub, daemon, key
        hub.rate_bytes_per_s = 0
        done = daemon.wait(key, "done", deadline_s=DEADLINE_S)
        if sha256_of(Path(done["path"])) != data.sha256:
            raise AssertionError("the file has wrong content")
        if hub.requests("cdn"):
            raise AssertionError("it did not come by Xet alone")


def _moments(size_bytes: int, count: int) -> list[float]:
    source = random.Random(count)
    return sorted(source.uniform(0.01, 0.9) * size_bytes for _ in range(count))


def _reach(daemon: Daemon, key: str, at_bytes: float) -> None:
    until(lambda: daemon.view(key)["downloadedBytes"] >= at_bytes, "progress", DEADLINE_S)


def _kills(bench: Bench, size_bytes: int, count: int) -> tuple[int, float]:
    """The kills, and MB that were sent twice for each."""
    with _started(bench, size_bytes) as (hub, daemon, key):
        for moment in _moments(size_bytes, count):
            _reach(daemon, key, moment)
            daemon.kill_and_start()
    once = hub.cas.packed_bytes(next(file for file in hub.cas.files.values() if file.size_bytes == size_bytes))
    return count, (hub.sent_bytes(FILE) - once) / count / 1e6


def _pauses(bench: Bench, size_bytes: int, count: int) -> tuple[float, int]:
    """The slowest answer, and how many requests began behind an answer or were open a while later."""
    slowest_s, late = 0.0, 0
    with _started(bench, size_bytes) as (hub, daemon, key), Client(socket=daemon.socket) as client:
        for moment in _moments(size_bytes, count):
            _reach(daemon, key, moment)
            began = time.perf_counter()
            client.pause(id=key)
            answered = time.monotonic()
            slowest_s = max(slowest_s, time.perf_counter() - began)
            time.sleep(AFTER_PAUSE_S)
            late += sum(entry.open or entry.time_s > answered for entry in hub.requests("xorbs"))
            client.resume(id=key)
    return slowest_s, late


def _limit(bench: Bench) -> float:
    """How far the rate on the line was from the limit, as a share of it."""
    size_bytes = int(LIMIT_BYTES_PER_S * (LIMIT_OVER_S + 4))
    with _started(bench, size_bytes) as (hub, daemon, key), Client(socket=daemon.socket) as client:
        client.change_settings(SettingsPatch(bandwidth_limit=LIMIT_BYTES_PER_S))
        _reach(daemon, key, LIMIT_BYTES_PER_S)
        before, began = hub.sent_bytes(FILE), time.perf_counter()
        time.sleep(LIMIT_OVER_S)
        rate = (hub.sent_bytes(FILE) - before) / (time.perf_counter() - began)
        client.change_settings(SettingsPatch(bandwidth_limit=0))
    return abs(rate / LIMIT_BYTES_PER_S - 1)
