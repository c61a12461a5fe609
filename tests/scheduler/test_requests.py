"""Requests are idempotent: asking again queues only what is cancelled, gone or, with `retry`, failed."""

from __future__ import annotations

import asyncio
import threading

import pytest
from msgspec.structs import replace

from hfdmd.durable import write_new
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, FileSpec, RepoSpec, new_file
from hfdmd.scheduler.requests import Ask
from hfdmd.wire.errors import QueueFull
from hfdmd.wire.types import Reason, RepoType, Selector, Status
from tests.scheduler.parts import COMMIT, REPO, Wired, file_of, remove, repo_of, source_of, until

DATA = b"the content"
SPEC = REPO.file("a")


def other(number: int) -> RepoSpec:
    return RepoSpec(repo_type=RepoType.MODEL, model_repo=f"o/n{number}", revision="main")


async def test_a_new_request_is_queued_and_on_disk(wired: Wired) -> None:
    record, queued = await wired.requests.file(SPEC, Ask(priority=3))
    assert queued
    kept = wired.made.on_disk()[record.id]
    assert isinstance(kept, FileRecord)
    assert (kept.asked_singly, kept.priority, kept.state) == (True, 3, Status.QUEUED)
    assert await wired.requests.file(SPEC, Ask()) == (record, False)
    assert record.priority == 3, "no priority keeps the one that it has"


async def test_two_requests_at_once_make_one_download(wired: Wired) -> None:
    results = await asyncio.gather(*(wired.requests.file(SPEC, Ask()) for _ in range(3)))
    assert len({id(record) for record, _ in results}) == 1
    assert [queued for _, queued in results] == [True, False, False]
    assert len(wired.made.index.files) == 1
    assert wired.made.store.has_written(SPEC.id)


@pytest.mark.parametrize("spec", [SPEC, REPO])
async def test_the_second_answer_too_waits_for_the_tracker(
    wired: Wired, monkeypatch: pytest.MonkeyPatch, spec: FileSpec | RepoSpec
) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def held_up(path: str, data: bytes, *, mode: int) -> None:
        writing.set()
        assert go_on.wait(30)
        write_new(path, data, mode=mode)

    monkeypatch.setattr("hfdmd.tracker_writer.write_new", held_up)
    on_disk: list[bool] = []

    async def ask() -> None:
        ask_for = wired.requests.file if isinstance(spec, FileSpec) else wired.requests.repo
        record, _ = await ask_for(spec, Ask())  # type: ignore[operator]
        on_disk.append(record.id in wired.made.on_disk())

    first = asyncio.create_task(ask())
    await until(writing.is_set)
    second = asyncio.create_task(ask())
    for _ in range(20):  # an answer that did not wait would have arrived by now
        await asyncio.sleep(0)
    assert on_disk == []
    go_on.set()
    await asyncio.gather(first, second)
    assert on_disk == [True, True]


async def test_requests_while_trackers_load_find_what_is_on_disk(wired: Wired) -> None:
    known = file_of("a", Status.DOWNLOADING, asked_singly=True, source=source_of(), synced=[(0, 40)], priority=2)
    wired.made.store.put(known)
    await wired.made.store.flush()
    wired.made.index.is_complete = False
    first, queued = await wired.requests.file(SPEC, Ask())
    assert not queued
    assert (first.state, first.priority, first.synced) == (Status.QUEUED, 2, [(0, 40)])
    assert await wired.requests.file(SPEC, Ask()) == (first, False)
    new, queued = await wired.requests.file(REPO.file("b"), Ask())
    assert queued
    assert set(wired.made.index.files) == {first.id, new.id}
    wired.made.index.is_complete = True


@pytest.mark.parametrize(
    ("status", "retry", "is_queued"),
    [
        (Status.CANCELLED, False, True),
        (Status.FAILED, False, False),
        (Status.FAILED, True, True),
        (Status.PAUSED, True, False),
    ],
)
async def test_what_asking_again_queues(wired: Wired, status: Status, retry: bool, is_queued: bool) -> None:
    record = file_of("a", status, asked_singly=True, attempt=5)
    wired.enter(record)
    before = record.state
    assert await wired.requests.file(SPEC, Ask(retry=retry)) == (record, is_queued)
    assert record.state is (Status.QUEUED if is_queued else before)
    assert wired.made.on_disk()[record.id].state is record.state


@pytest.mark.parametrize("is_gone", [False, True])
async def test_what_is_done_is_fetched_again_only_when_it_is_gone(wired: Wired, is_gone: bool) -> None:
    record = file_of("a", asked_singly=True)
    await wired.place(record, DATA)
    if is_gone:
        remove(record)
    assert await wired.requests.file(SPEC, Ask()) == (record, is_gone)
    expected = (Status.QUEUED, 0) if is_gone else (Status.DONE, len(DATA))
    assert (record.state, record.downloaded_bytes) == expected


async def test_a_download_that_is_deleted_while_the_disk_is_checked_is_made_anew(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = file_of("a", asked_singly=True)
    await wired.place(record, DATA)
    go_on = asyncio.Event()

    async def slow(*_: object) -> bool:
        await go_on.wait()
        return True

    monkeypatch.setattr("hfdmd.scheduler.requests.in_thread", slow)
    asking = asyncio.create_task(wired.requests.file(SPEC, Ask()))
    await asyncio.sleep(0)
    wired.made.ledger.forget(record)
    go_on.set()
    again, queued = await asking
    assert queued
    assert again is not record
    assert wired.made.on_disk()[SPEC.id].state is Status.QUEUED


async def test_a_file_of_a_repo_that_is_asked_for_singly_has_a_slot_and_a_tracker_of_its_own(wired: Wired) -> None:
    repo = repo_of(listed=True, revive=False)
    wired.enter(repo)
    child = file_of("a", repo_ids=[repo.id], source=source_of())
    wired.made.ledger.add_child(child)
    wired.made.ledger.announce(child)
    assert await wired.requests.file(SPEC, Ask()) == (child, False)
    kept = wired.made.on_disk()[child.id]
    assert isinstance(kept, FileRecord)
    assert kept.asked_singly
    wired.admit(1)
    await until(lambda: child.id in wired.made.running.files)
    assert wired.made.running.files[child.id].slot in (child.id, repo.id)


async def test_another_priority_changes_the_order(wired: Wired) -> None:
    first, _ = await wired.requests.file(SPEC, Ask())
    second, _ = await wired.requests.file(REPO.file("b"), Ask())
    assert await wired.requests.file(second.spec, Ask(priority=5)) == (second, False)
    assert wired.made.queue.next_unit(()) is second
    assert wired.made.on_disk()[second.id].priority == 5
    assert first.priority == 0


async def test_a_full_queue_counts_requests_that_have_not_ended(wired: Wired) -> None:
    wired.set(max_queue=3)
    repo = repo_of(listed=True, revive=False)
    wired.enter(repo, *(file_of(f"c{number}", repo_ids=[repo.id], number=number) for number in range(9)))
    wired.enter(file_of("done", Status.DONE, asked_singly=True), file_of("failed", Status.FAILED, asked_singly=True))
    await wired.requests.file(SPEC, Ask())
    await wired.requests.repo(other(1), Ask())
    with pytest.raises(QueueFull, match="3 requests wait already, max_queue allows 3"):
        await wired.requests.file(REPO.file("b"), Ask())
    with pytest.raises(QueueFull):
        await wired.requests.repo(other(2), Ask())
    assert (await wired.requests.file(SPEC, Ask()))[1] is False, "what is known needs no room"
    await wired.actions.act(Stimulus.CANCEL, Selector(id=SPEC.id))
    assert (await wired.requests.file(REPO.file("b"), Ask()))[1]


@pytest.mark.parametrize("spec", [SPEC, REPO])
async def test_a_refused_request_leaves_no_token_for_the_next_caller(wired: Wired, spec: FileSpec | RepoSpec) -> None:
    wired.set(max_queue=1)
    await wired.requests.repo(other(1), Ask())
    ask_for = wired.requests.file if isinstance(spec, FileSpec) else wired.requests.repo
    with pytest.raises(QueueFull):
        await ask_for(spec, Ask(token="hf_one"))  # type: ignore[operator]
    assert len(wired.tokens) == 0


@pytest.mark.parametrize("update", [False, True])
async def test_the_token_for_a_done_file_of_a_commit_is_not_kept(wired: Wired, update: bool) -> None:
    record = new_file(replace(REPO, revision=COMMIT).file("a"), 1, 0.0, 0.0, asked_singly=True)
    await wired.place(record, DATA)
    await wired.requests.file(record.spec, Ask(update=update, token="hf_one"))
    assert record.state is Status.DONE
    assert len(wired.tokens) == 0


async def test_a_repo_that_is_asked_for_twice_is_one(wired: Wired) -> None:
    (first, queued), (second, again) = await asyncio.gather(
        wired.requests.repo(REPO, Ask(retry=True, priority=4)), wired.requests.repo(REPO, Ask())
    )
    assert first is second
    assert (queued, again) == (True, False)
    kept = wired.made.on_disk()[first.id]
    assert (kept.priority, first.retry) == (4, True)


async def test_a_cancelled_repo_takes_up_its_cancelled_files(wired: Wired) -> None:
    repo = repo_of(Status.CANCELLED, listed=True, revive=False, cancelled=True, held=True)
    files = [file_of("a", Status.CANCELLED, repo_ids=[repo.id]), file_of("b", Status.FAILED, repo_ids=[repo.id])]
    files[1].reason = Reason.GATED
    wired.enter(repo, *files)
    assert await wired.requests.repo(REPO, Ask()) == (repo, True)
    assert [record.state for record in files] == [Status.QUEUED, Status.FAILED]
    assert (repo.cancelled, repo.held, repo.state) == (False, False, Status.QUEUED)
    assert await wired.requests.repo(REPO, Ask(retry=True)) == (repo, True)
    assert files[1].state is Status.QUEUED


@pytest.mark.parametrize("retry", [False, True])
async def test_a_repo_whose_listing_failed_is_listed_again_only_with_retry(wired: Wired, retry: bool) -> None:
    repo = repo_of(Status.FAILED, revive=False)
    repo.reason = Reason.GATED
    wired.enter(repo)
    assert await wired.requests.repo(REPO, Ask(retry=retry)) == (repo, retry)
    assert (repo.state, repo.revive) == ((Status.QUEUED, True) if retry else (Status.FAILED, False))


@pytest.mark.parametrize("why", ["dropped", "gone"])
async def test_a_done_repo_that_lacks_a_file_is_listed_again(wired: Wired, why: str) -> None:
    repo = repo_of(Status.DONE, listed=True, revive=False, commit=COMMIT)
    wired.enter(repo)
    record = file_of("a", repo_ids=[repo.id])
    await wired.place(record, DATA)
    await until(lambda: repo.state is Status.DONE and not wired.completion._checking)
    if why == "dropped":
        wired.made.ledger.save(repo, dropped={"b"})
    else:
        remove(record)
    assert await wired.requests.repo(REPO, Ask(update=True)) == (repo, True)
    assert (repo.listed, repo.revive, repo.dropped, repo.state) == (False, True, set(), Status.QUEUED)
    assert (repo.commit, repo.moving) == (None, True), "an update is part of the listing"


async def test_a_done_repo_that_is_whole_stays_done(wired: Wired) -> None:
    repo = repo_of(Status.DONE, listed=True, revive=False, commit=COMMIT)
    wired.enter(repo)
    await wired.place(file_of("a", repo_ids=[repo.id]), DATA)
    await until(lambda: repo.state is Status.DONE and not wired.completion._checking)
    assert await wired.requests.repo(REPO, Ask()) == (repo, False)
    assert (repo.state, repo.listed) == (Status.DONE, True)


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.FAILED])
async def test_asking_again_for_a_paused_repo_lets_no_file_go(wired: Wired, status: Status) -> None:
    repo = repo_of(Status.PAUSED, listed=True, held=True, reason=Reason.REQUESTED)
    wired.enter(repo)
    given_up = file_of("a", status, repo_ids=[repo.id], source=source_of())
    wired.enter(given_up, file_of("b", Status.PAUSED, repo_ids=[repo.id], number=1))
    record, queued = await wired.requests.repo(REPO, Ask(retry=True))
    assert (record.state, queued) == (Status.PAUSED, False)
    assert (given_up.state, given_up.reason) == (Status.PAUSED, Reason.REQUESTED)
    await wired.actions.act(Stimulus.RESUME, Selector(id=repo.id))
    assert given_up.state is Status.QUEUED
