"""The order in which files and repo downloads get slots, also after they are reordered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.repo import REPO, children
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer, seeded

SINGLE = "owner/single"
NAMES = ["a.bin", "b.bin", "c.bin"]


@pytest.fixture
def daemon(hub: HubServer, tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "o", hub.endpoint, HFDMD_MAX_ACTIVE_DOWNLOADS="1", HFDMD_MAX_CONNECTIONS="1") as running:
        yield running


@pytest.fixture
def repo(hub: HubServer, daemon: Daemon) -> str:
    """`a.bin` is downloading, `b.bin` with priority 10, `c.bin` and a repo download of four files are queued."""
    hub.add_repo(REPO, {f"f{number}.bin": seeded(300_000, seed=number) for number in range(4)})
    hub.add_repo(SINGLE, {name: seeded(2_000_000, seed=10 + number) for number, name in enumerate(NAMES)})
    key: str = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["filesTotal"] == 4 and daemon.view(key)["status"] != "done", "it is listed")
    daemon.post("/api/pause", id=key)
    hub.rate_bytes_per_s = 300_000
    for name, priority in zip(NAMES, (0, 10, 0), strict=True):
        asked = daemon.download(SINGLE, name, priority=priority).json["id"]
        if name == NAMES[0]:
            until(lambda key=asked: daemon.view(key)["downloadedBytes"] > 0, "it has started")
    daemon.post("/api/resume", id=key)
    hub.clear_log()
    return key


def started(hub: HubServer, daemon: Daemon, repo: str) -> list[str]:
    """The files in the order in which they were downloaded after the first."""
    hub.rate_bytes_per_s = 0
    daemon.wait(repo, "done")
    for name in NAMES:
        daemon.wait(daemon.get("/api/progress", modelRepo=SINGLE, filePath=name).json["id"], "done")
    files = [request.file for request in hub.log if request.server == "cdn" and request.file != NAMES[0]]
    return [file for file in dict.fromkeys(files) if file is not None]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        server.rate_bytes_per_s = 100_000
        yield server


def test_a_repo_download_that_is_put_first_goes_next(hub: HubServer, daemon: Daemon, repo: str) -> None:
    moved = daemon.call("PATCH", "/api/download", {"id": repo, "position": 1})
    assert moved.status == 200
    order = started(hub, daemon, repo)
    assert order[-2:] == ["b.bin", "c.bin"], order


def test_a_repo_download_that_is_put_second_lets_one_go_before(hub: HubServer, daemon: Daemon, repo: str) -> None:
    assert daemon.call("PATCH", "/api/download", {"id": repo, "position": 2}).status == 200
    order = started(hub, daemon, repo)
    assert (order[0], order[-1]) == ("b.bin", "c.bin"), order


@pytest.mark.parametrize("change", [{"position": 1}, {"priority": 50}])
def test_a_file_of_a_repo_that_is_put_first_goes_next(
    hub: HubServer, daemon: Daemon, repo: str, change: dict[str, int]
) -> None:
    last = [path for path, view in children(daemon, repo).items() if view["status"] == "queued"][-1]
    moved = daemon.call("PATCH", "/api/download", {"modelRepo": REPO, "filePath": last, **change}).json["downloads"][0]
    assert moved["queuePosition"] == 1
    assert started(hub, daemon, repo)[0] == last


def test_asking_again_with_another_priority_is_told(hub: HubServer, daemon: Daemon, repo: str) -> None:
    before = daemon.get("/api/progress", modelRepo=SINGLE, filePath="c.bin").json
    after = daemon.download(SINGLE, "c.bin", priority=20).json
    assert after["priority"] == 20
    assert after["version"] > before["version"]
    assert after["updatedAt"] > before["updatedAt"]
    assert after["queuePosition"] == 1


def test_deleting_a_repo_at_work_never_says_that_it_is_done(hub: HubServer, daemon: Daemon, repo: str) -> None:
    daemon.post("/api/cancel", modelRepo=SINGLE)
    hub.rate_bytes_per_s = 100_000
    until(lambda: daemon.view(repo)["status"] == "downloading", "it has started")
    assert daemon.call("DELETE", "/api/download", {"modelRepo": REPO}).status == 200
    assert daemon.get("/api/progress", id=repo).status == 404
    changes = [line for line in daemon.log.splitlines() if "-> done" in line]
    assert not [line for line in changes if REPO in line and ".bin" not in line], changes


def test_a_repo_whose_files_have_failed_before_says_why_and_is_mended_by_retry(
    hub: HubServer, daemon: Daemon, repo: str
) -> None:
    hub.rate_bytes_per_s = 0
    daemon.wait(repo, "done")
    hub.add_repo("owner/gated", {"x.bin": seeded(1000, seed=90), "y.bin": seeded(1000, seed=91)})
    hub.fault("owner/gated", "x.bin", Fault.gated())
    one = daemon.download("owner/gated", "x.bin").json["id"]
    daemon.wait(one, "failed")
    key = daemon.download("owner/gated").json["id"]
    failed: dict[str, Any] = daemon.wait(key, "failed")
    assert failed["reason"] == "gated"
    assert "x.bin" in failed["detail"]
    assert failed["error"] == failed["detail"]
    hub.clear_faults()
    other = daemon.download("owner/gated", include=["*.bin"], retry=True).json["id"]
    assert daemon.wait(other, "done")["filesDone"] == 2
    assert daemon.wait(key, "done")["filesDone"] == 2
