"""The bandwidth limit: changed at run time, and shared between requests."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded


def test_a_limit_that_is_changed_holds_for_what_runs(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(30_000_000, seed=3)})
    assert daemon.call("PATCH", "/api/settings", {"bandwidthLimit": 1_000_000}).status == 200
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 0, "bytes arrive")
    began, have = time.monotonic(), daemon.view(key)["downloadedBytes"]
    until(lambda: daemon.view(key)["downloadedBytes"] > have + 1_500_000, "some more is there")
    passed_s = time.monotonic() - began
    assert (daemon.view(key)["downloadedBytes"] - have) / passed_s < 1_500_000
    assert daemon.call("PATCH", "/api/settings", {"bandwidthLimit": None}).json["bandwidthLimit"] == 0
    daemon.wait(key, "done", deadline_s=15)


@pytest.mark.slow
def test_a_bandwidth_limit_is_shared_between_requests_however_many_files_one_has(
    hub: HubServer, tmp_path: Path
) -> None:
    many, size = 400, 50_000
    hub.add_repo(REPO, {BIG: seeded(64_000_000, seed=1)})
    hub.add_repo("owner/many", {f"{n:03}.bin": seeded(size, seed=n) for n in range(many)})

    with Daemon(tmp_path / "d", hub.endpoint, HFDMD_BANDWIDTH_LIMIT="4000000") as daemon:
        large = daemon.download(REPO, BIG).json["id"]
        until(lambda: daemon.view(large)["downloadedBytes"] > 2_000_000, "the large one is under way")
        small = daemon.download("owner/many").json["id"]

        def come(key: str) -> int:
            return int(daemon.view(key)["downloadedBytes"])

        until(lambda: come(small) > 500_000, "the small ones are, too")
        large_had, small_had = come(large), come(small)
        until(lambda: come(small) - small_had > 15_000_000, "more of the small ones is there")
        assert come(large) - large_had > 0.5 * (come(small) - small_had)
