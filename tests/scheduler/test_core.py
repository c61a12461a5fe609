"""The scheduler put together: a request becomes a file, a stop loses nothing, a contradiction ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from hfdmd.cache.storage import Storage
from hfdmd.config import Config, Paths
from hfdmd.events import Events
from hfdmd.hub.client import Hub
from hfdmd.net.retry_after import RetryAfter
from hfdmd.scheduler import core
from hfdmd.scheduler.core import Scheduler
from hfdmd.scheduler.requests import Ask
from hfdmd.store import Store
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.transfer.engine import Engine
from hfdmd.versions import Versions
from hfdmd.wire.errors import Loading
from hfdmd.wire.types import Reason, SettingsPatch, Status
from tests.scheduler.parts import REPO, ScriptedEngine, ScriptedHub, until

LARGE = b"the content" * 50_000
FILES = {"a.json": b"{}", "b.bin": LARGE}


@asynccontextmanager
async def made_of(folder: Path, hub: ScriptedHub, engine: ScriptedEngine) -> AsyncIterator[Scheduler]:
    """A scheduler on the folders below `folder` that does not run yet."""
    paths = Paths(folder / "state", folder / "hub", "https://hub.example", folder / "socket")
    store, versions = Store(paths.state_dir / "trackers"), Versions(paths.state_dir / "v")
    storage = Storage(paths.cache_dir)
    store.open()
    versions.open()
    storage.prepare()
    try:
        yield Scheduler(
            config=Config(env={"HOME": str(folder)}, flags={}, patched=paths.state_dir / "settings.json"),
            paths=paths,
            store=store,
            versions=versions,
            hub=cast(Hub, hub),
            storage=storage,
            reservations=DiskReservations(lambda: 0),
            engine=cast(Engine, engine),
            retry_after=RetryAfter(),
            events=Events(),
            validates=True,
        )
    finally:
        store.close()


@asynccontextmanager
async def running(folder: Path, hub: ScriptedHub, engine: ScriptedEngine) -> AsyncIterator[Scheduler]:
    async with made_of(folder, hub, engine) as scheduler:
        work = asyncio.create_task(scheduler.run())
        await scheduler.startup.loaded.wait()
        try:
            yield scheduler
        finally:
            scheduler.close()
            await work


@pytest.fixture
def hub() -> ScriptedHub:
    hub = ScriptedHub()
    hub.add(FILES)
    return hub


@pytest.fixture
def engine(hub: ScriptedHub) -> ScriptedEngine:
    return ScriptedEngine(hub)


async def test_a_repo_is_listed_fetched_and_done(tmp_path: Path, hub: ScriptedHub, engine: ScriptedEngine) -> None:
    async with running(tmp_path, hub, engine) as scheduler:
        repo, queued = await scheduler.requests.repo(REPO, Ask())
        assert queued
        await until(lambda: repo.state is Status.DONE)
        folder = Path(repo.path or "")
        assert {path: (folder / path).read_bytes() for path in FILES} == FILES
        assert scheduler.ledger.validate() == []
    assert hub.asked == ["list_repo", "locate"], "a small file needs no request to be located"


async def test_a_stop_in_the_middle_goes_on_where_it_was(
    tmp_path: Path, hub: ScriptedHub, engine: ScriptedEngine
) -> None:
    engine.open.clear()
    async with running(tmp_path, hub, engine) as scheduler:
        repo, _ = await scheduler.requests.repo(REPO, Ask())
        await until(lambda: len(engine.targets) == 2)
        assert scheduler.running.connections == 0
        assert not scheduler.closing
        assert not scheduler.loading
    assert scheduler.closing
    assert scheduler.running.files == {}
    with pytest.raises(Loading):
        await scheduler.requests.repo(REPO, Ask())
    engine.open.set()
    engine.jobs.clear()
    hub.asked.clear()
    async with running(tmp_path, hub, engine) as scheduler:
        again = scheduler.index.repos[repo.id]
        await until(lambda: again.state is Status.DONE)
    assert "list_repo" not in hub.asked
    assert [job.synced for job in engine.jobs if job.size_bytes == len(LARGE)] == [[(0, len(LARGE) // 2)]]


async def test_requests_are_taken_while_trackers_load(tmp_path: Path, hub: ScriptedHub, engine: ScriptedEngine) -> None:
    async with running(tmp_path, hub, engine) as scheduler:
        record, _ = await scheduler.requests.file(REPO.file("a.json"), Ask())
        await until(lambda: record.state is Status.DONE)
    async with made_of(tmp_path, hub, engine) as scheduler:
        assert scheduler.loading
        work = asyncio.create_task(scheduler.run())
        await asyncio.sleep(0)
        again, queued = await scheduler.requests.file(REPO.file("a.json"), Ask())
        assert (again.state, queued) == (Status.DONE, False)
        await until(lambda: not scheduler.loading)
        assert scheduler.index.files[record.id] is again
        scheduler.close()
        await work


async def test_a_contradiction_ends_the_daemon(
    tmp_path: Path, hub: ScriptedHub, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "VALIDATE_EVERY_S", 0)
    async with made_of(tmp_path, hub, engine) as scheduler:
        work = asyncio.create_task(scheduler.run())
        await scheduler.startup.loaded.wait()
        scheduler.index.counts[Status.DONE] += 1
        with pytest.raises(ExceptionGroup) as failed:
            await work
    assert failed.group_contains(AssertionError, match="counts are")


async def test_settings_reach_engine_and_admission(tmp_path: Path, hub: ScriptedHub, engine: ScriptedEngine) -> None:
    engine.open.clear()
    async with running(tmp_path, hub, engine) as scheduler:
        scheduler.config.patch(SettingsPatch(max_active_downloads=1))
        records = [(await scheduler.requests.file(REPO.file(path), Ask()))[0] for path in FILES]
        await until(lambda: engine.targets)
        assert [record.state for record in records] == [Status.DOWNLOADING, Status.QUEUED]
        scheduler.config.patch(SettingsPatch(max_active_downloads=2, bandwidth_limit=77))
        scheduler.apply_settings()
        await until(lambda: records[1].state is Status.DOWNLOADING)
        assert engine.applied[-1].bandwidth_bytes_per_s == 77


async def test_a_wait_whose_time_has_passed_does_not_outlast_a_restart(
    tmp_path: Path, hub: ScriptedHub, engine: ScriptedEngine
) -> None:
    """Retries look at a record before the queue does."""
    engine.open.clear()
    async with running(tmp_path, hub, engine) as scheduler:
        record, _ = await scheduler.requests.file(REPO.file("b.bin"), Ask())
        await until(lambda: engine.targets)
    async with made_of(tmp_path, hub, engine) as scheduler:
        kept = scheduler.store.load_one(record.spec)
        assert kept is not None
        kept.set_state(Status.QUEUED)
        kept.reason, kept.retry_at = Reason.NETWORK, "2020-01-01T00:00:00.000000Z"
        scheduler.store.put(kept)
        await scheduler.store.flush()
    engine.open.set()
    async with running(tmp_path, hub, engine) as scheduler:
        await until(lambda: scheduler.index.files[record.id].state is Status.DONE)
