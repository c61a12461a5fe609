"""A daemon that has nothing to do sleeps. Memory and wake-ups: `python -m tests.benchmarks --only clients`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.slow
@linux
def test_a_daemon_with_nothing_to_do_sleeps_and_is_small(hub: HubServer, tmp_path: Path) -> None:
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_DEBUG="") as daemon:  # the check of invariants would wake it up
        becomes_idle(hub, daemon)


def becomes_idle(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(20_000_000, seed=1), **{f"{number}.json": b"{}" for number in range(20)}})
    daemon.wait(daemon.download(REPO).json["id"], "done")
    assert daemon.stats.rss_bytes() < 250e6

    def sleeps() -> bool:
        before = daemon.stats.wake_ups()
        time.sleep(3)
        return daemon.stats.wake_ups() - before <= 1

    until(sleeps, "it comes to rest", deadline_s=45)
