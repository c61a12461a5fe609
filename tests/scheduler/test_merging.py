"""A listing is carried out: files are added, joined, moved, woken and dropped, and what is worth keeping is kept."""

from __future__ import annotations

import asyncio

import pytest

from hfdmd.lifecycle import Stimulus
from hfdmd.record import Entry, FileRecord, RepoRecord, RepoSpec
from hfdmd.wire.types import Reason, RepoType, Status
from tests.scheduler.parts import COMMIT, OTHER_COMMIT, Wired, entry_of, file_of, remove, repo_of, source_of

PART = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main", include=("a*",))


async def merge(wired: Wired, repo: RepoRecord, *entries: Entry) -> list[FileRecord]:
    before = list(wired.made.index.sums[repo.id].files)
    return await wired.merger.take_in(repo, enumerate(entries), 1000.0, before)


def files(wired: Wired, repo: RepoRecord) -> dict[str, FileRecord]:
    return {record.spec.file_path: record for record in wired.made.index.children(repo)}


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, Status.QUEUED), ({"held": True}, Status.PAUSED), ({"cancelled": True, "held": True}, Status.CANCELLED)],
)
async def test_new_files_have_the_status_of_their_repo_and_no_tracker(
    wired: Wired, fields: dict[str, bool], status: Status
) -> None:
    repo = repo_of(Status.PAUSED if fields else Status.QUEUED, priority=4, **fields)
    wired.enter(repo)
    await merge(wired, repo, *(entry_of(f"{number:03}", number) for number in range(50)))
    found = list(files(wired, repo).values())
    assert {record.state for record in found} == {status}
    assert {record.priority for record in found} == {4}
    assert [record.source for record in found] == [source_of(number) for number in range(50)]
    by_order = sorted(found, key=lambda record: record.order)
    by_age = sorted(found, key=lambda record: record.created_at)
    assert by_order == by_age == found, "in the order of the listing, without doubles"
    assert len({record.order for record in found}) == len({record.created_at for record in found}) == 50
    await wired.made.store.flush()
    assert set(wired.made.on_disk()) == {repo.id}


async def test_a_file_that_was_known_joins_and_goes_by_the_least_strict_of_its_requests(wired: Wired) -> None:
    held = repo_of(Status.PAUSED, PART, held=True, listed=True, revive=False)
    wired.enter(held)
    await merge(wired, held, entry_of("a"))
    (record,) = files(wired, held).values()
    assert record.state is Status.PAUSED
    repo = repo_of()
    wired.enter(repo)
    assert await merge(wired, repo, entry_of("a")) == []
    assert record.repo_ids == [held.id, repo.id]
    assert record.state is Status.QUEUED


async def test_a_file_that_was_paused_itself_stays_paused(wired: Wired) -> None:
    record = file_of("a", asked_singly=True, source=source_of())
    wired.enter(record)
    wired.made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
    repo = repo_of()
    wired.enter(repo)
    await merge(wired, repo, entry_of("a"))
    assert (record.state, record.repo_ids) == (Status.PAUSED, [repo.id])


async def test_a_drive_that_is_asking_the_hub_gets_the_commit_of_the_listing(wired: Wired) -> None:
    record = file_of("a", asked_singly=True)
    await wired.start(record)
    running = wired.made.running.task_of(record)
    repo = repo_of()
    wired.enter(repo)
    await merge(wired, repo, entry_of("a", commit=OTHER_COMMIT))
    assert record.source == source_of(commit=OTHER_COMMIT)
    assert wired.made.running.task_of(record) is running, "it was not stopped"


async def test_what_runs_at_another_commit_is_stopped_and_moves(wired: Wired) -> None:
    record = file_of("a", asked_singly=True, source=source_of(1), synced=[(0, 5)], downloaded_bytes=5)
    await wired.start(record)
    wired.admit(0)
    repo = repo_of()
    wired.enter(repo)
    await merge(wired, repo, entry_of("a", 2, commit=OTHER_COMMIT))
    assert wired.made.running.files == {}
    assert (record.state, record.source) == (Status.QUEUED, source_of(2, commit=OTHER_COMMIT))
    assert (record.synced, record.downloaded_bytes) == ([], 0)


@pytest.mark.parametrize("is_gone", [False, True])
async def test_what_is_done_is_fetched_again_only_when_it_is_gone(wired: Wired, is_gone: bool) -> None:
    record = file_of("a", asked_singly=True)
    await wired.place(record, b"the content")
    assert record.source is not None
    if is_gone:
        remove(record)
    repo = repo_of()
    wired.enter(repo)
    await merge(wired, repo, Entry("a", record.source, "1" * 40))
    assert record.state is (Status.QUEUED if is_gone else Status.DONE)
    assert (wired.made.index.sums[repo.id].downloaded_bytes == 0) is is_gone


async def test_what_the_listing_does_not_name_is_given_back_for_dropping(wired: Wired) -> None:
    repo = repo_of(revive=False)
    wired.enter(repo)
    await merge(wired, repo, *(entry_of(name) for name in ("queued", "single", "shared", "done", "begun")))
    known = files(wired, repo)
    other = repo_of(spec=PART, listed=True, revive=False)
    wired.enter(other)
    ledger = wired.made.ledger
    ledger.edit(known["single"], asked_singly=True)
    ledger.edit(known["shared"], repo_ids=[repo.id, other.id])
    ledger.note(known["done"], source=None)
    await wired.place(known["done"], b"done")
    part = wired.storage.part_path(known["begun"].spec, source_of())
    part.write_bytes(b"12345")
    ledger.save(known["begun"], synced=[(0, 5)], downloaded_bytes=5)
    unlisted = await merge(wired, repo, entry_of("new"))
    assert {one.id for one in unlisted} == {one.id for one in known.values()}
    await wired.merger.drop(repo, unlisted)
    assert set(files(wired, repo)) == {"new"}
    assert set(wired.made.index.files) == {
        files(wired, repo)["new"].id, known["single"].id, known["shared"].id, known["done"].id
    }  # fmt: skip
    assert known["shared"].repo_ids == [other.id]
    assert known["done"].repo_ids == []
    assert not part.exists()
    await ledger.flush()
    assert known["begun"].id not in wired.made.on_disk()


async def test_what_is_asked_for_again_while_it_is_dropped_is_kept(wired: Wired) -> None:
    repo = repo_of(revive=False)
    wired.enter(repo)
    await merge(wired, repo, entry_of("a"), entry_of("b"))
    known = files(wired, repo)
    go_on = asyncio.Event()
    action = asyncio.create_task(wired.supervisor.exclusive(go_on.wait()))
    await asyncio.sleep(0)
    dropping = asyncio.create_task(wired.merger.drop(repo, list(known.values())))
    await asyncio.sleep(0)
    wired.made.ledger.note(known["a"], asked_singly=True)
    wired.made.ledger.forget(known["b"])
    go_on.set()
    await asyncio.gather(action, dropping)
    assert set(wired.made.index.files) == {known["a"].id}
    await wired.made.store.flush()
    assert known["a"].id in wired.made.on_disk()


async def test_a_file_that_is_deleted_before_it_is_dropped_is_left_alone(wired: Wired) -> None:
    repo = repo_of(revive=False)
    wired.enter(repo)
    await merge(wired, repo, entry_of("a"))
    (record,) = files(wired, repo).values()
    wired.made.ledger.forget(record)
    again = file_of("a", asked_singly=True)
    wired.enter(again)
    await wired.merger.drop(repo, [record])
    assert wired.made.index.files == {again.id: again}


async def test_what_was_deleted_out_of_a_repo_is_not_added_again(wired: Wired) -> None:
    repo = repo_of(dropped={"a"}, commit=COMMIT)
    wired.enter(repo)
    await merge(wired, repo, entry_of("a"), entry_of("b"))
    assert set(files(wired, repo)) == {"b"}


async def test_what_a_listing_of_a_paused_repo_takes_up_again_is_paused(wired: Wired) -> None:
    cancelled = file_of("a", Status.CANCELLED, source=source_of())
    wired.enter(cancelled)
    repo = repo_of(number=10**9, held=True)
    wired.enter(repo)
    await wired.merger.take_in(repo, [(0, entry_of("a"))], 0.0)
    assert (cancelled.state, cancelled.reason) == (Status.PAUSED, Reason.REQUESTED)
