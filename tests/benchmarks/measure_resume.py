"""How many bytes are sent twice when the daemon is killed, or a download paused, many times."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from hfdmd_client import Client
from tests.benchmarks.bench import MIB, Bench
from tests.benchmarks.content import sha256_of
from tests.benchmarks.report import Goal, Section, Table
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded

REPO, FILE = "bench/resumed", "model.safetensors"
SENT_AT_MOST = 1.05
DEADLINE_S = 120.0


def resume(bench: Bench) -> Section:
    """Twenty kills of 256 MiB at 10 MB/s, and fifty pauses of 64 MiB at 16 MB/s."""

    def kill(daemon: Daemon, key: str) -> None:
        daemon.kill_and_start()

    def pause(daemon: Daemon, key: str) -> None:
        with Client(socket=daemon.socket) as client:
            client.pause(id=key)
            client.resume(id=key)

    part = 0.25 if bench.quick else 1.0
    plans: list[tuple[str, int, int, int, Callable[[Daemon, str], None]]] = [
        ("kills", round(20 * part), round(256 * part) * MIB, round(10e6 * part), kill),
        ("pauses", round(50 * part), round(64 * part) * MIB, round(16e6 * part), pause),
    ]
    rows, goals = [], []
    for what, count, size_bytes, rate, interrupt in plans:
        share = _sent(bench, count, size_bytes, rate, interrupt)
        rows.append((f"{count} {what}", str(size_bytes // MIB), f"{rate / 1e6:.0f}", f"{share:.3f}"))
        goals.append(Goal(f"sent with {count} {what}, of the file's size", share, SENT_AT_MOST))
    return Section(
        "resume",
        "Kills and pauses",
        "One file from the test Hub, interrupted at random moments; a kill is SIGKILL and a new start. Counted are body"
        " bytes that the CDN sent and the client's machine acknowledged, as a share of the size of the file.",
        [Table("", ("", "MiB", "MB/s", "sent, × size"), rows)],
        goals,
    )


def _sent(
    bench: Bench, count: int, size_bytes: int, bytes_per_s: int, interrupt: Callable[[Daemon, str], None]
) -> float:
    content = seeded(size_bytes, seed=count)
    moments = random.Random(count)
    with HubServer() as hub, bench.daemon(hub.endpoint) as daemon:
        hub.add_repo(REPO, {FILE: content})
        hub.rate_bytes_per_s = bytes_per_s
        key = daemon.ask(REPO, FILE)["id"]
        for moment in sorted(moments.uniform(0.01, 0.9) * size_bytes for _ in range(count)):
            until(lambda at=moment: daemon.view(key)["downloadedBytes"] >= at, "progress", DEADLINE_S)  # type: ignore[misc]
            interrupt(daemon, key)
        hub.rate_bytes_per_s = 0
        done = daemon.wait(key, "done", deadline_s=DEADLINE_S)
        if sha256_of(Path(done["path"])) != content.sha256:
            raise AssertionError("the file has wrong content")
        return hub.sent_bytes(FILE) / size_bytes
