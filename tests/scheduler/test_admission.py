"""Admission carries decisions out: work starts in tasks, and whatever ends it, its record and its slot are free."""

from __future__ import annotations

import asyncio

import pytest

from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, RepoSpec
from hfdmd.scheduler.running import ActiveFile
from hfdmd.wire.types import Phase, Reason, RepoType, Status
from tests.scheduler.parts import Wired, file_of, repo_of, source_of, until


def singles(count: int, **fields: object) -> list[FileRecord]:
    return [file_of(f"f{number:03}", number=number, asked_singly=True, **fields) for number in range(count)]


def repo_number(number: int) -> RepoSpec:
    return RepoSpec(repo_type=RepoType.MODEL, model_repo=f"o/n{number}", revision="main")


def running(wired: Wired) -> set[str]:
    return set(wired.made.running.files)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_is_queued_starts_as_slots_allow_and_the_next_follows(wired: Wired) -> None:
    records = singles(3)
    wired.enter(*records)
    wired.admit(2)
    await until(lambda: running(wired))
    assert running(wired) == {records[0].id, records[1].id}
    assert records[0].phase is Phase.RESOLVING
    task = wired.made.running.task_of(records[0])
    assert task is not None
    wired.made.ledger.change(records[0], Stimulus.FAIL, reason=Reason.GATED)
    task.cancel()
    await until(lambda: records[2].id in running(wired))
    assert running(wired) == {records[1].id, records[2].id}


async def test_nothing_starts_while_trackers_load(wired: Wired) -> None:
    wired.made.index.is_complete = False
    wired.enter(*singles(1))
    wired.admit()
    await turns()
    assert running(wired) == set()
    wired.made.index.is_complete = True
    wired.admit()
    await until(lambda: running(wired))


async def test_a_drive_that_ends_without_a_result_is_queued_again(
    wired: Wired, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (record,) = singles(1, source=source_of(size_bytes=1 << 20), synced=[(0, 30)], downloaded_bytes=30)
    starts = []

    async def ends(active: ActiveFile) -> None:
        starts.append(active.record.attempt)
        wired.made.ledger.progress(active.record, None, None, downloaded_bytes=80)
        if len(starts) > 1:
            await asyncio.Event().wait()

    monkeypatch.setattr(wired.admission, "_run_file", ends)
    await wired.start(record)
    await until(lambda: len(starts) == 2)
    assert starts == [1, 2]
    waits = [(before, after) for key, before, after in wired.made.seen.changes if key == record.id]
    assert (Status.DOWNLOADING, Status.QUEUED) in waits
    assert "ended unexpectedly; queued again" in caplog.text
    first = wired.made.running.files[record.id].meter
    assert first.downloaded_bytes == 30, "only what is synced counts"


async def test_a_drive_that_is_cancelled_before_its_first_step_leaves_nothing_behind(wired: Wired) -> None:
    (record,) = singles(1)
    wired.enter(record)
    wired.admit(1)
    await until(lambda: running(wired))
    task = wired.made.running.task_of(record)
    assert task is not None
    wired.admit(0)
    async with wired.stopper.stopped([record]):
        assert running(wired) == set()
        wired.made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
    (other,) = [file_of("other", asked_singly=True, number=9)]
    wired.enter(other)
    wired.admit(1)
    await until(lambda: other.id in running(wired))


async def test_many_small_files_start_in_portions(wired: Wired) -> None:
    """Other tasks get their turn between two portions."""
    repo = repo_of(listed=True, revive=False)
    wired.enter(repo, *(file_of(f"{n:03}", repo_ids=[repo.id], source=source_of(n), number=n) for n in range(50)))
    wired.admit()
    seen = []
    while len(running(wired)) < 50:
        await asyncio.sleep(0)
        seen.append(len(running(wired)))
    portions = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    assert max(portions) <= 17


async def test_only_large_files_get_a_tracker_when_they_start(wired: Wired) -> None:
    repo = repo_of(listed=True, revive=False)
    wired.enter(repo)
    small = file_of("small", repo_ids=[repo.id], source=source_of(1))
    large = file_of("large", repo_ids=[repo.id], source=source_of(2, size_bytes=100 << 20), number=1)
    for record in (small, large):
        wired.made.ledger.add_child(record)
        wired.made.ledger.announce(record)
    wired.admit()
    await until(lambda: len(running(wired)) == 2)
    assert (small.phase, large.phase) == (Phase.TRANSFERRING, Phase.RESOLVING)
    actives = wired.made.running.files
    assert (actives[small.id].weight, actives[large.id].weight) == (1, 13)
    assert actives[small.id].slot == actives[large.id].slot == repo.id
    await wired.made.store.flush()
    assert set(wired.made.on_disk()) == {repo.id, large.id}


async def test_a_repo_is_listed_in_its_slot_and_its_attempts_are_counted(wired: Wired) -> None:
    repos = [repo_of(spec=repo_number(number), number=number) for number in range(2)]
    wired.enter(*repos)
    wired.admit(1)
    await until(lambda: wired.made.running.listings)
    await turns()
    assert set(wired.made.running.listings) == {repos[0].id}
    assert (repos[0].state, repos[0].phase, repos[0].attempt) == (Status.DOWNLOADING, Phase.LISTING, 1)
    task = wired.made.running.task_of(repos[0])
    assert task is not None
    wired.made.ledger.derive(repos[0], Status.FAILED, reason=Reason.GATED)
    task.cancel()
    await until(lambda: repos[1].id in wired.made.running.listings)
    assert set(wired.made.running.listings) == {repos[1].id}


async def test_a_repo_that_is_deleted_and_asked_for_again_while_it_is_listed_is_listed_anew(wired: Wired) -> None:
    repo = repo_of()
    await wired.start(repo)
    task = wired.made.running.task_of(repo)
    assert task is not None
    wired.made.ledger.forget(repo)
    again = repo_of()
    wired.enter(again)
    task.cancel()
    await until(lambda: wired.made.running.task_of(again) not in (None, task))
    assert wired.made.running.listings[again.id].repo is again


@pytest.mark.parametrize("status", [Status.PAUSED, Status.CANCELLED])
async def test_a_file_that_is_resumed_alone_has_its_held_repo_listed(wired: Wired, status: Status) -> None:
    is_paused = status is Status.PAUSED
    repo = repo_of(status, held=is_paused, cancelled=not is_paused)
    record = file_of("a", status, repo_ids=[repo.id], reason=Reason.REQUESTED if is_paused else None)
    wired.enter(repo, record)
    wired.made.ledger.change(record, Stimulus.RESUME if is_paused else Stimulus.ASK)
    assert repo.state is Status.QUEUED
    wired.admit(1)
    await until(lambda: repo.id in wired.made.running.listings)


async def test_closing_cancels_everything_and_starts_nothing(wired: Wired) -> None:
    record, repo, late = file_of("a", asked_singly=True), repo_of(), file_of("b", asked_singly=True, number=1)
    await wired.start(record, repo)
    tasks = wired.made.running.tasks()
    wired.supervisor.close()
    wired.enter(late)
    await asyncio.wait(tasks)
    await turns()
    assert len(tasks) == 2
    assert all(task.cancelled() for task in tasks)
    assert wired.made.running.files == {}
    assert record.state is Status.DOWNLOADING, "the tracker says that it was running, for the next start"
    assert late.state is Status.QUEUED
    wired.made.ledger.change(record, Stimulus.WAIT)
    wired.made.ledger.derive(repo, Status.QUEUED)
