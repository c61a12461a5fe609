"""A daemon that has nothing to do costs nothing; limits that change while it runs hold at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_main_job import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def wakes(pid: int) -> int:
    """How often the threads of a process slept and woke up so far."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        total += int(status.read_text().split("voluntary_ctxt_switches:")[1].split()[0])
    return total


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) * 1024


@linux
def test_a_daemon_with_nothing_to_do_sleeps_and_is_small(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(20_000_000, seed=1), **{f"{number}.json": b"{}" for number in range(20)}})
    daemon.wait(daemon.download(REPO).json["id"], "done")
    assert daemon.process is not None
    pid = daemon.process.pid
    assert resident_bytes(pid) < 80e6

    def sleeps() -> bool:
        before = wakes(pid)
        time.sleep(3)
        return wakes(pid) - before <= 1

    until(sleeps, "it comes to rest", deadline_s=45)


def test_twenty_apps_and_the_daemon_want_one_file(hub: HubServer, daemon: Daemon) -> None:
    size = 4_000_000
    hub.add_repo(REPO, {BIG: seeded(size, seed=2)})
    hub.rate_bytes_per_s = 2_000_000
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from huggingface_hub import hf_hub_download\n"
        "with ThreadPoolExecutor(5) as apps:\n"
        f"    paths = set(apps.map(lambda _: hf_hub_download({REPO!r}, {BIG!r}), range(5)))\n"
        "print(*paths)\n"
    )
    env = {**daemon.env, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    key = daemon.download(REPO, BIG).json["id"]
    apps = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    try:
        paths = {app.communicate(timeout=90)[0].decode().strip() for app in apps}
    finally:
        for app in apps:
            app.kill()
            app.communicate()
    assert paths == {daemon.wait(key, "done")["path"]}
    assert hub.sent_bytes(BIG) <= size * 1.05


def test_a_limit_that_is_changed_holds_for_what_runs(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(30_000_000, seed=3)})
    assert daemon.call("PATCH", "/api/settings", {"bandwidthLimit": 1_000_000}).status == 200
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 0, "it moves")
    began, have = time.monotonic(), daemon.view(key)["downloadedBytes"]
    until(lambda: daemon.view(key)["downloadedBytes"] > have + 1_500_000, "some more is there")
    passed_s = time.monotonic() - began
    assert (daemon.view(key)["downloadedBytes"] - have) / passed_s < 1_500_000
    assert daemon.call("PATCH", "/api/settings", {"bandwidthLimit": None}).json["bandwidthLimit"] == 0
    daemon.wait(key, "done", deadline_s=15)


def test_a_cache_without_links(hub: HubServer, tmp_path: Path) -> None:
    files: dict[str, Any] = {BIG: seeded(2_000_000, seed=4), "a.json": b"{}", "deep/b.json": b"{}"}
    hub.add_repo(REPO, files)
    with Daemon(tmp_path / "h", hub.endpoint, HF_HUB_DISABLE_SYMLINKS="1") as daemon:
        done = daemon.wait(daemon.download(REPO).json["id"], "done")
        here = Path(done["path"])
        assert {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()} == set(files)
        assert not any(path.is_symlink() for path in here.rglob("*"))
        hub.clear_log()
        assert daemon.download(REPO).status == 200
        daemon.stop()
        daemon.start()
        assert daemon.download(REPO).json["status"] == "done"
        assert hub.sent_bytes() == 0


def test_from_a_cache_without_links_into_a_folder(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {BIG: seeded(2_000_000, seed=5), "a.json": b"{}"})
    with Daemon(tmp_path / "h", hub.endpoint, HF_HUB_DISABLE_SYMLINKS="1") as daemon:
        cached = Path(daemon.wait(daemon.download(REPO).json["id"], "done")["path"])
        hub.clear_log()
        mine = Path(daemon.wait(daemon.download(REPO, localDir=str(tmp_path / "mine")).json["id"], "done")["path"])
        assert hub.sent_bytes() == 0
        (mine / BIG).write_bytes(b"edited")
        assert (cached / BIG).stat().st_size == 2_000_000
