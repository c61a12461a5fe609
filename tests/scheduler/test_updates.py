"""Updates: a newer commit is moved to, the same content is kept, and without an answer everything stays as it is."""

from __future__ import annotations

import asyncio

import pytest

from hfdmd.failure import Failure
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, RepoRecord, RepoSpec, Source
from hfdmd.wire.types import Reason, RepoType, Selector, Status
from tests.scheduler.parts import COMMIT, OTHER_COMMIT, REPO, Wired, file_of, repo_of, source_for, until

OLD, NEW = b"the content", b"other content"
PART = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main", include=("a*",))


def source(data: bytes = OLD, commit: str = COMMIT) -> Source:
    return source_for(data, commit=commit)


async def updated(wired: Wired, record: FileRecord | RepoRecord) -> None:
    wired.updates.start(record)
    await until(lambda: not wired.updates.is_pending(record.id))


async def test_a_file_moves_to_a_newer_commit_and_what_waits_for_the_answer_sees_it(wired: Wired) -> None:
    record = file_of("a", asked_singly=True)
    await wired.place(record, OLD)
    wired.hub.add({"a": NEW}, OTHER_COMMIT)
    wired.hub.open.clear()
    wired.updates.start(record)
    await until(lambda: wired.hub.asked)
    assert wired.updates.is_pending(record.id)
    assert wired.updates.any_pending(Selector(model_repo="o/n"))
    assert not wired.updates.any_pending(Selector(model_repo="o/other"))
    before = record.version
    wired.hub.open.set()
    await until(lambda: not wired.updates.is_pending(record.id))
    assert (record.state, record.source, record.downloaded_bytes) == (Status.QUEUED, source(NEW, OTHER_COMMIT), 0)
    assert record.version > before


async def test_when_nothing_is_newer_only_the_version_rises(wired: Wired) -> None:
    wired.hub.add({"a": OLD})
    record = file_of("a", asked_singly=True)
    await wired.place(record, OLD)
    before = record.version
    await updated(wired, record)
    assert record.version > before
    assert record.state is Status.DONE


async def test_without_an_answer_everything_stays_as_it_is(wired: Wired) -> None:
    record, repo = file_of("a", asked_singly=True, source=source()), repo_of(listed=True, revive=False, commit=COMMIT)
    wired.enter(record, repo)
    before = repo.state
    wired.hub.failures = [Failure(Reason.NETWORK, "away") for _ in range(2)]
    await updated(wired, record)
    await updated(wired, repo)
    assert (record.state, record.source, repo.state, repo.commit) == (Status.QUEUED, source(), before, COMMIT)
    assert len(wired.hub.asked) == 2


async def test_a_commit_has_no_newer_one(wired: Wired) -> None:
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision=COMMIT)
    repo = repo_of(spec=spec, listed=True, commit=COMMIT)
    wired.enter(repo)
    wired.updates.start(repo)
    assert not wired.updates.is_pending(repo.id)
    assert wired.hub.asked == []


@pytest.mark.parametrize(
    ("before", "data", "after"),
    [
        (Status.DONE, OLD, Status.QUEUED),  # its snapshot is another one
        (Status.DOWNLOADING, OLD, Status.QUEUED),
        (Status.PAUSED, NEW, Status.PAUSED),
        (Status.FAILED, NEW, Status.QUEUED),
        (Status.FAILED, OLD, Status.FAILED),  # the same content would fail again
        (Status.CANCELLED, NEW, Status.CANCELLED),
    ],
)
async def test_what_a_move_makes_of_a_status(wired: Wired, before: Status, data: bytes, after: Status) -> None:
    status = Status.QUEUED if before is Status.DOWNLOADING else before
    record = file_of(
        "a", status, asked_singly=True, source=source(), reason=Reason.REQUESTED if status is Status.PAUSED else None
    )
    if before is Status.DOWNLOADING:
        await wired.start(record)
        wired.admit(0)
    else:
        wired.enter(record)
    await wired.updates.move_file(record, source(data, OTHER_COMMIT))
    assert record.state is after
    assert record.source == source(data, OTHER_COMMIT)


@pytest.mark.parametrize("data", [OLD, NEW])
async def test_bytes_of_the_same_content_are_kept_and_others_discarded(wired: Wired, data: bytes) -> None:
    record = file_of("a", Status.PAUSED, asked_singly=True, reason=Reason.REQUESTED, mismatches=1)
    wired.enter(record)
    part = wired.storage.part_path(record.spec, source())
    part.write_bytes(OLD[:5])
    wired.made.ledger.save(record, source=source(), synced=[(0, 5)], downloaded_bytes=5)
    await wired.updates.move_file(record, source(data, OTHER_COMMIT))
    is_same = data == OLD
    assert part.exists() is is_same
    assert (record.synced, record.downloaded_bytes) == (([(0, 5)], 5) if is_same else ([], 0))
    assert record.mismatches == (1 if is_same else 0)
    await wired.made.store.flush()
    kept = wired.made.on_disk()[record.id]
    assert isinstance(kept, FileRecord)
    assert (kept.synced, kept.source) == (record.synced, record.source)


async def test_a_file_that_was_deleted_meanwhile_is_not_moved(wired: Wired) -> None:
    record = file_of("a", asked_singly=True, source=source())
    wired.enter(record)
    wired.hub.add({"a": NEW}, OTHER_COMMIT)
    wired.hub.open.clear()
    wired.updates.start(record)
    await until(lambda: wired.hub.asked)
    wired.made.ledger.forget(record)
    wired.hub.open.set()
    await until(lambda: not wired.updates.is_pending(record.id))
    await wired.made.store.flush()
    assert wired.made.on_disk() == {}


async def repo_at_old_commit(wired: Wired, spec: RepoSpec = REPO, **fields: object) -> RepoRecord:
    repo = repo_of(spec=spec, listed=True, revive=False, commit=COMMIT, **fields)
    wired.enter(repo)
    return repo


async def test_a_repo_is_listed_again_at_a_newer_commit_and_its_running_files_stop(wired: Wired) -> None:
    repo = await repo_at_old_commit(wired)
    record = file_of("a", repo_ids=[repo.id], source=source())
    await wired.start(record)
    wired.hub.add({"a": NEW}, OTHER_COMMIT)
    await updated(wired, repo)
    assert (repo.commit, repo.listed, repo.moving, repo.path) == (OTHER_COMMIT, False, True, None)
    assert record.state is Status.QUEUED
    assert wired.made.running.files == {}, "no file of the old commit starts before it is listed"
    assert repo.id in wired.made.running.listings


@pytest.mark.parametrize("status", [Status.PAUSED, Status.CANCELLED])
async def test_a_repo_that_is_held_stays_held_at_the_newer_commit(wired: Wired, status: Status) -> None:
    is_paused = status is Status.PAUSED
    repo = repo_of(status, commit=COMMIT, revive=False, held=is_paused, cancelled=not is_paused)
    wired.enter(repo)
    wired.hub.add({}, OTHER_COMMIT)
    await updated(wired, repo)
    assert (repo.state, repo.commit) == (status, OTHER_COMMIT)


async def test_a_first_listing_is_not_asked_about(wired: Wired) -> None:
    repo = repo_of()
    wired.enter(repo)
    await updated(wired, repo)
    assert wired.hub.asked == []


async def test_siblings_that_share_files_follow(wired: Wired) -> None:
    repo = await repo_at_old_commit(wired)
    wired.made.ledger.edit(repo, commit=OTHER_COMMIT, told_at=5.0)

    def part(glob: str, revision: str = "main") -> RepoSpec:
        return RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision=revision, include=(glob,))

    shares = await repo_at_old_commit(wired, part("a*"))
    disjoint = await repo_at_old_commit(wired, part("b*"))
    revived = await repo_at_old_commit(wired, part("c*"))
    cancelled = repo_of(Status.CANCELLED, part("d*"), listed=True, revive=False, cancelled=True, commit=COMMIT)
    wired.enter(cancelled)
    tag = await repo_at_old_commit(wired, part("a*", "v1"))
    wired.made.ledger.note(revived, revive=True)
    shared = [one.id for one in (repo, shares, revived, cancelled, tag)]
    wired.enter(file_of("a", Status.CANCELLED, repo_ids=shared, source=source()))
    wired.enter(file_of("b", repo_ids=[disjoint.id], source=source()))
    await wired.updates.move_siblings(repo)
    assert (shares.commit, shares.told_at, shares.moving, shares.listed) == (OTHER_COMMIT, 5.0, True, False)
    assert [one.commit for one in (disjoint, revived, cancelled, tag)] == [COMMIT] * 4


async def test_a_commit_that_is_gone_makes_each_repo_ask_once(wired: Wired) -> None:
    repo, other = await repo_at_old_commit(wired), await repo_at_old_commit(wired, PART)
    wired.made.ledger.note(other, commit=OTHER_COMMIT)
    files = [file_of(name, repo_ids=[repo.id, other.id], source=source(), number=at) for at, name in enumerate("abc")]
    wired.enter(*files)
    wired.hub.add({"a": NEW}, OTHER_COMMIT)
    wired.hub.open.clear()
    for record in files:
        wired.updates.commit_is_gone(record, COMMIT)
    await until(lambda: wired.hub.asked)
    for _ in range(5):
        await asyncio.sleep(0)
    wired.hub.open.set()
    await until(lambda: repo.commit == OTHER_COMMIT)
    assert wired.hub.asked == ["head_commit"]
    assert other.listed
    assert repo.moving
    wired.updates.commit_is_gone(file_of("single"), COMMIT)


async def test_a_repo_that_an_action_stops_is_not_moved_in_the_middle_of_it(wired: Wired) -> None:
    repo = await repo_at_old_commit(wired)
    record = file_of("a", repo_ids=[repo.id], source=source())
    wired.enter(record)
    wired.hub.add({"a": NEW}, OTHER_COMMIT)
    go_on = asyncio.Event()
    action = asyncio.create_task(wired.supervisor.exclusive(go_on.wait()))
    await asyncio.sleep(0)
    wired.updates.start(repo)
    await until(lambda: wired.hub.asked)
    for _ in range(5):
        await asyncio.sleep(0)
    assert repo.commit == COMMIT
    wired.made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)
    go_on.set()
    await action
    await until(lambda: repo.commit == OTHER_COMMIT)
    assert repo.state is Status.PAUSED
