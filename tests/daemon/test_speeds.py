"""Speeds and remaining times of a steady line are about right from the second sample on, of thirty files too."""

from __future__ import annotations

import time

import pytest

from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded

LINE_BYTES_PER_S = 10_000_000
SIZE_BYTES = 6_000_000


@pytest.mark.parametrize("count", [1, 30])
def test_speed_and_remaining_time_of_a_steady_line(hub: HubServer, daemon: Daemon, count: int) -> None:
    total_bytes = SIZE_BYTES * 30
    hub.add_repo("own/m", {f"{number:02}.bin": seeded(total_bytes // count, seed=number) for number in range(count)})
    hub.rate_bytes_per_s = LINE_BYTES_PER_S
    key = daemon.ask("own/m")["id"]
    until(lambda: daemon.view(key)["bytesPerSecond"], "a second sample")
    for _ in range(12):
        page = daemon.get("/api/progress").json
        repo, files = page["repos"][0], [view for view in page["downloads"] if view["bytesPerSecond"]]
        left_s = (total_bytes - repo["downloadedBytes"]) / LINE_BYTES_PER_S
        assert repo["bytesPerSecond"] == pytest.approx(LINE_BYTES_PER_S, rel=0.2)
        assert repo["etaSeconds"] == pytest.approx(left_s, rel=0.2)
        assert sum(view["bytesPerSecond"] for view in files) < 1.2 * LINE_BYTES_PER_S
        if count == 1:
            assert files[0]["bytesPerSecond"] == pytest.approx(LINE_BYTES_PER_S, rel=0.2)
            assert files[0]["etaSeconds"] == pytest.approx(left_s, rel=0.2)
        time.sleep(0.25)
    assert len(files) == count
    assert sum(view["bytesPerSecond"] for view in files) == pytest.approx(LINE_BYTES_PER_S, rel=0.2)
    assert daemon.get("/api/info").json["bytesPerSecond"] == pytest.approx(LINE_BYTES_PER_S, rel=0.2)
