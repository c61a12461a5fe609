"""A paused or cancelled repo download: files that have not started need no tracker file, also after restarts."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from hfdmd.lifecycle import Stimulus
from hfdmd.wire.types import Selector, Status
from tests.daemon.repo import REPO, children
from tests.daemon.test_loading import at_work, opened
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer, seeded
from tests.marks import slow

FIRST = "00-first.safetensors"
SMALL = {f"{number:03}.json": b"{%d}" % number for number in range(300)}
FILES: dict[str, Any] = {FIRST: seeded(4_000_000, seed=1), **SMALL}
PART = ["00*"]


@pytest.fixture
def daemon(narrow: Daemon) -> Daemon:
    return narrow


def begun(hub: HubServer, daemon: Daemon) -> str:
    """A repo download that is listed and whose first file is downloading."""
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 200_000
    key: str = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 0, "it has started")
    assert daemon.view(key)["filesTotal"] == len(FILES)
    return key


def statuses(daemon: Daemon, key: str) -> Counter[str]:
    return Counter(view["status"] for view in children(daemon, key).values())


@pytest.mark.slow
@pytest.mark.parametrize("selector", ["id", slow("modelRepo"), slow("all")])
@pytest.mark.parametrize(("action", "status"), [("pause", "paused"), ("cancel", "cancelled")])
def test_holding_many_files_writes_few_trackers(
    hub: HubServer, daemon: Daemon, action: str, status: str, selector: str
) -> None:
    key = begun(hub, daemon)
    by: dict[str, Any] = {"id": {"id": key}, "modelRepo": {"modelRepo": REPO}, "all": {"all": True}}[selector]
    assert daemon.post(f"/api/{action}", **by).status == 200
    held = statuses(daemon, key)
    assert held == {status: len(FILES)}
    few = len(FILES) // 10
    assert len(daemon.trackers()) < few
    daemon.kill_and_start()
    assert daemon.view(key)["status"] == status
    assert daemon.view(key)["filesTotal"] == len(FILES)
    assert len(daemon.trackers()) < few
    hub.clear_log()
    hub.rate_bytes_per_s = 0
    assert (daemon.post("/api/resume", id=key) if action == "pause" else daemon.download(REPO)).status in (200, 202)
    assert daemon.wait(key, "done")["filesDone"] == len(FILES)


@pytest.mark.slow
@pytest.mark.parametrize("restart", [False, True])
def test_resuming_and_asking_again_write_few_trackers(hub: HubServer, daemon: Daemon, restart: bool) -> None:
    key = begun(hub, daemon)
    daemon.post("/api/pause", id=key)
    daemon.post("/api/resume", id=key)
    daemon.post("/api/cancel", id=key)
    assert daemon.download(REPO).status == 202
    daemon.post("/api/cancel", id=key)
    daemon.post("/api/retry", id=key)
    assert len(daemon.trackers()) < len(FILES) // 10
    if restart:
        daemon.kill_and_start()
    hub.rate_bytes_per_s = 0
    assert daemon.wait(key, "done")["filesDone"] == len(FILES)


def test_one_file_that_goes_on_leaves_the_others_held(hub: HubServer, daemon: Daemon) -> None:
    key = begun(hub, daemon)
    daemon.post("/api/pause", id=key)
    hub.rate_bytes_per_s = 0
    one = children(daemon, key)["150.json"]["id"]
    assert daemon.post("/api/resume", id=one).status == 200
    daemon.kill_and_start()
    daemon.wait(one, "done")
    daemon.wait(key, "paused")
    assert statuses(daemon, key)["paused"] == len(FILES) - statuses(daemon, key)["done"] > 250


def test_a_file_resumed_alone_after_a_restart_goes_on(hub: HubServer, daemon: Daemon) -> None:
    key = begun(hub, daemon)
    one = children(daemon, key)[FIRST]["id"]
    daemon.post("/api/pause", id=key)
    daemon.kill_and_start()
    hub.rate_bytes_per_s = 0
    assert daemon.post("/api/resume", id=one).status == 200
    daemon.wait(one, "done")
    daemon.wait(key, "paused")
    assert statuses(daemon, key)["paused"] > 250
    daemon.post("/api/cancel", id=key)
    assert statuses(daemon, key)["cancelled"] > 250


@pytest.mark.parametrize(("action", "left"), [("pause", "paused"), ("cancel", "cancelled")])
def test_what_another_request_wants_goes_on_over_a_restart(
    hub: HubServer, daemon: Daemon, action: str, left: str
) -> None:
    whole = begun(hub, daemon)
    part = daemon.download(REPO, include=PART).json["id"]
    until(lambda: daemon.view(part)["filesTotal"] == 11, "it is listed")
    daemon.post(f"/api/{action}", id=whole)
    assert statuses(daemon, whole)[left] > 250
    assert left not in statuses(daemon, part)
    daemon.kill_and_start()
    until(lambda: daemon.view(whole)["phase"] == "transferring", "it is listed")
    hub.rate_bytes_per_s = 0
    assert daemon.wait(part, "done")["filesDone"] == 11
    daemon.wait(whole, left)
    assert statuses(daemon, whole)[left] > 250


@pytest.mark.slow
def test_what_one_request_pauses_and_another_cancelled_is_cancelled_over_a_restart(
    hub: HubServer, daemon: Daemon
) -> None:
    whole = begun(hub, daemon)
    for number in range(290, 300):  # else some would be done before they are cancelled
        hub.fault(REPO, f"{number}.json", Fault.stall(times=None))
    part = daemon.download(REPO, include=["29*"]).json["id"]
    until(lambda: daemon.view(part)["filesTotal"] == 10, "it is listed")
    daemon.post("/api/pause", id=whole)
    daemon.post("/api/cancel", id=part)
    before = {path: view["status"] for path, view in children(daemon, part).items()}
    assert set(before.values()) == {"cancelled"}
    hub.clear_faults()
    daemon.kill_and_start()
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", id=whole)
    daemon.wait(whole, "cancelled")
    assert {path: view["status"] for path, view in children(daemon, part).items()} == before


def test_a_cancelled_request_whose_files_live_on_wants_them_when_it_is_asked_for_again(
    hub: HubServer, daemon: Daemon
) -> None:
    whole = begun(hub, daemon)
    part = daemon.download(REPO, include=PART).json["id"]
    until(lambda: daemon.view(part)["filesTotal"] == 11, "it is listed")
    daemon.post("/api/cancel", id=part)
    daemon.download(REPO, include=PART)
    daemon.post("/api/pause", id=whole)
    assert set(statuses(daemon, part)) <= {"queued", "downloading"}
    hub.rate_bytes_per_s = 0
    assert daemon.wait(part, "done")["filesDone"] == 11
    assert daemon.view(whole)["status"] == "paused"


@pytest.mark.slow
@pytest.mark.parametrize("listed", ["listed", "unlisted"])
def test_a_paused_request_that_an_update_moves_stays_paused(hub: HubServer, daemon: Daemon, listed: str) -> None:
    key = begun(hub, daemon)
    daemon.post("/api/pause", id=key)
    if listed == "unlisted":
        daemon.kill()
        daemon.forget_lists()
        daemon.start()
    new = hub.commit(REPO, {"000.json": b"new"})
    assert daemon.download(REPO, update=True).json["status"] == "paused"
    until(lambda: daemon.view(key)["commit"] == new, "it has moved")
    assert daemon.view(key)["status"] == "paused"
    assert f"{REPO} paused -> " not in daemon.log
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", id=key)
    assert daemon.wait(key, "done")["filesDone"] == len(FILES)
    assert {view["commit"] for view in children(daemon, key).values()} == {new}


@pytest.mark.slow
async def test_a_file_cancelled_while_its_repo_is_being_listed_stays_cancelled(
    hub: HubServer, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 200_000
    hub.freeze()
    key = (await asyncio.to_thread(daemon.download, REPO)).json["id"]
    daemon.kill()
    hub.break_connections()
    hub.thaw()
    known, stopped = threading.Event(), threading.Event()

    def hold_up(*_: object) -> None:
        known.set()
        stopped.wait()
        raise OSError("the daemon went before")

    with monkeypatch.context() as patch:
        patch.setattr("hfdmd.scheduler.listing_cache.ListingCache.write", hold_up)
        scheduler = await opened(daemon)
        async with at_work(scheduler):
            assert await asyncio.to_thread(known.wait, 20)
            repo = scheduler.index.repos[key]
            one = next(record.id for record in scheduler.index.children(repo) if record.spec.file_path == "150.json")
            await scheduler.actions.act(Stimulus.CANCEL, Selector(id=one))
            asyncio.get_running_loop().call_later(0.2, stopped.set)
        assert not repo.listed
    hub.rate_bytes_per_s = 0
    await asyncio.to_thread(daemon.start)
    assert (await asyncio.to_thread(daemon.wait, key, "cancelled"))["filesDone"] == len(FILES) - 1
    assert daemon.view(one)["status"] == "cancelled"


@pytest.mark.slow
@pytest.mark.parametrize("again", ["download", "retry"])
def test_a_repo_that_is_not_listed_brings_what_was_cancelled_when_it_is_asked_for_again(
    hub: HubServer, daemon: Daemon, again: str
) -> None:
    key = begun(hub, daemon)
    one = children(daemon, key)[FIRST]["id"]
    daemon.post("/api/cancel", id=key)
    daemon.kill()
    daemon.forget_lists()
    hub.rate_bytes_per_s = 0
    daemon.start()
    assert daemon.view(one)["status"] == "cancelled"
    asked = daemon.download(REPO) if again == "download" else daemon.post("/api/retry", id=key)
    assert asked.status == (202 if again == "download" else 200)
    assert daemon.wait(key, "done")["filesDone"] == len(FILES)


def left_unlisted(hub: HubServer, daemon: Daemon, fault: Fault) -> tuple[str, str]:
    """A repo download that cannot be listed after a restart, and a file of it that was cancelled before."""
    key = begun(hub, daemon)
    one = children(daemon, key)["150.json"]["id"]
    daemon.post("/api/cancel", id=one)
    daemon.kill()
    daemon.forget_lists()
    hub.fault(REPO, "@tree", fault)
    hub.rate_bytes_per_s = 0
    return key, one


def test_a_file_of_a_repo_whose_listing_failed_is_retried_alone(hub: HubServer, daemon: Daemon) -> None:
    key, one = left_unlisted(hub, daemon, Fault.gated())
    daemon.start()
    daemon.wait(key, "failed")
    assert daemon.post("/api/retry", id=one).status == 200
    daemon.wait(one, "done")
    assert daemon.wait(key, "failed")["reason"] == "gated"


async def test_a_file_that_is_retried_does_not_wait_for_its_repo(
    hub: HubServer, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, one = await asyncio.to_thread(left_unlisted, hub, daemon, Fault.status(503, times=None))
    monkeypatch.setattr("hfdmd.scheduler.retries.wait_s", lambda *_: 1000.0)
    scheduler = await opened(daemon)
    async with at_work(scheduler):
        await scheduler.startup.loaded.wait()
        repo = scheduler.index.repos[key]
        await asyncio.to_thread(until, lambda: repo.retry_at is not None, "the listing waits")
        await scheduler.actions.act(Stimulus.RETRY, Selector(id=one))
        await asyncio.to_thread(until, lambda: scheduler.index.files[one].state is Status.DONE, "it is there")
        assert not repo.listed
