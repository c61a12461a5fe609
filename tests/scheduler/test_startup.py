"""The start: everything is as it was, work is queued again, and only what no tracker names is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfdmd.record import FileRecord, Record, RepoRecord, RepoSpec, new_file
from hfdmd.wire.types import Reason, RepoType, Status
from tests.scheduler.parts import COMMIT, OTHER_COMMIT, REPO, Wired, entry_of, file_of, repo_of, source_for, source_of

ENTRIES = [entry_of(name, number) for number, name in enumerate(("a", "b", "c"))]


@pytest.fixture
def wired(wired: Wired) -> Wired:
    """A daemon that has not read its trackers."""
    wired.made.index.is_complete = False
    wired.storage.prepare()
    return wired


async def started(wired: Wired, *records: Record) -> None:
    """Starts with the trackers of these records on disk."""
    for record in records:
        wired.made.store.put(record)
    await wired.made.store.flush()
    await wired.startup.run()


def unlisted_children(repo_status: Status = Status.QUEUED, **fields: object) -> tuple[RepoRecord, FileRecord]:
    """A listed repo download of three files, and the tracker of the one that had begun."""
    repo = repo_of(repo_status, listed=True, revive=False, commit=COMMIT, files_total=3, **fields)
    begun = file_of("b", repo_status, repo_ids=[repo.id], source=source_of(1), synced=[(0, 5)], downloaded_bytes=5)
    return repo, begun


async def test_what_was_running_is_queued_and_the_rest_is_as_it_was(wired: Wired) -> None:
    statuses = [Status.QUEUED, Status.DOWNLOADING, Status.PAUSED, Status.DONE, Status.FAILED, Status.CANCELLED]
    records = [
        file_of(status, status, asked_singly=True, number=number, source=source_of(number), synced=[(0, 5)])
        for number, status in enumerate(statuses)
    ]
    await started(wired, *records)
    loaded = {record.spec.file_path: record for record in wired.made.index.files.values()}
    assert {path: record.state for path, record in loaded.items()} == {
        status: Status.QUEUED if status is Status.DOWNLOADING else status for status in statuses
    }
    assert loaded[Status.DOWNLOADING].reason is Reason.RESTARTED
    assert loaded[Status.DOWNLOADING].synced == [(0, 5)]
    assert wired.startup.loaded.is_set()
    assert wired.made.index.is_complete
    first = wired.made.queue.next_unit(())
    assert first is loaded[Status.QUEUED]
    assert wired.made.queue.next_unit((first.id,)) is loaded[Status.DOWNLOADING]
    wired.made.ledger.offer(first)  # it has no slot after all


async def test_a_kept_list_names_files_without_trackers_and_the_hub_is_not_asked(wired: Wired) -> None:
    repo, begun = unlisted_children()
    wired.listings.write(repo.id, COMMIT, 7.0, 11.0, ENTRIES)
    await started(wired, repo, begun)
    repo = wired.made.index.repos[repo.id]
    found = {record.spec.file_path: record for record in wired.made.index.children(repo)}
    assert set(found) == {"a", "b", "c"}
    assert [wired.made.ledger.is_tracked(found[path]) for path in "abc"] == [False, True, False]
    assert found["b"].synced == [(0, 5)]
    assert (repo.listed, repo.files_total) == (True, 3)
    assert wired.hub.asked == []


@pytest.mark.parametrize("status", [Status.PAUSED, Status.CANCELLED])
async def test_files_of_a_held_repo_come_back_held(wired: Wired, status: Status) -> None:
    is_paused = status is Status.PAUSED
    repo, begun = unlisted_children(status, held=is_paused, cancelled=not is_paused)
    begun.reason = Reason.REQUESTED if is_paused else None
    wired.listings.write(repo.id, COMMIT, 7.0, 11.0, ENTRIES)
    await started(wired, repo, begun)
    assert {record.state for record in wired.made.index.files.values()} == {status}
    assert wired.made.index.repos[repo.id].state is status


@pytest.mark.parametrize("why", ["no list", "another commit"])
async def test_a_repo_whose_files_are_not_known_is_listed_again(wired: Wired, why: str) -> None:
    repo, begun = unlisted_children()
    if why == "another commit":
        wired.listings.write(repo.id, OTHER_COMMIT, 7.0, 11.0, ENTRIES)
    await started(wired, repo, begun)
    repo = wired.made.index.repos[repo.id]
    assert wired.startup.lacks_files(repo)
    assert (repo.listed, repo.state, repo.reason, repo.commit) == (False, Status.QUEUED, Reason.RESTARTED, COMMIT)
    assert not repo.revive, "the listing restores, it chooses no other commit"
    wired.admit()
    assert wired.made.queue.next_unit(()) is repo


async def test_a_held_repo_whose_files_are_not_known_waits_for_being_resumed(wired: Wired) -> None:
    repo, begun = unlisted_children(Status.PAUSED, held=True)
    begun.reason = Reason.REQUESTED
    await started(wired, repo, begun)
    repo = wired.made.index.repos[repo.id]
    assert (repo.listed, repo.state) == (False, Status.PAUSED)


async def test_what_was_deleted_out_of_a_repo_does_not_come_back(wired: Wired) -> None:
    repo = repo_of(listed=True, revive=False, commit=COMMIT, files_total=2, dropped={"b"})
    wired.listings.write(repo.id, COMMIT, 7.0, 11.0, ENTRIES)
    await started(wired, repo)
    repo = wired.made.index.repos[repo.id]
    assert {record.spec.file_path for record in wired.made.index.children(repo)} == {"a", "c"}
    assert repo.listed


async def test_lists_that_are_of_no_use_any_more_are_removed(wired: Wired) -> None:
    done = repo_of(Status.DONE, listed=True, commit=COMMIT, files_total=0)
    for key in (done.id, "0" * 32):
        wired.listings.write(key, COMMIT, 7.0, 11.0, ENTRIES)
    await started(wired, done)
    assert list(wired.listings.folder.iterdir()) == []
    assert wired.made.index.repos[done.id].state is Status.DONE


async def test_a_file_is_as_old_as_its_first_request(wired: Wired) -> None:
    part = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main", include=("*",))
    old = repo_of(listed=True, revive=False, commit=COMMIT, files_total=3)
    new = repo_of(spec=part, listed=True, revive=False, commit=COMMIT, files_total=3, number=50)
    for repo, listed_at in ((new, 60.0), (old, 11.0)):
        wired.listings.write(repo.id, COMMIT, 7.0, listed_at, ENTRIES)
    await started(wired, new, old)
    assert len(wired.made.index.files) == 3
    for record in wired.made.index.files.values():
        assert record.repo_ids == [old.id, new.id]
        assert record.created_at.startswith("1970-01-01T00:00:11")


async def test_trackers_that_name_a_repo_that_is_gone_let_go_of_it(wired: Wired) -> None:
    orphan = file_of("a", Status.PAUSED, repo_ids=["f" * 32], source=source_of())
    orphan.reason = Reason.REQUESTED
    await started(wired, orphan)
    record = wired.made.index.files[orphan.id]
    assert record.repo_ids == []
    await wired.made.store.flush()
    kept = wired.made.on_disk()[orphan.id]
    assert isinstance(kept, FileRecord)
    assert kept.repo_ids == []


async def test_what_was_read_first_is_not_read_again(wired: Wired) -> None:
    record = file_of("a", Status.DOWNLOADING, asked_singly=True)
    wired.made.store.put(record)
    await wired.made.store.flush()
    await wired.startup.first(lambda: wired.made.store.load_repo("o/n"))
    early = wired.made.index.files[record.id]
    assert early.state is Status.QUEUED
    assert not wired.startup.loaded.is_set()
    wired.made.ledger.edit(early, priority=3)
    await wired.startup.run()
    assert wired.made.index.files[record.id] is early
    assert early.priority == 3


async def test_part_files_that_no_tracker_names_are_removed(wired: Wired) -> None:
    kept = file_of("kept", asked_singly=True, source=source_of(), synced=[(0, 5)])
    lost = file_of("lost", asked_singly=True, source=source_of(1))
    parts = [wired.storage.part_path(record.spec, source_of()) for record in (kept, lost)]
    own = parts[0].parent / "notes.txt"
    for path in (*parts, own):
        path.write_bytes(b"12345")
    await started(wired, kept)
    assert [path.exists() for path in (*parts, own)] == [True, False, True]


async def test_while_trackers_are_unreadable_no_part_file_is_removed(wired: Wired, tmp_path: Path) -> None:
    lost = file_of("lost", asked_singly=True, source=source_of())
    part = wired.storage.part_path(lost.spec, source_of())
    part.write_bytes(b"12345")
    wired.made.store.put(lost)
    await wired.made.store.flush()
    tracker = next((tmp_path / "trackers").rglob("*.json"))
    tracker.write_text(tracker.read_text().replace('"schemaVersion":1', '"schemaVersion":99'))
    await started(wired)
    assert lost.id not in wired.made.index.files
    assert part.exists()


async def test_leftovers_in_folders_are_removed_too(wired: Wired, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main", local_dir=str(folder))
    kept = new_file(spec.file("kept"), 1, 0.0, 0.0, asked_singly=True, source=source_of(), synced=[(0, 5)])
    lost = new_file(spec.file("lost"), 1, 0.0, 1.0, asked_singly=True, source=source_of(1))
    parts = [wired.storage.part_path(record.spec, source_of()) for record in (kept, lost)]
    for path in parts:
        path.write_bytes(b"12345")
    await started(wired, kept, lost)
    assert [path.exists() for path in parts] == [True, False]


async def test_what_was_written_before_is_known_to_be_hfdmds_own(wired: Wired) -> None:
    record = file_of("a", asked_singly=True)
    wired.made.index.is_complete = True
    await wired.place(record, b"the content")
    source = source_for(b"the content")
    wired.made.ledger.note(record, source=source)
    await wired.made.store.flush()
    wired.made.index.remove(record)
    wired.written_files._written.clear()
    await started(wired)
    assert wired.written_files._written
    assert wired.made.index.files[record.id].path == record.path
    assert REPO.file("a").id == record.id


async def test_a_disk_that_cannot_be_searched_does_not_stop_the_start(
    wired: Wired, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(wired.storage, "discard_orphans", fails)
    monkeypatch.setattr(type(wired.listings), "sweep", fails)
    await started(wired, file_of("a", asked_singly=True))
    assert len(wired.made.index.files) == 1
    assert wired.startup.loaded.is_set()
    assert "cannot remove what a crash left in the cache" in caplog.text
    assert "cannot look for leftover lists" in caplog.text
