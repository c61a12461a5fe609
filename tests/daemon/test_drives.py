"""A drive that is not mounted: its downloads wait, nothing is written in its place, and no byte is fetched again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded
from tests.loop_disk import LoopDisk, needs_mounts
from tests.marks import slow

SIZE = 8_000_000


@needs_mounts
@pytest.mark.parametrize("when", ["between two starts", slow("in the middle")])
@pytest.mark.parametrize("place", ["cache", slow("cache behind a link"), slow("local folder"), "no mount point"])
def test_a_download_waits_for_its_drive(hub: HubServer, tmp_path: Path, disk: LoopDisk, place: str, when: str) -> None:
    content = seeded(SIZE, seed=1)
    hub.add_repo(REPO, {BIG: content, "a.json": b"{}", "b.json": b"[]"})
    hub.rate_bytes_per_s = 4_000_000
    home = tmp_path / "h"
    local_dir = str(disk.folder / "models") if place in ("local folder", "no mount point") else None
    env = {} if local_dir else {"HF_HOME": str(disk.folder / "hf")}
    if place == "cache behind a link":
        (disk.folder / "hf").mkdir()
        (tmp_path / "link").symlink_to(disk.folder / "hf")
        env = {"HF_HOME": str(tmp_path / "link")}
    with Daemon(home, hub.endpoint, **env) as daemon:
        key = daemon.ask(REPO, BIG, localDir=local_dir)["id"]
        until(lambda: any(tracker["synced"] for tracker in daemon.trackers()), "a part is synced")
        until(lambda: daemon.view(key)["downloadedBytes"] > SIZE // 4, "a part is there")
        if when == "between two starts":
            daemon.stop()
        disk.unmount()
        if place == "no mount point":
            disk.folder.rmdir()
        hub.rate_bytes_per_s = 0
        if when == "between two starts":
            daemon.start()
        small = daemon.ask(REPO, "a.json", localDir=local_dir)["id"]
        repo = daemon.ask(REPO, include=["b.json"], localDir=local_dir)["id"]
        for waiting in (key, small, repo):
            until(lambda one=waiting: daemon.view(one)["reason"] == "locked", f"{waiting} waits")  # type: ignore[misc]
            view = daemon.view(waiting)
            assert view["status"] == "queued"
            assert "The drive of" in view["detail"]
            assert waiting == repo or view["retryAt"]
        assert daemon.view(key)["downloadedBytes"] >= SIZE // 4
        if place == "no mount point":
            assert not disk.folder.exists()
            disk.folder.mkdir()
        assert os.listdir(disk.folder) == []
        disk.mount()
        for waiting in (key, small, repo):
            daemon.post("/api/retry", id=waiting)
            daemon.wait(waiting, "done")
        path = Path(daemon.view(key)["path"])
        assert path.is_relative_to(disk.folder) or place == "cache behind a link"
        assert path.stat().st_size == SIZE
        assert hub.sent_bytes(BIG) <= 1.1 * SIZE
        second = Daemon(home, hub.endpoint, HFDMD_STATE_DIR=str(tmp_path / "other"), **env).run_to_end
        if local_dir is None:  # the cache on the drive is locked again
            assert second().returncode == 75
    shutil.rmtree(tmp_path / "other", ignore_errors=True)
