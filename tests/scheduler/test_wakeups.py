"""What may start is woken and what may not stays asleep, whatever happens at the same moment; nothing is lost by it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

from hfdmd.cache.storage import Placed
from hfdmd.lifecycle import Stimulus
from hfdmd.scheduler.requests import Ask
from hfdmd.wire.types import Selector, Status
from tests.scheduler.parts import REPO, Wired, entry_of, file_of, repo_of, source_of, until

OTHER = replace(REPO, include=("b",))


async def test_what_is_asked_for_again_in_the_middle_of_its_delete_starts(wired: Wired) -> None:
    """The delete of many takes its time: the new request has the id of one that is still being stopped."""
    records = [file_of(f"f{number}", number=number, asked_singly=True) for number in range(5000)]
    wired.enter(*records)
    wired.admit(2)
    await until(lambda: records[0].id in wired.made.running.files)
    deleting = asyncio.create_task(wired.actions.delete(Selector(), delete_file=False))
    await until(lambda: not wired.made.index.holds(records[0]))
    asking = asyncio.create_task(wired.requests.file(records[0].spec, Ask()))
    await until(lambda: wired.made.index.get(records[0].id))
    assert records[0].id in wired.made.running.stopping
    await deleting
    record, queued = await asking
    assert queued
    assert record is not records[0]
    await until(lambda: record.id in wired.made.running.files)


async def test_another_priority_of_a_shared_file_lists_no_cancelled_repo(wired: Wired) -> None:
    going, cancelled = repo_of(listed=True), repo_of(Status.CANCELLED, OTHER, cancelled=True)
    shared = file_of("b", repo_ids=[going.id, cancelled.id], source=source_of())
    wired.enter(going, cancelled, shared)
    await wired.actions.reorder(Selector(id=shared.id), priority=3, position=None)
    assert (shared.priority, shared.state, cancelled.state) == (3, Status.QUEUED, Status.CANCELLED)
    wired.made.ledger.offer(shared)
    assert cancelled.state is Status.QUEUED, "a file that is released needs the slot of a listing"


async def test_an_action_that_leaves_a_repo_queued_shows_its_new_numbers(wired: Wired) -> None:
    repo, other = repo_of(listed=True), repo_of(spec=OTHER, listed=True)
    begun = file_of("a", repo_ids=[repo.id], source=source_of(1), synced=[(0, 50)], downloaded_bytes=50)
    shared = file_of("b", repo_ids=[repo.id, other.id], source=source_of(2))
    wired.enter(repo, other, begun, shared)
    wired.made.ledger.derive(repo, Status.QUEUED)
    wired.made.heard()
    sampling = asyncio.create_task(wired.sampler.run())
    await wired.actions.act(Stimulus.CANCEL, Selector(id=repo.id))
    assert (begun.state, shared.state, repo.state) == (Status.CANCELLED, Status.QUEUED, Status.QUEUED)
    await until(lambda: any(e.state and e.key == repo.id and not e.state.downloaded_bytes for e in wired.made.heard()))
    sampling.cancel()


async def test_the_queue_is_counted_once_however_many_get_a_priority(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each count goes through the whole queue, and events count it when it is due."""
    wired.enter(*(file_of(f"f{number}", number=number, asked_singly=True) for number in range(50)))
    recount = Mock(wraps=wired.made.queue.recount)
    monkeypatch.setattr(wired.made.queue, "recount", recount)
    await wired.actions.reorder(Selector(), priority=3, position=None)
    assert recount.call_count == 1


async def test_what_a_request_restores_while_trackers_load_is_known_as_written(wired: Wired) -> None:
    made, data = wired.made, b"content"
    record = file_of("a", asked_singly=True)
    await wired.place(record, data)
    made.index.remove(record)
    made.index.is_complete = False
    wired.written_files._written.clear()
    restored, queued = await wired.requests.file(record.spec, Ask())
    await wired.startup.run()
    assert (restored.state, queued) == (Status.DONE, False)
    assert restored.path is not None
    assert restored.placed_bytes is not None
    assert restored.placed_mtime_ns is not None
    placed = Placed(Path(restored.path), restored.placed_bytes, restored.placed_mtime_ns, found=True)
    other = file_of("b", asked_singly=True, source=restored.source)
    assert not wired.written_files.is_foreign(other, placed), "hfdmd itself wrote it before"


async def test_a_listing_that_only_moves_files_reads_no_disk(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = repo_of(revive=False, moving=True)
    record = file_of("a", Status.DONE, repo_ids=[repo.id], source=source_of(), path="/gone", placed_bytes=100)
    wired.enter(repo, record)
    monkeypatch.setattr(wired.batches, "is_in_place", Mock(side_effect=AssertionError("the disk was read")))
    assert await wired.merger.take_in(repo, [(0, entry_of("a"))], 0.0) == []
    assert record.state is Status.DONE
