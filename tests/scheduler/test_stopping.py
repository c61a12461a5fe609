"""Stopping: inside nothing runs and nothing starts; afterwards everything may go on, whatever happened inside."""

from __future__ import annotations

import asyncio

import pytest

from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord
from hfdmd.wire.types import Reason, Status
from tests.scheduler.parts import Wired, file_of, repo_of, source_of, until


def singles(count: int) -> list[FileRecord]:
    return [file_of(f"f{number}", number=number, asked_singly=True) for number in range(count)]


async def test_inside_nothing_runs_and_nothing_starts_and_afterwards_it_goes_on(wired: Wired) -> None:
    running, waiting = singles(2)
    await wired.start(running)
    wired.admit(0)
    wired.enter(waiting)
    async with wired.stopper.stopped([running, waiting]):
        assert wired.made.running.files == {}
        wired.made.ledger.change(running, Stimulus.WAIT)
        wired.admit()
        for _ in range(3):
            await asyncio.sleep(0)
        assert wired.made.running.files == {}
    await until(lambda: len(wired.made.running.files) == 2)
    assert (running.attempt, waiting.attempt) == (2, 1)


async def test_it_waits_for_work_that_ends_slowly(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    (record,) = singles(1)
    may_end, ended = asyncio.Event(), False

    async def slow(_: object) -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()
            ended = True

    monkeypatch.setattr(wired.admission, "_run_file", slow)
    await wired.start(record)
    wired.admit(0)
    asyncio.get_running_loop().call_later(0, may_end.set)
    async with wired.stopper.stopped([record]):
        assert ended
        wired.made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
    assert record.state is Status.PAUSED


async def test_an_action_that_fails_leaves_what_ran_queued(wired: Wired, caplog: pytest.LogCaptureFixture) -> None:
    records = singles(2)
    await wired.start(*records)
    wired.admit(0)

    async def act() -> None:
        async with wired.stopper.stopped(records):
            wired.made.ledger.change(records[0], Stimulus.PAUSE, reason=Reason.REQUESTED)
            raise ValueError("the action")

    with pytest.raises(ValueError, match="the action"):
        await act()
    assert [record.state for record in records] == [Status.PAUSED, Status.QUEUED]
    assert records[1].reason is Reason.RESTARTED
    assert records[1].id in caplog.text
    assert not wired.made.running.stopping
    wired.admit()
    await until(lambda: records[1].id in wired.made.running.files)


async def test_what_is_synced_counts_when_it_was_stopped(wired: Wired) -> None:
    record = file_of("a", asked_singly=True, source=source_of(), synced=[(0, 30)], downloaded_bytes=30)
    await wired.start(record)
    wired.admit(0)
    wired.made.ledger.progress(record, None, None, downloaded_bytes=80)
    async with wired.stopper.stopped([record]):
        assert record.downloaded_bytes == 30
        wired.made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)


async def test_what_was_deleted_inside_stays_deleted(wired: Wired) -> None:
    (record,) = singles(1)
    await wired.start(record)
    async with wired.stopper.stopped([record]):
        wired.made.ledger.forget(record)
    await asyncio.sleep(0)
    assert record.id not in wired.made.index
    assert wired.made.running.files == {}
    assert not wired.made.running.stopping


async def test_a_listing_is_stopped_and_starts_again(wired: Wired) -> None:
    repo = repo_of()
    await wired.start(repo)
    first = wired.made.running.task_of(repo)
    async with wired.stopper.stopped([repo]):
        assert wired.made.running.listings == {}
        assert first is not None
        assert first.cancelled()
        wired.made.ledger.derive(repo, Status.QUEUED)
        await asyncio.sleep(0)
        assert wired.made.running.listings == {}
    await until(lambda: wired.made.running.task_of(repo) not in (None, first))
