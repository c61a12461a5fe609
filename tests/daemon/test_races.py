"""Simultaneous requests leave nothing behind: no slot, no part file, no inconsistent state."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hfdmd.scheduler.requests import Ask
from hfdmd.wire.types import Selector
from tests.daemon.repo import REPO
from tests.daemon.test_loading import at_work, opened
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded


def test_asking_and_cancelling_at_once_costs_no_slot(hub: HubServer, tmp_path: Path) -> None:
    names = [f"{number}.bin" for number in range(80)]
    hub.add_repo(REPO, {name: seeded(1_500_000, seed=number) for number, name in enumerate(names)})
    hub.rate_bytes_per_s = 300_000
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_MAX_ACTIVE_DOWNLOADS="2") as daemon:
        with ThreadPoolExecutor(6) as clients:
            for name in names:
                jobs = [clients.submit(daemon.download, REPO, name)]
                jobs += [clients.submit(daemon.post, "/api/cancel", modelRepo=REPO, filePath=name) for _ in range(2)]
                for job in jobs:
                    job.result()
        daemon.post("/api/cancel", modelRepo=REPO)
        assert daemon.parts() == []
        keys = [daemon.download(REPO, name).json["id"] for name in names[:3]]
        until(lambda: sum(daemon.view(key)["status"] == "downloading" for key in keys) == 2, "both slots are used")
        hub.rate_bytes_per_s = 0
        for key in keys:
            daemon.wait(key, "done")


def test_every_download_at_work_moves_however_slow_the_line(hub: HubServer, tmp_path: Path) -> None:
    names = [f"{number}.bin" for number in range(12)]
    hub.add_repo(REPO, {name: seeded(40_000_000, seed=number) for number, name in enumerate(names)})
    hub.rate_bytes_per_s = 2_000_000
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_MAX_ACTIVE_DOWNLOADS="12") as daemon:
        keys = [daemon.download(REPO, name).json["id"] for name in names]
        until(lambda: all(daemon.view(key)["downloadedBytes"] > 0 for key in keys), "all of them move")
        daemon.post("/api/cancel", all=True)


@pytest.mark.slow
def test_a_repo_asked_for_while_it_is_cancelled_is_one_or_the_other(hub: HubServer, narrow: Daemon) -> None:
    hub.add_repo(REPO, {f"{number}.json": b"{}%d" % number for number in range(8000)})
    hub.latency_s = 0.5
    key = narrow.download(REPO).json["id"]
    until(lambda: narrow.view(key)["filesTotal"] == 8000, "it is listed")
    with ThreadPoolExecutor(1) as person:
        cancelling = person.submit(narrow.post, "/api/cancel", id=key)
        until(lambda: narrow.get("/api/info").json["counts"]["cancelled"] > 100, "it is being cancelled")
        assert narrow.download(REPO).status == 202
        assert cancelling.result().status == 200
    counts = narrow.get("/api/info").json["counts"]
    assert counts["cancelled"] == 0, counts


async def test_a_repo_that_is_deleted_before_its_post_is_answered_is_told_as_it_was(
    hub: HubServer, daemon: Daemon
) -> None:
    hub.add_repo(REPO, {"a.json": b"{}"})
    key = (await asyncio.to_thread(daemon.download, REPO)).json["id"]
    await asyncio.to_thread(daemon.wait, key, "done")
    daemon.kill()
    scheduler = await opened(daemon)
    async with at_work(scheduler):
        await scheduler.startup.loaded.wait()
        asked, _ = await scheduler.requests.repo(scheduler.index.repos[key].spec, Ask())
        await scheduler.actions.delete(Selector(id=key), delete_file=False)
        view = scheduler.views.repo(asked)
    assert (view.id, view.status, view.files_done) == (key, "done", 1)
