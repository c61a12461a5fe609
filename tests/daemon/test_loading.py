"""Requests while the tracker files are still being read do not change recorded state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hfdmd.api.files import repo_files
from hfdmd.cache.storage import Storage
from hfdmd.config import Config, Paths, limits_of
from hfdmd.events import Events
from hfdmd.hub.client import Hub
from hfdmd.net.origin import RedirectPolicy
from hfdmd.net.retry_after import RetryAfter
from hfdmd.record import RepoSpec
from hfdmd.scheduler.core import Scheduler
from hfdmd.store import Store
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.transfer.engine import Engine
from hfdmd.versions import Versions
from hfdmd.wire.errors import HubUnavailable
from hfdmd.wire.types import RepoType, Status
from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded


async def opened(daemon: Daemon) -> Scheduler:
    """The scheduler of a daemon that has not read its tracker files yet, on the folders of `daemon`."""
    paths = Paths.from_env(daemon.env)
    config = Config(env=daemon.env, flags={}, patched=paths.state_dir / "settings.json")
    retry_after, policy = RetryAfter(), RedirectPolicy(paths.hub_endpoint)
    store, versions = Store(paths.state_dir / "trackers"), Versions(paths.state_dir / "version")
    store.open()
    versions.open()
    return Scheduler(
        config=config,
        paths=paths,
        store=store,
        versions=versions,
        hub=Hub(paths.hub_endpoint, retry_after, policy, "test"),
        storage=Storage(paths.cache_dir),
        reservations=DiskReservations(lambda: 0),
        engine=Engine(retry_after, policy, limits_of(config.values), "test"),
        retry_after=retry_after,
        events=Events(),
        validates=True,
    )


async def closed(scheduler: Scheduler) -> None:
    await scheduler.engine.close()
    await scheduler.hub.close()
    await asyncio.to_thread(scheduler.store.close)


@asynccontextmanager
async def at_work(scheduler: Scheduler) -> AsyncIterator[None]:
    """Runs the scheduler, and closes it afterwards."""
    work = asyncio.create_task(scheduler.run())
    try:
        yield
    finally:
        scheduler.close()
        await work
        await closed(scheduler)


async def test_a_repo_looked_at_too_early_loses_no_file(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {f"{number}.json": b"{}%d" % number for number in range(300)})
    hub.latency_s = 0.5
    key = daemon.download(REPO, priority=0).json["id"]
    await asyncio.to_thread(until, lambda: daemon.view(key)["filesDone"] > 0, "some are done, others not begun")
    daemon.kill()
    tracked = len(daemon.trackers()) - 1
    assert tracked < 300
    hub.latency_s = 0.0
    scheduler = await opened(daemon)
    await scheduler.startup.first(lambda: scheduler.store.load_repo(REPO))
    assert len(scheduler.index.files) == tracked
    assert scheduler.startup.lacks_files(scheduler.index.repos[key]), "who asks for its files has to wait"
    assert scheduler.views.repo(scheduler.index.repos[key]).files_total == 300
    async with at_work(scheduler):
        await asyncio.to_thread(until, lambda: scheduler.index.repos[key].status == "done", "all are done")
    assert scheduler.index.repos[key].files_done == 300


async def test_what_was_at_work_is_queued_while_the_rest_is_read(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(4_000_000, seed=1)})
    hub.rate_bytes_per_s = 200_000
    keys = [daemon.download(REPO, BIG).json["id"], daemon.download(REPO).json["id"]]
    await asyncio.to_thread(until, lambda: daemon.view(keys[1])["downloadedBytes"] > 0, "it has started")
    daemon.kill()
    assert {tracker["status"] for tracker in daemon.trackers()} == {"in-progress"}
    scheduler = await opened(daemon)
    try:
        await scheduler.startup.first(lambda: scheduler.store.load_repo(REPO))
        assert {scheduler.index.get(key).state for key in keys} == {Status.QUEUED}  # type: ignore[union-attr]
        await scheduler.store.flush()
        assert {tracker["status"] for tracker in daemon.trackers() if tracker["id"] == keys[0]} == {"queued"}
    finally:
        await closed(scheduler)


def done_and_stopped(hub: HubServer, daemon: Daemon) -> Path:
    """The tracker file of a download that is done; the daemon does not run."""
    hub.add_repo(REPO, {"a.json": b"{}"})
    daemon.wait(daemon.download(REPO, "a.json").json["id"], "done")
    daemon.stop()
    (path,) = daemon.state.glob("trackers/*/*.json")
    return path


def test_a_tracker_with_an_impossible_time_is_set_aside(hub: HubServer, daemon: Daemon) -> None:
    path = done_and_stopped(hub, daemon)
    tracker = json.loads(path.read_bytes())
    path.write_text(json.dumps({**tracker, "status": "queued", "retryAt": "tomorrow"}))
    daemon.start()
    assert daemon.get("/api/progress").json["downloads"] == []
    assert path.with_name(path.name + ".corrupt").exists()


def test_a_tracker_of_a_done_file_with_a_hostile_source_hurts_nobody(hub: HubServer, daemon: Daemon) -> None:
    path = done_and_stopped(hub, daemon)
    tracker = json.loads(path.read_bytes())
    tracker["source"]["etag"] = tracker["source"]["commit"] = "../../escaped"
    path.write_text(json.dumps(tracker))
    daemon.start()
    until(lambda: not daemon.get("/api/info").json["loading"], "it is loaded")
    assert daemon.view(tracker["id"])["status"] == "done"


async def test_a_hub_that_is_silent_is_told_before_a_client_loses_patience(
    hub: HubServer, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo(REPO, {BIG: b"{}"})
    daemon.kill()
    scheduler = await opened(daemon)
    monkeypatch.setattr("hfdmd.api.hub_answers.TIMEOUT_S", 0.3)
    hub.freeze()
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo=REPO, revision="main")
    with pytest.raises(HubUnavailable, match=r"within 0 s"):
        await repo_files(scheduler, scheduler.hub, spec, 100, None)
    hub.break_connections()
    hub.thaw()
    await closed(scheduler)


def test_a_daemon_finds_its_downloads_under_the_names_of_an_older_one(hub: HubServer, daemon: Daemon) -> None:
    size = 12_000_000
    hub.add_repo(REPO, {BIG: seeded(size, seed=33), "small.json": b"{}"})
    hub.rate_bytes_per_s = 6_000_000
    done = daemon.wait(daemon.download(REPO, "small.json").json["id"], "done")
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > size // 2, "half of it is there")
    daemon.post("/api/pause", id=key)
    paused = daemon.view(key)
    assert daemon.stop() == 0
    trackers = sorted(daemon.state.glob("trackers/*/*.json"))
    old = daemon.state / "trackers" / "old-layout"
    old.mkdir()
    for number, tracker in enumerate(trackers):
        tracker.rename(old / f"{number}.json")
    daemon.start()
    until(lambda: not daemon.get("/api/info").json["loading"], "it has looked at everything")
    assert {**daemon.view(key), "version": 0} == {**paused, "version": 0}
    assert daemon.view(done["id"])["status"] == "done"
    assert sorted(daemon.state.glob("trackers/*/*.json*")) == trackers
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", id=key)
    daemon.wait(key, "done")
    assert hub.sent_bytes(BIG) < 1.2 * size


@pytest.mark.slow
def test_settings_of_a_newer_daemon_are_not_ignored_but_refused(daemon: Daemon) -> None:
    assert daemon.stop() == 0
    (daemon.state / "settings.json").write_text('{"schemaVersion": 99, "bandwidth_limit": 1}')
    refused = daemon.run_to_end()
    assert refused.returncode == 78
    assert f"{daemon.state / 'settings.json'} was written by a newer hfdmd" in refused.stderr
    (daemon.state / "settings.json").unlink()
    daemon.start()
