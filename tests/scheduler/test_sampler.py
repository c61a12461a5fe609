"""Byte progress: published while it changes, seldom written, and nothing wakes up when nothing runs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from hfdmd.config import Limits
from hfdmd.record import RepoRecord
from hfdmd.scheduler import sampler as sampler_module
from hfdmd.scheduler.running import ActiveFile
from hfdmd.scheduler.sampler import REPO_TRACKER_S
from hfdmd.wire.types import Download, Phase, Reason, RepoDownload, ScheduleRule, Status
from tests.scheduler.parts import Wired, file_of, repo_of, source_of, until

LARGE = 100 << 20


class Clock:
    """Sleeps end when `tick` is called, and the time is what it is set to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self._wake = asyncio.Event()

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        await self._wake.wait()

    async def tick(self, passed_s: float = 0.25) -> None:
        self.now += passed_s
        self._wake.set()
        self._wake = asyncio.Event()
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    time = SimpleNamespace(monotonic=lambda: clock.now, time=lambda: clock.now)
    monkeypatch.setattr(sampler_module, "time", time)
    monkeypatch.setattr("hfdmd.scheduler.speed.time", time)
    monkeypatch.setattr(sampler_module, "asyncio", SimpleNamespace(sleep=clock.sleep))
    return clock


async def begun(wired: Wired, size_bytes: int = LARGE, **fields: object) -> ActiveFile:
    record = file_of("a", source=source_of(size_bytes=size_bytes), **fields)
    await wired.start(record)
    active = wired.made.running.files[record.id]
    active.record.phase = Phase.TRANSFERRING
    wired.supervisor.background(wired.sampler.run(), "sample")
    for _ in range(3):
        await asyncio.sleep(0)
    wired.made.heard()
    return active


def shown(wired: Wired) -> list[Download | RepoDownload | None]:
    return [event.state for event in wired.made.heard()]


async def test_progress_of_a_large_file_is_published_as_it_changes(wired: Wired, clock: Clock) -> None:
    active = await begun(wired, asked_singly=True)
    active.meter.downloaded_bytes = LARGE // 2
    await clock.tick()
    (view,) = shown(wired)
    assert isinstance(view, Download)
    assert (view.downloaded_bytes, view.progress, view.bytes_per_second) == (LARGE // 2, 50.0, LARGE * 2)
    await clock.tick()
    assert shown(wired) == [], "nothing has changed"
    assert set(clock.slept) == {sampler_module.SAMPLE_S}


async def test_a_stall_is_published_once(wired: Wired, clock: Clock) -> None:
    active = await begun(wired, asked_singly=True)
    active.meter.downloaded_bytes = 1000
    await clock.tick()
    shown(wired)
    await clock.tick(10.0)
    (view,) = shown(wired)
    assert isinstance(view, Download)
    assert view.bytes_per_second is None
    await clock.tick(10.0)
    await clock.tick(10.0)
    assert shown(wired) == []
    assert wired.made.running.bytes_per_second(active.record.id) is None


async def test_why_nothing_arrives_is_published_for_small_files_too(wired: Wired, clock: Clock) -> None:
    active = await begun(wired, 10, asked_singly=True)
    active.meter.downloaded_bytes = 5
    await clock.tick()
    assert shown(wired) == [], "a small file is over before it is seen"
    active.meter.last_error = (Reason.NETWORK, "connection refused")
    await clock.tick()
    (view,) = shown(wired)
    assert view is not None
    assert view.detail == "connection refused"


async def test_verifying_is_a_phase_that_is_published(wired: Wired, clock: Clock) -> None:
    active = await begun(wired, asked_singly=True)
    active.meter.phase, active.meter.downloaded_bytes = Phase.VERIFYING, LARGE
    await clock.tick()
    await clock.tick()
    (view,) = shown(wired)
    assert isinstance(view, Download)
    assert (view.phase, view.downloaded_bytes, view.status) == (Phase.VERIFYING, LARGE, Status.DOWNLOADING)


async def test_what_has_arrived_needs_no_reserved_space(wired: Wired, clock: Clock) -> None:
    active = await begun(wired, asked_singly=True)
    wired.reservations.reserve(active.record.id, wired.cache_dir, LARGE)
    active.meter.downloaded_bytes = LARGE - 7
    await clock.tick()
    assert sum(wired.reservations._reserved_bytes.values()) == 7


async def test_it_sleeps_when_nothing_runs_and_wakes_up_again(wired: Wired, clock: Clock) -> None:
    active = await begun(wired, asked_singly=True)
    wired.admit(0)
    async with wired.stopper.stopped([active.record]):
        pass
    for _ in range(3):
        await clock.tick()
    slept = len(clock.slept)
    for _ in range(3):
        await clock.tick()
    assert len(clock.slept) == slept
    wired.admit()
    await until(lambda: wired.made.running.files)
    await clock.tick()
    assert len(clock.slept) > slept


async def test_a_repo_is_published_with_its_files_and_written_seldom(wired: Wired, clock: Clock) -> None:
    repo = repo_of(listed=True, revive=False)
    wired.enter(repo)
    active = await begun(wired, repo_ids=[repo.id])

    async def kept_bytes() -> int:
        await wired.made.store.flush()
        kept = wired.made.on_disk()[repo.id]
        assert isinstance(kept, RepoRecord)
        return kept.downloaded_bytes

    kept, published = [], []
    for number in range(1, 13):
        active.meter.downloaded_bytes = 1000 * number
        await clock.tick()
        published += [view.downloaded_bytes for view in shown(wired) if isinstance(view, RepoDownload)]
        kept.append(await kept_bytes())
    assert published == [1000 * number for number in range(1, 13)]
    writes = [after for before, after in zip([0, *kept], kept, strict=False) if before != after]
    assert writes == [1000 * round(REPO_TRACKER_S / 0.25)]


async def test_a_repo_that_was_deleted_meanwhile_is_not_published(wired: Wired, clock: Clock) -> None:
    repo = repo_of(listed=True, revive=False)
    wired.enter(repo)
    active = await begun(wired, repo_ids=[repo.id])
    wired.made.ledger.edit(active.record, repo_ids=[], asked_singly=True)
    wired.made.ledger.refresh(repo)
    wired.made.ledger.forget(repo)
    wired.made.heard()
    active.meter.downloaded_bytes = 1
    await clock.tick()
    assert [view.id for view in shown(wired) if view] == [active.record.id]


async def test_the_limits_of_the_hour_reach_the_engine_once_a_minute_while_something_runs(
    wired: Wired, clock: Clock
) -> None:
    clock.now = 90.0
    wired.set(bandwidth_limit=7, schedule=[])
    wired.supervisor.background(wired.sampler.follow_schedule(), "schedule")
    await clock.tick(0)
    assert wired.engine.applied == []
    record = file_of("a", asked_singly=True)
    await wired.start(record)
    wired.set(bandwidth_limit=7, schedule=[ScheduleRule(days=["mon"], from_="00:00", to="00:00", bandwidth_limit=1)])
    await until(lambda: wired.engine.applied)
    assert isinstance(wired.engine.applied[0], Limits)
    await clock.tick(0)
    await until(lambda: len(wired.engine.applied) == 2)
    assert 30 < clock.slept[-1] < 30.1, "until the next minute begins"
