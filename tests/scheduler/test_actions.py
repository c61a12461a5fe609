"""Actions: each acts on what it is for and on nothing else, and its answer shows what is true afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, Record, RepoRecord, RepoSpec
from hfdmd.wire.errors import NotAllowedNow, UnknownDownload
from hfdmd.wire.types import Reason, RepoType, Selector, Status
from tests.scheduler.parts import REPO, Wired, file_of, repo_of, source_for, source_of, until

DATA = b"the content"
PART = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main", include=("a*",))


def listed(wired: Wired, *names: str, spec: RepoSpec = REPO) -> tuple[RepoRecord, list[FileRecord]]:
    repo = repo_of(spec=spec, listed=True, revive=False)
    wired.enter(repo)
    files = []
    for number, name in enumerate(names):
        record = file_of(name, repo_ids=[repo.id], source=source_for(name.encode()), number=number)
        wired.made.ledger.add_child(record)
        wired.made.ledger.announce(record)
        files.append(record)
    wired.made.ledger.refresh(repo)
    return repo, files


def by(record: Record) -> Selector:
    return Selector(id=record.id)


def states(*records: Record) -> list[Status]:
    return [record.state for record in records]


def is_there(record: FileRecord) -> bool:
    return Path(record.path or "").exists()


async def begun(wired: Wired, record: FileRecord) -> Path:
    """The download was paused in the middle; its part file."""
    wired.enter(record)
    part = wired.storage.part_path(record.spec, source_for(DATA))
    part.write_bytes(DATA[:5])
    wired.made.ledger.save(record, source=source_for(DATA), synced=[(0, 5)], downloaded_bytes=5)
    return part


async def test_pause_and_resume_of_what_runs(wired: Wired) -> None:
    record = file_of("a", asked_singly=True)
    await wired.start(record)
    paused = await wired.actions.act(Stimulus.PAUSE, by(record))
    assert [(one.status, one.reason) for one in paused.downloads] == [(Status.PAUSED, Reason.REQUESTED)]
    assert wired.made.running.files == {}
    assert wired.made.on_disk()[record.id].state is Status.PAUSED
    resumed = await wired.actions.act(Stimulus.RESUME, by(record))
    assert resumed.downloads[0].version == record.version
    await until(lambda: record.state is Status.DOWNLOADING)
    assert record.attempt == 1, "attempts are counted anew"


async def test_cancelling_discards_what_has_arrived(wired: Wired) -> None:
    record = file_of("a", asked_singly=True)
    part = await begun(wired, record)
    await wired.actions.act(Stimulus.CANCEL, by(record))
    assert (record.state, record.synced, record.downloaded_bytes) == (Status.CANCELLED, [], 0)
    assert not part.exists()
    await wired.actions.act(Stimulus.RETRY, by(record))
    assert record.state is Status.QUEUED


async def test_an_action_that_does_not_fit_what_was_named_is_refused(wired: Wired) -> None:
    record = file_of("a", Status.DONE, asked_singly=True)
    wired.enter(record)
    with pytest.raises(NotAllowedNow, match="cannot pause: it is done"):
        await wired.actions.act(Stimulus.PAUSE, by(record))
    wide = await wired.actions.act(Stimulus.PAUSE, Selector(all=True))
    assert (wide.downloads, wide.unchanged) == ([], 1)
    with pytest.raises(UnknownDownload):
        await wired.actions.act(Stimulus.PAUSE, Selector(model_repo="o/unknown"))
    with pytest.raises(NotAllowedNow, match="only what is queued"):
        await wired.actions.reorder(by(record), priority=1, position=None)


async def test_a_check_that_raises_forbids_the_whole_action(wired: Wired) -> None:
    records = [file_of(name, asked_singly=True, number=number) for number, name in enumerate("ab")]
    wired.enter(*records)

    def check(matched: list[Record]) -> None:
        assert matched == records
        raise PermissionError

    with pytest.raises(PermissionError):
        await wired.actions.act(Stimulus.CANCEL, Selector(all=True), check)
    with pytest.raises(PermissionError):
        await wired.actions.delete(Selector(all=True), check, delete_file=True)
    assert states(*records) == [Status.QUEUED] * 2


async def test_pausing_a_repo_leaves_what_others_want(wired: Wired) -> None:
    repo, (own, single, shared) = listed(wired, "own", "single", "a-shared")
    other, _ = listed(wired, spec=PART)
    wired.made.ledger.edit(shared, repo_ids=[repo.id, other.id])
    wired.made.ledger.edit(single, asked_singly=True)
    answer = await wired.actions.act(Stimulus.PAUSE, by(repo))
    assert states(own, single, shared) == [Status.PAUSED, Status.QUEUED, Status.QUEUED]
    assert repo.held
    assert answer.repos[0].status is Status.QUEUED, "some of its files go on"
    await wired.actions.act(Stimulus.PAUSE, by(other))
    assert states(own, single, shared) == [Status.PAUSED, Status.QUEUED, Status.PAUSED]
    await wired.actions.act(Stimulus.RESUME, by(repo))
    assert states(own, single, shared) == [Status.QUEUED] * 3
    assert not repo.held
    assert other.held


async def test_holding_a_repo_writes_no_tracker_for_files_that_have_not_begun(wired: Wired) -> None:
    repo, files = listed(wired, "a", "b", "c")
    for stimulus in (Stimulus.PAUSE, Stimulus.RESUME, Stimulus.CANCEL, Stimulus.RETRY):
        await wired.actions.act(stimulus, by(repo))
    assert set(wired.made.on_disk()) == {repo.id}
    assert states(*files) == [Status.QUEUED] * 3
    assert not repo.cancelled


async def test_a_repo_that_is_being_listed_is_paused_and_listed_again(wired: Wired) -> None:
    repo = repo_of()
    await wired.start(repo)
    await wired.actions.act(Stimulus.PAUSE, by(repo))
    assert (repo.state, repo.reason, repo.held) == (Status.PAUSED, Reason.REQUESTED, True)
    assert wired.made.running.listings == {}
    await wired.actions.act(Stimulus.RESUME, by(repo))
    await until(lambda: repo.id in wired.made.running.listings)
    await wired.actions.act(Stimulus.CANCEL, by(repo))
    assert repo.state is Status.CANCELLED
    await wired.actions.act(Stimulus.RETRY, by(repo))
    assert (repo.cancelled, repo.held, repo.revive) == (False, False, True)


async def test_retry_ends_a_wait_and_leaves_what_waits_for_nothing(wired: Wired) -> None:
    waits = file_of("a", asked_singly=True, attempt=4)
    fresh = file_of("b", asked_singly=True, number=1)
    wired.enter(waits, fresh)
    wired.made.ledger.change(waits, Stimulus.WAIT, reason=Reason.NETWORK, retry_at="2999-01-01T00:00:00.000000Z")
    version = fresh.version
    answer = await wired.actions.act(Stimulus.RETRY, Selector(all=True))
    assert ([one.id for one in answer.downloads], answer.unchanged) == ([waits.id], 1)
    assert (waits.retry_at, waits.attempt, waits.reason) == (None, 0, None)
    assert fresh.version == version
    assert wired.made.running.is_free(waits)


async def test_retrying_a_repo_does_not_bring_back_what_was_cancelled_alone(wired: Wired) -> None:
    repo, (failed, cancelled) = listed(wired, "a", "b")
    wired.made.ledger.change(failed, Stimulus.FAIL, reason=Reason.GATED)
    await wired.actions.act(Stimulus.CANCEL, by(cancelled))
    assert repo.state is Status.FAILED
    await wired.actions.act(Stimulus.RETRY, by(repo))
    assert states(failed, cancelled) == [Status.QUEUED, Status.CANCELLED]
    await wired.actions.act(Stimulus.CANCEL, by(repo))
    await wired.actions.act(Stimulus.RETRY, by(repo))
    assert states(failed, cancelled) == [Status.QUEUED, Status.QUEUED], "all of it was cancelled, and is wanted again"


async def test_the_answer_of_a_reorder_shows_the_new_positions(wired: Wired) -> None:
    records = [file_of(name, asked_singly=True, number=number) for number, name in enumerate("abc")]
    wired.enter(*records)
    wired.made.queue.positions()
    answer = await wired.actions.reorder(by(records[2]), priority=None, position=1)
    assert answer.downloads[0].queue_position == 1
    answer = await wired.actions.reorder(by(records[0]), priority=9, position=None)
    assert answer.downloads[0].queue_position == 1
    assert wired.made.queue.next_unit(()) is records[0]


@pytest.mark.parametrize("delete_file", [False, True])
async def test_deleting_removes_what_hfdmd_wrote_only_when_asked(wired: Wired, delete_file: bool) -> None:
    own, adopted = file_of("own", asked_singly=True), file_of("adopted", asked_singly=True, number=1)
    await wired.place(own, DATA)
    await wired.place(adopted, DATA + b"2")
    wired.made.ledger.save(adopted, adopted=True)
    answer = await wired.actions.delete(Selector(all=True), delete_file=delete_file)
    assert [one.status for one in answer.downloads] == [Status.DONE] * 2, "as it was"
    assert is_there(own) is not delete_file
    assert is_there(adopted)
    assert wired.made.index.files == {}
    assert wired.made.on_disk() == {}


async def test_a_file_that_another_revision_has_in_its_snapshot_is_not_deleted(wired: Wired) -> None:
    record = file_of("a", asked_singly=True)
    await wired.place(record, DATA)
    tag = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="v1")
    other = file_of("a", asked_singly=True)
    other = type(other)(
        id=tag.file("a").id, spec=tag.file("a"), created_at=other.created_at, updated_at=other.updated_at,
        version=other.version, asked_singly=True,
    )  # fmt: skip
    await wired.place(other, DATA)
    assert other.path == record.path
    await wired.actions.delete(by(record), delete_file=True)
    assert is_there(other)
    await wired.actions.delete(by(other), delete_file=True)
    assert not is_there(other)


async def test_deleting_what_has_begun_removes_its_part_file(wired: Wired) -> None:
    record = file_of("a", asked_singly=True)
    part = await begun(wired, record)
    await wired.actions.delete(by(record), delete_file=False)
    assert not part.exists()


async def test_a_repo_remembers_which_of_its_files_were_deleted(wired: Wired) -> None:
    repo, files = listed(wired, "a", "b")
    await wired.actions.delete(by(files[0]), delete_file=False)
    assert repo.dropped == {"a"}
    kept = wired.made.on_disk()[repo.id]
    assert isinstance(kept, RepoRecord)
    assert (kept.dropped, kept.files_total) == ({"a"}, 1)
    await wired.actions.delete(by(files[1]), delete_file=False)
    assert wired.made.index.repos == {}, "nothing is left of what was asked for"
    assert wired.made.on_disk() == {}


async def test_deleting_a_repo_leaves_files_that_others_want_and_holds_them_as_those_do(wired: Wired) -> None:
    repo, (own, single, paused, cancelled) = listed(wired, "own", "single", "a-paused", "b-cancelled")
    others = []
    for glob, fields in (("a*", {"held": True}), ("b*", {"cancelled": True})):
        spec = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main", include=(glob,))
        other = repo_of(spec=spec, listed=True, revive=False, **fields)
        wired.enter(other)
        others.append(other)
    wired.made.ledger.edit(single, asked_singly=True)
    for record, other in ((paused, others[0]), (cancelled, others[1])):
        wired.made.ledger.edit(record, repo_ids=[repo.id, other.id])
    wired.admit()
    await until(lambda: len(wired.made.running.files) == 4)
    await wired.actions.delete(by(repo), delete_file=True)
    assert set(wired.made.index.files) == {single.id, paused.id, cancelled.id}
    assert single.repo_ids == []
    assert states(single, paused, cancelled) == [Status.DOWNLOADING, Status.PAUSED, Status.CANCELLED]
    assert set(wired.made.on_disk()) >= {single.id, *(other.id for other in others)}
    assert own.id not in wired.made.running.files


async def test_what_ended_while_it_was_being_stopped_stays_as_it_ended(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = file_of("a", asked_singly=True)

    async def ends_anyway(_: object) -> None:
        try:
            await until(lambda: False)
        finally:
            await wired.made.ledger.finish(record, path="/p", size_bytes=1, mtime_ns=1, adopted=False, detail=None)

    monkeypatch.setattr(wired.admission, "_run_file", ends_anyway)
    await wired.start(record)
    answer = await wired.actions.act(Stimulus.CANCEL, by(record))
    assert answer.downloads[0].status is Status.DONE


@pytest.mark.parametrize("stimulus", [Stimulus.PAUSE, Stimulus.CANCEL])
async def test_an_action_on_a_repo_whose_files_are_all_done_answers_that_it_is_done(
    wired: Wired, stimulus: Stimulus
) -> None:
    place = wired.cache_dir / "a"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"a")
    repo = repo_of(Status.DOWNLOADING, listed=True)
    wired.made.ledger.enter(repo)
    done = {"path": str(place), "placed_bytes": 1, "placed_mtime_ns": 1, "repo_ids": [repo.id]}
    wired.made.ledger.enter(file_of("a", Status.DONE, source=source_of(size_bytes=1), downloaded_bytes=1, **done))
    answer = await wired.actions.act(stimulus, Selector(id=repo.id))
    assert [view.status for view in answer.repos] == [Status.DONE], "it does not wait for a look at the disk"
