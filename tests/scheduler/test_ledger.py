"""The ledger: state, index, tracker, version and event change together, and `done` is on disk before it is shown."""

from __future__ import annotations

import asyncio

import pytest

from hfdmd.lifecycle import InvalidTransition, Stimulus
from hfdmd.record import FileRecord, RepoRecord
from hfdmd.wire.types import Reason, Status
from tests.scheduler.parts import Parts, active_of, file_of, repo_of, source_of


def started(made: Parts, record: FileRecord) -> FileRecord:
    """The record, entered and downloading."""
    made.ledger.enter(record)
    made.running.add_file(active_of(record))
    made.ledger.change(record, Stimulus.START)
    return record


async def test_a_change_reaches_index_tracker_observers_and_listeners(made: Parts) -> None:
    record = file_of("a", asked_singly=True)
    made.ledger.enter(record)
    made.heard()
    before = record.version
    made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
    assert record.version > before
    assert made.index.counts[Status.PAUSED] == 1
    assert made.seen.changes[-1] == (record.id, Status.QUEUED, Status.PAUSED)
    (event,) = made.heard()
    assert event.state is not None
    assert (event.state.status, event.state.version) == (Status.PAUSED, record.version)
    await made.store.flush()
    assert made.on_disk()[record.id].state is Status.PAUSED


async def test_fields_are_set_together_with_the_status(made: Parts) -> None:
    repo = repo_of(listed=True)
    record = file_of("a", Status.DONE, source=source_of(), downloaded_bytes=100, repo_ids=[repo.id])
    made.ledger.enter(repo)
    made.ledger.enter(record)
    made.ledger.change(record, Stimulus.ASK, downloaded_bytes=0)
    assert made.index.sums[repo.id].downloaded_bytes == 0
    assert record.progress == 0


async def test_an_illegal_change_tells_its_story(made: Parts) -> None:
    record = file_of("a", asked_singly=True)
    made.ledger.enter(record)
    made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
    with pytest.raises(InvalidTransition, match=r"finish does not fit paused; before that: pause: queued -> paused"):
        made.ledger.change(record, Stimulus.FINISH)
    assert record.state is Status.PAUSED


async def test_a_tracker_never_counts_more_than_what_is_synced(made: Parts) -> None:
    record = started(made, file_of("a", asked_singly=True, source=source_of()))
    made.ledger.progress(record, None, None, downloaded_bytes=70, reused_bytes=60)
    await made.ledger.checkpoint(record, [(0, 40)])
    kept = made.on_disk()[record.id]
    assert isinstance(kept, FileRecord)
    assert (kept.downloaded_bytes, kept.reused_bytes, kept.progress, kept.synced) == (40, 40, 40.0, [(0, 40)])
    assert (record.downloaded_bytes, record.reused_bytes, record.progress) == (70, 60, 70.0)
    made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
    made.running.remove_file(made.running.files[record.id])


async def test_what_was_copied_but_not_synced_is_not_counted_twice_when_it_is_copied_again(made: Parts) -> None:
    record = started(made, file_of("a", asked_singly=True, source=source_of()))
    made.ledger.progress(record, None, None, downloaded_bytes=70, reused_bytes=60)
    made.ledger.save(record, synced=[(0, 40)])
    made.ledger.fall_back(record)
    assert (record.downloaded_bytes, active_of(record).meter.reused_bytes) == (40, 40)
    made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
    made.running.remove_file(made.running.files[record.id])


async def test_done_is_on_disk_before_it_is_shown(made: Parts) -> None:
    record = started(made, file_of("a", asked_singly=True, source=source_of()))
    made.heard()
    finishing = asyncio.create_task(
        made.ledger.finish(record, path="/p", size_bytes=100, mtime_ns=5, adopted=False, detail=None)
    )
    await asyncio.sleep(0)
    assert record.state is Status.DOWNLOADING
    await finishing
    kept = made.on_disk()[record.id]
    (event,) = made.heard()
    assert event.state is not None
    assert (kept.state, kept.version) == (Status.DONE, event.state.version)
    assert record.progress == 100
    made.running.remove_file(made.running.files[record.id])


async def test_an_edit_during_finish_is_kept_and_done_is_written_again(made: Parts) -> None:
    record = started(made, file_of("a", asked_singly=True, source=source_of()))
    finishing = asyncio.create_task(
        made.ledger.finish(record, path="/p", size_bytes=100, mtime_ns=5, adopted=False, detail=None)
    )
    await asyncio.sleep(0)
    made.ledger.edit(record, priority=7)
    await finishing
    await made.store.flush()
    kept = made.on_disk()[record.id]
    assert (kept.state, kept.priority, kept.version) == (Status.DONE, 7, record.version)
    made.running.remove_file(made.running.files[record.id])


async def test_a_child_has_no_tracker_until_it_is_more_than_its_listing_says(made: Parts) -> None:
    repo = repo_of(listed=True)
    record = file_of("a", source=source_of(), repo_ids=[repo.id])
    made.ledger.enter(repo)
    made.ledger.add_child(record)
    made.ledger.announce(record)
    await made.store.flush()
    assert record.id not in made.on_disk()
    made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
    await made.store.flush()
    assert record.id in made.on_disk()


async def test_a_repo_follows_its_files_and_done_waits_for_a_look_at_the_disk(made: Parts) -> None:
    repo = repo_of(listed=True)
    record = file_of("a", source=source_of(), repo_ids=[repo.id])
    made.ledger.enter(repo)
    made.ledger.enter(record)
    made.running.add_file(active_of(record, repo.id))
    made.ledger.change(record, Stimulus.START)
    assert repo.state is Status.DOWNLOADING
    await made.ledger.finish(record, path="/p", size_bytes=100, mtime_ns=5, adopted=False, detail=None)
    made.running.remove_file(made.running.files[record.id])
    assert repo.state is Status.DOWNLOADING
    assert made.seen.sums[-1] == (repo.id, Status.DONE)
    made.ledger.derive(repo, Status.DONE)
    assert (repo.progress, repo.files_done) == (100, 1)


async def test_a_refresh_that_finds_nothing_new_reports_nothing(made: Parts) -> None:
    repo = repo_of(listed=True)
    made.ledger.enter(repo)
    made.ledger.enter(file_of("a", source=source_of(), repo_ids=[repo.id]))
    made.ledger.refresh(repo)
    made.seen.sums.clear()
    version = repo.version
    made.ledger.refresh(repo)
    assert made.seen.sums == []
    assert repo.version == version, "the answer of an action stays true"


async def test_what_is_forgotten_leaves_index_disk_and_its_repo(made: Parts) -> None:
    repo = repo_of(listed=True)
    files = [file_of(name, source=source_of(), repo_ids=[repo.id]) for name in ("a", "b")]
    for record in (repo, *files):
        made.ledger.enter(record)
    made.heard()
    made.ledger.forget(files[0])
    assert made.heard()[0].name == "removed"
    assert made.seen.gone == [files[0].id]
    assert set(made.index.sums[repo.id].files) == {files[1].id}
    await made.store.flush()
    assert files[0].id not in made.on_disk()


async def test_what_was_running_is_restored_as_queued_with_a_newer_version(made: Parts) -> None:
    record = file_of("a", Status.DOWNLOADING, asked_singly=True)
    made.ledger.restore(record)
    assert (record.state, record.reason) == (Status.QUEUED, Reason.RESTARTED)
    assert record.version > 1
    repo = repo_of(Status.DOWNLOADING)
    made.ledger.restore(repo)
    assert (repo.state, repo.reason) == (Status.QUEUED, Reason.RESTARTED)
    made.queue.offer(repo)


@pytest.mark.parametrize("broken", ["sums", "queue", "work", "version"])
async def test_contradictions_are_found(made: Parts, broken: str) -> None:
    repo: RepoRecord = repo_of(listed=True)
    record = file_of("a", source=source_of(), repo_ids=[repo.id])
    made.ledger.enter(repo)
    made.ledger.enter(record)
    if broken == "sums":
        made.index.sums[repo.id].downloaded_bytes += 1
    elif broken == "queue":
        made.queue.drop_repo(repo.id)
    elif broken == "work":
        made.ledger.change(record, Stimulus.START)
    else:
        record.version = 2**52
    assert len(made.ledger.validate()) == 1
    made.ledger.forget(record)
    made.index.sums[repo.id].downloaded_bytes = 0
