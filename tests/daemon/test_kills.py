"""Downloads resume after kills and pauses. How little is sent twice: `python -m tests.benchmarks --only resume`."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded
from tests.marks import slow

KILLS = 4
PAUSES = 12
MIB = 1 << 20
SENT_AT_MOST = 2.0
"""Times the size of the file. A download that began anew after each kill or pause would need 3 to 10 times."""


@pytest.mark.slow
def test_kills_of_a_large_file(hub: HubServer, daemon: Daemon) -> None:
    size = 32 * MIB
    content = seeded(size, seed=20)
    hub.add_repo(REPO, {BIG: content})
    hub.rate_bytes_per_s = 16_000_000
    chance = random.Random(20)
    key = daemon.download(REPO, BIG).json["id"]
    for moment in sorted(chance.uniform(0.01, 0.97) for _ in range(KILLS)):
        until(lambda at=moment * size: daemon.view(key)["downloadedBytes"] >= at, "it has downloaded that much")  # type: ignore[misc]
        daemon.kill_and_start()
    hub.rate_bytes_per_s = 0
    done = daemon.wait(key, "done")
    assert hashlib.sha256(Path(done["path"]).read_bytes()).hexdigest() == content.sha256
    assert hub.sent_bytes(BIG) <= size * SENT_AT_MOST, f"{hub.sent_bytes(BIG) / size:.3f} of the size was sent"


def test_pauses_of_a_large_file(hub: HubServer, daemon: Daemon) -> None:
    size = 24 * MIB
    content = seeded(size, seed=50)
    hub.add_repo(REPO, {BIG: content})
    hub.rate_bytes_per_s = 16_000_000
    chance = random.Random(50)
    key = daemon.download(REPO, BIG).json["id"]
    for moment in sorted(chance.uniform(0.0, 0.9) for _ in range(PAUSES)):
        until(lambda at=moment * size: daemon.view(key)["downloadedBytes"] >= at, "it has downloaded that much")  # type: ignore[misc]
        assert daemon.post("/api/pause", id=key).json["downloads"][0]["status"] == "paused"
        daemon.post("/api/resume", id=key)
    hub.rate_bytes_per_s = 0
    done = daemon.wait(key, "done")
    assert hashlib.sha256(Path(done["path"]).read_bytes()).hexdigest() == content.sha256
    assert hub.sent_bytes(BIG) <= size * SENT_AT_MOST, f"{hub.sent_bytes(BIG) / size:.3f} of the size was sent"


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["of a newer daemon", slow("cannot be read")])
def test_a_tracker_that_is_left_alone_keeps_what_has_come(hub: HubServer, daemon: Daemon, trouble: str) -> None:
    size = 12_000_000
    hub.add_repo(REPO, {BIG: seeded(size, seed=21)})
    hub.rate_bytes_per_s = 6_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > size // 2, "half of it is there")
    daemon.post("/api/pause", id=key)
    assert daemon.stop() == 0
    [tracker] = daemon.state.glob("trackers/*/*.json")
    good = tracker.read_bytes()
    if trouble == "cannot be read":
        tracker.unlink()
        tracker.mkdir()
    else:
        tracker.write_bytes(good.replace(b'"schemaVersion":1', b'"schemaVersion":99'))
    daemon.start()
    until(lambda: not daemon.get("/api/info").json["loading"], "it has looked at everything")
    assert daemon.get("/api/progress", id=key).status == 404
    assert daemon.stop() == 0
    if trouble == "cannot be read":
        tracker.rmdir()
    tracker.write_bytes(good)
    daemon.start()
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", id=key)
    daemon.wait(key, "done")
    assert hub.sent_bytes(BIG) < 1.2 * size
