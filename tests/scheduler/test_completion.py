"""A repo download is done when the disk says so: what was removed meanwhile is fetched again, unless it is held."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, RepoRecord
from hfdmd.wire.types import Reason, Status
from tests.scheduler.parts import COMMIT, Wired, entry_of, file_of, remove, repo_of, until

DATA = b"the content"


async def filled(wired: Wired, *names: str, **fields: object) -> tuple[RepoRecord, list[FileRecord]]:
    """A listed repo download whose last file is about to end; its kept list is on disk."""
    repo = repo_of(listed=True, revive=False, commit=COMMIT, **fields)
    files = [file_of(name, repo_ids=[repo.id], number=number) for number, name in enumerate(names)]
    wired.enter(repo, *files)
    wired.listings.write(repo.id, COMMIT, 0.0, 0.0, [entry_of(name) for name in names])
    for number, record in enumerate(files[:-1]):
        await wired.place(record, DATA + b"%d" % number)
    return repo, files


def is_listed_on_disk(wired: Wired, repo: RepoRecord) -> bool:
    return (wired.listings.folder / f"{repo.id}.jsonl").exists()


async def test_it_is_done_when_all_files_are_there_and_its_list_goes(wired: Wired) -> None:
    repo, files = await filled(wired, "a", "sub/b")
    assert repo.state is Status.QUEUED
    await wired.place(files[1], DATA)
    await until(lambda: repo.state is Status.DONE)
    assert repo.path == str(Path(files[0].path or "").parent)
    assert (repo.progress, repo.files_done) == (100, 2)
    await until(lambda: not is_listed_on_disk(wired, repo))


@pytest.mark.parametrize("held", [False, True])
async def test_what_was_removed_is_listed_again_unless_it_is_held(wired: Wired, held: bool) -> None:
    repo, files = await filled(wired, "a", "b", held=held)
    remove(files[0])
    await wired.place(files[1], DATA)
    await until(lambda: not repo.listed)
    assert repo.state is (Status.PAUSED if held else Status.QUEUED)
    assert repo.revive, "the listing queues what is missing"
    if held:
        assert repo.reason is Reason.REQUESTED
    else:
        assert "1 of its files were removed meanwhile" in (repo.detail or "")
    assert is_listed_on_disk(wired, repo)


async def test_a_file_that_is_wanted_again_during_the_check_keeps_it_running(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, go_on = threading.Event(), threading.Event()

    def slow(_: object) -> bool:
        checks.set()
        go_on.wait()
        return True

    monkeypatch.setattr(wired.batches, "is_in_place", slow)
    repo, files = await filled(wired, "a", "b")
    await wired.place(files[1], DATA)
    await until(checks.is_set)
    wired.made.ledger.change(files[0], Stimulus.ASK, downloaded_bytes=0)
    go_on.set()
    await until(lambda: repo.state is Status.QUEUED)
    await until(lambda: not wired.completion._checking)
    assert repo.state is Status.QUEUED
    assert repo.listed


async def test_the_disk_is_checked_once_at_a_time(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    checked, go_on = [], threading.Event()

    def slow(record: FileRecord) -> bool:
        checked.append(record.id)
        go_on.wait()
        return True

    monkeypatch.setattr(wired.batches, "is_in_place", slow)
    repo, files = await filled(wired, "a")
    await wired.place(files[0], DATA)
    await until(lambda: checked)
    wired.made.ledger.refresh(repo)
    wired.made.ledger.refresh(repo)
    go_on.set()
    await until(lambda: repo.state is Status.DONE)
    assert checked == [files[0].id]
    wired.made.ledger.refresh(repo)
    await asyncio.sleep(0)
    assert checked == [files[0].id], "a repo download that is done is not checked again"


async def test_a_repo_that_is_deleted_during_the_check_does_not_come_back(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, go_on = threading.Event(), threading.Event()

    def slow(_: object) -> bool:
        checks.set()
        go_on.wait()
        return True

    monkeypatch.setattr(wired.batches, "is_in_place", slow)
    repo, files = await filled(wired, "a")
    await wired.place(files[0], DATA)
    await until(checks.is_set)
    wired.made.ledger.forget(files[0], gone={repo.id})
    wired.made.ledger.forget(repo)
    go_on.set()
    await until(lambda: not wired.completion._checking)
    await wired.made.store.flush()
    assert wired.made.on_disk() == {}
    await until(lambda: not is_listed_on_disk(wired, repo))


async def test_the_end_waits_for_an_action_that_runs(wired: Wired) -> None:
    """An action that is about to delete or pause does not find it done in the middle."""
    repo, files = await filled(wired, "a")
    go_on = asyncio.Event()
    action = asyncio.create_task(wired.supervisor.exclusive(go_on.wait()))
    await asyncio.sleep(0)
    await wired.place(files[0], DATA)
    for _ in range(50):
        await asyncio.sleep(0)
    assert repo.state is not Status.DONE
    go_on.set()
    await action
    await until(lambda: repo.state is Status.DONE)
