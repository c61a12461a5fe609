"""Byte progress: published while it changes, seldom written, and nothing wakes up when nothing runs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from hfdmd.config import Limits
from hfdmd.lifecycle import Stimulus
from hfdmd.record import RepoRecord
from hfdmd.scheduler import sampler as sampler_module
from hfdmd.scheduler.retries import Retries
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
    active.meter.downloaded_bytes = LARGE // 4
    await clock.tick()
    (view,) = shown(wired)
    assert isinstance(view, Download)
    assert (view.downloaded_bytes, view.bytes_per_second, view.eta_seconds) == (LARGE // 4, None, None)
    active.meter.downloaded_bytes = LARGE // 2
    await clock.tick()
    (view,) = shown(wired)
    assert isinstance(view, Download)
    assert (view.downloaded_bytes, view.progress, view.bytes_per_second) == (LARGE // 2, 50.0, LARGE)
    await clock.tick()
    assert shown(wired) == [], "nothing has changed"
    assert set(clock.slept) == {sampler_module.SAMPLE_S}


def receive(clock: Clock, active: ActiveFile, count: int) -> None:
    """As the engine does when bytes arrive."""
    meter = active.meter
    meter.downloaded_bytes += count
    meter.received_bytes += count
    meter.last_error, meter.quiet_since_s = None, clock.now


@pytest.mark.parametrize(
    ("error", "wait_s", "reason", "detail"),
    [
        ((Reason.NETWORK, "cdn.example: connection refused"), 0, Reason.NETWORK, "cdn.example: connection refused"),
        (None, 0, Reason.STALLED, "no data from cdn.example for 3 s"),
        (None, 600, Reason.RATE_LIMITED, "cdn.example asked for no requests for another 600 s"),
    ],
)
async def test_why_no_byte_comes_is_published_and_the_first_byte_clears_it(
    wired: Wired, clock: Clock, error: tuple[Reason, str] | None, wait_s: int, reason: Reason, detail: str
) -> None:
    repo = repo_of(listed=True, revive=False)
    wired.enter(repo)
    active = await begun(wired, repo_ids=[repo.id])
    active.meter.url = "https://cdn.example/signed?secret"
    for _ in range(2):
        receive(clock, active, 1000)
        await clock.tick()
    assert [view.bytes_per_second for view in shown(wired)[-2:] if view] == [4000, 4000], "file and repo"
    active.meter.last_error = error
    if wait_s:
        wired.retry_after.note(active.meter.url, 429, {"Retry-After": str(wait_s)})
    quiet: list[list[Download | RepoDownload | None]] = []
    while not quiet or not quiet[-1] or not quiet[-1][0] or quiet[-1][0].reason is None:
        await clock.tick()
        quiet.append(shown(wired))
    assert len(quiet) * sampler_module.SAMPLE_S <= 3, "within three seconds"
    for view in quiet[-1]:
        assert view is not None
        assert (view.status, view.reason, view.bytes_per_second, view.eta_seconds) == (
            "downloading",
            reason,
            None,
            None,
        )
        assert view.detail is not None
        assert view.detail.startswith(detail[:-6]), view.detail
    assert len(quiet[-1]) == 2, "file and repo"
    receive(clock, active, 1000)
    await clock.tick()
    for view in shown(wired):
        assert view is not None
        assert (view.reason, view.detail, view.bytes_per_second) == (None, None, None)
    receive(clock, active, 1000)
    await clock.tick()
    assert {view.bytes_per_second for view in shown(wired) if view} == {4000}, "right at once, after the outage too"


async def test_a_repo_says_why_only_while_none_of_its_files_gets_a_byte(wired: Wired, clock: Clock) -> None:
    repo = repo_of(listed=True, revive=False)
    wired.enter(repo)
    silent = await begun(wired, repo_ids=[repo.id])
    other = file_of("b", source=source_of(1, size_bytes=LARGE), repo_ids=[repo.id], number=1)
    await wired.start(other)
    moving = wired.made.running.files[other.id]
    receive(clock, silent, 1)
    for _ in range(20):
        receive(clock, moving, 1000)
        await clock.tick()
    assert silent.record.reason is Reason.STALLED
    assert (repo.reason, other.reason) == (None, None)
    for _ in range(12):
        await clock.tick()
    assert (repo.reason, other.reason) == (Reason.STALLED, Reason.STALLED)


@pytest.mark.parametrize("is_answered", [False, True])
async def test_only_a_byte_ends_the_waits_of_others(
    wired: Wired, clock: Clock, monkeypatch: pytest.MonkeyPatch, is_answered: bool
) -> None:
    ended: list[None] = []
    monkeypatch.setattr(Retries, "network_is_back", lambda _: ended.append(None))
    meter = (active := await begun(wired, asked_singly=True)).meter
    meter.last_error, meter.quiet_since_s = (Reason.NETWORK, "no route"), clock.now
    for _ in range(12):
        await clock.tick()
    assert active.record.reason is Reason.NETWORK
    meter.quiet_since_s = None  # it waits for a slot, or its attempt has just ended
    if is_answered:
        meter.last_error = None
    await clock.tick()
    assert len(ended) == is_answered


async def test_a_repo_that_waits_says_the_numbers_of_now(wired: Wired, clock: Clock) -> None:
    repo = repo_of(listed=True, revive=False)
    wired.enter(repo)
    record = (await begun(wired, repo_ids=[repo.id])).record
    later = "2099-01-01T00:00:00.000Z"
    for detail in ("needs 9 MB, 1 MB free", "needs 9 MB, 5 MB free"):
        wired.made.ledger.change(record, Stimulus.WAIT, reason=Reason.DISK_FULL, detail=detail, retry_at=later)
        version = repo.version
        await clock.tick()
        assert (repo.state, repo.reason, repo.detail) == (Status.QUEUED, Reason.DISK_FULL, detail)
    assert repo.version > version


async def test_this_machine_is_no_outage(wired: Wired, clock: Clock) -> None:
    """While a slot, the disk or the bandwidth limit is the cause, the engine expects no byte."""
    active = await begun(wired, asked_singly=True)
    receive(clock, active, 1000)
    active.meter.quiet_since_s = None
    for _ in range(20):
        await clock.tick()
    assert (active.record.reason, wired.made.running.bytes_per_second(active.record.id)) == (None, None)


async def test_why_nothing_arrives_is_published_for_small_files_too(wired: Wired, clock: Clock) -> None:
    active = await begun(wired, 10, asked_singly=True)
    receive(clock, active, 5)
    await clock.tick()
    assert shown(wired) == [], "a small file is over before it is seen"
    active.meter.last_error = (Reason.NETWORK, "connection refused")
    for _ in range(12):
        await clock.tick()
    (view,) = shown(wired)
    assert view is not None
    assert (view.reason, view.detail) == (Reason.NETWORK, "connection refused")
    receive(clock, active, 5)
    await clock.tick()
    (view,) = shown(wired)
    assert view is not None
    assert (view.reason, view.detail) == (None, None)


async def test_why_the_hub_gives_no_list_is_published(wired: Wired, clock: Clock) -> None:
    repo = repo_of()
    await wired.start(repo)
    wired.supervisor.background(wired.sampler.run(), "sample")
    await asyncio.sleep(0)
    meter = wired.made.running.listings[repo.id].meter
    meter.url, meter.quiet_since_s = "https://hub.example", clock.now
    wired.made.heard()
    for _ in range(12):
        await clock.tick()
    view = shown(wired)[-1]
    assert isinstance(view, RepoDownload)
    assert (view.status, view.phase, view.reason) == (Status.DOWNLOADING, Phase.LISTING, Reason.STALLED)
    assert view.detail == "no data from hub.example for 3 s"
    meter.quiet_since_s = clock.now
    await clock.tick()
    view = shown(wired)[-1]
    assert view is not None
    assert (view.reason, view.detail) == (None, None)


async def test_what_waited_stays_queued_with_its_reason_until_the_first_byte(wired: Wired, clock: Clock) -> None:
    active = await begun(wired, asked_singly=True)
    record = active.record
    wired.admit(0)
    async with wired.stopper.stopped([record]):
        wired.made.ledger.change(record, Stimulus.WAIT, reason=Reason.NETWORK, detail="refused")
    wired.admit()
    await until(lambda: record.id in wired.made.running.files)
    active = wired.made.running.files[record.id]
    assert (record.state, record.reason, record.detail, record.attempt) == (Status.QUEUED, Reason.NETWORK, "refused", 2)
    wired.made.heard()
    active.meter.quiet_since_s, active.meter.last_error = clock.now, (Reason.NETWORK, "no route to cdn.example")
    for _ in range(12):
        await clock.tick()
    (view,) = shown(wired)
    assert view is not None
    assert (view.status, view.reason, view.detail) == (Status.QUEUED, Reason.NETWORK, "no route to cdn.example")
    receive(clock, active, 1000)
    await clock.tick()
    (view,) = shown(wired)
    assert isinstance(view, Download)
    assert (view.status, view.phase, view.reason, view.downloaded_bytes, view.attempt) == (
        Status.DOWNLOADING, Phase.TRANSFERRING, None, 1000, 2,
    )  # fmt: skip


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
        wired.made.ledger.note(active.record, synced=[(0, 900 * number)])
        await clock.tick()
        published += [view.downloaded_bytes for view in shown(wired) if isinstance(view, RepoDownload)]
        kept.append(await kept_bytes())
    assert published == [1000 * number for number in range(1, 13)]
    writes = [after for before, after in zip([0, *kept], kept, strict=False) if before != after]
    assert writes == [900 * round(REPO_TRACKER_S / 0.25)], "what is synced"


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
