"""Drives: from a request to a verified file in its place, and what is left of one that fails or is cancelled."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from hfdmd.failure import Failure
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, RepoSpec, Source, new_file, rfc3339
from hfdmd.wire.types import Phase, Reason, RepoType, Status
from tests.scheduler.parts import COMMIT, OTHER_COMMIT, Wired, file_of, repo_of, source_for, until

SMALL = b"the content"
LARGE = b"the content" * 50_000
HALF = len(LARGE) // 2


@pytest.fixture
def wired(wired: Wired) -> Wired:
    wired.drives = True
    wired.hub.add({"small": SMALL, "large": LARGE})
    return wired


def single(path: str, **fields: object) -> FileRecord:
    return file_of(path, asked_singly=True, **fields)


def begin(wired: Wired, *records: FileRecord) -> None:
    wired.enter(*records)
    wired.admit()


async def ended(wired: Wired, *records: FileRecord) -> None:
    begin(wired, *records)
    await until(lambda: all(record.state is not Status.QUEUED or record.retry_at for record in records))
    await until(lambda: not wired.made.running.files)


def content(record: FileRecord) -> bytes:
    return Path(record.path or "").read_bytes()


def part_of(wired: Wired, record: FileRecord) -> Path:
    return wired.storage.part_location(record.spec)


async def half_way(wired: Wired, record: FileRecord) -> None:
    """The drive has fetched half of the file and hangs."""
    wired.engine.open.clear()
    begin(wired, record)
    await until(lambda: wired.engine.targets)


@pytest.mark.parametrize(("path", "data"), [("small", SMALL), ("large", LARGE)])
async def test_a_file_is_resolved_fetched_and_placed(wired: Wired, path: str, data: bytes) -> None:
    record = single(path)
    await ended(wired, record)
    assert record.state is Status.DONE
    assert content(record) == data
    assert (record.source, record.synced, record.adopted) == (source_for(data), [], False)
    assert wired.hub.asked == ["resolve"], "the URL of the answer is used first"
    assert not part_of(wired, record).exists()
    kept = wired.made.on_disk()[record.id]
    assert (kept.state, kept.downloaded_bytes) == (Status.DONE, len(data))
    lock = wired.storage.lock(record.spec, source_for(data))
    assert lock is not None
    lock.release()


async def test_small_files_of_a_listing_need_no_request_to_be_located(wired: Wired) -> None:
    small, large = single("small", source=source_for(SMALL)), single("large", source=source_for(LARGE), number=1)
    await ended(wired, small, large)
    assert wired.engine.targets == ["https://hub.example/direct", "https://hub.example/located"]
    assert wired.hub.asked == ["locate"]


async def test_what_is_on_disk_is_not_fetched(wired: Wired) -> None:
    await wired.place(single("other"), LARGE)
    record = single("large", synced=[(0, 5)], source=source_for(LARGE), number=1)
    part = wired.storage.part_path(record.spec, source_for(LARGE))
    part.write_bytes(LARGE[:5])
    await ended(wired, record)
    assert record.state is Status.DONE
    assert wired.engine.jobs == []
    assert not part.exists(), "its content was found elsewhere"


async def test_two_downloads_of_one_content_fetch_it_once(wired: Wired, tmp_path: Path) -> None:
    wired.hub.contents[COMMIT]["same"] = LARGE
    local = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main", local_dir=str(tmp_path / "f"))
    copy = new_file(local.file("large"), 1, 2.0, 2.0, asked_singly=True)
    records = [single("large"), single("same", number=1), copy]
    await half_way(wired, records[0])
    begin(wired, *records[1:])
    await until(lambda: wired.hub.asked.count("resolve") == 3)
    wired.engine.open.set()
    await until(lambda: all(record.state is Status.DONE for record in records))
    assert len(wired.engine.jobs) == 1
    assert [content(record) for record in records] == [LARGE] * 3
    assert copy.path == str(tmp_path / "f" / "large")


async def test_a_failure_that_may_pass_waits_with_what_is_synced(wired: Wired) -> None:
    record = single("large", attempt=6)
    await half_way(wired, record)
    wired.made.ledger.progress(record, None, None, downloaded_bytes=HALF + 100)
    wired.engine.failures = [Failure(Reason.RATE_LIMITED, "slow down", retry_after_s=500)]
    wired.engine.open.set()
    await until(lambda: record.retry_at)
    assert (record.state, record.reason, record.detail) == (Status.QUEUED, Reason.RATE_LIMITED, "slow down")
    assert rfc3339(time.time() + 400) < (record.retry_at or "") < rfc3339(time.time() + 600)
    assert (record.synced, record.downloaded_bytes) == ([(0, HALF)], HALF)
    assert record.attempt == 1, "bytes arrived: the backoff begins anew"
    assert wired.retries.counts == {Reason.RATE_LIMITED: 1}
    wired.made.ledger.edit(record, retry_at=None)
    await until(lambda: record.state is Status.DONE)
    assert content(record) == LARGE
    assert wired.engine.jobs[1].synced == [(0, HALF)]


async def test_a_failure_without_any_byte_counts_the_attempt(wired: Wired) -> None:
    record = single("small", attempt=6)
    wired.hub.failures = [Failure(Reason.NETWORK, "away", retry_after_s=500)]
    await ended(wired, record)
    assert (record.reason, record.attempt) == (Reason.NETWORK, 7)


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (Failure(Reason.GATED, "accept the terms"), Reason.GATED, "accept the terms"),
        (PermissionError(13, "Permission denied", "/x"), Reason.DISK_ERROR, "/x"),
        (ZeroDivisionError(), Reason.INTERNAL, "internal error (ZeroDivisionError); see the daemon's log"),
    ],
)
async def test_a_failure_for_good(wired: Wired, error: Exception, reason: Reason, detail: str) -> None:
    record = single("small", source=source_for(SMALL))
    wired.engine.failures = [error]
    await ended(wired, record)
    assert (record.state, record.reason) == (Status.FAILED, reason)
    assert detail in (record.error or "")
    lock = wired.storage.lock(record.spec, source_for(SMALL))
    assert lock is not None, "a failed drive holds no lock"
    lock.release()


async def test_a_full_disk_waits(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    record = single("large")
    wired.reservations.reserve("other", wired.cache_dir, 100)
    monkeypatch.setattr(wired.reservations, "_min_free_bytes", lambda: 1 << 62)
    await ended(wired, record)
    assert (record.state, record.reason) == (Status.QUEUED, Reason.DISK_FULL)
    assert wired.engine.jobs == []


async def test_disk_space_is_reserved_while_it_is_needed(wired: Wired) -> None:
    record = single("large", source=source_for(LARGE), synced=[(0, 5)])
    wired.storage.part_path(record.spec, source_for(LARGE)).write_bytes(LARGE[:5])
    await half_way(wired, record)
    assert sum(wired.reservations._reserved_bytes.values()) == len(LARGE) - 5
    wired.engine.open.set()
    await until(lambda: record.state is Status.DONE)
    assert wired.reservations._reserved_bytes == {}


@pytest.mark.parametrize("path", ["small", "large"])
async def test_a_drive_that_is_cancelled_while_placing_is_done_all_the_same(
    wired: Wired, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    places, go_on = threading.Event(), threading.Event()
    name = "place_small" if path == "small" else "place"
    place = getattr(wired.storage, name)

    def slow(*args: object) -> object:
        places.set()
        go_on.wait()
        return place(*args)

    monkeypatch.setattr(wired.storage, name, slow)
    record = single(path)
    begin(wired, record)
    await until(places.is_set)
    pausing = asyncio.create_task(_pause(wired, record))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not pausing.done()
    go_on.set()
    await pausing
    assert record.state is Status.DONE
    assert content(record) == wired.hub.contents[COMMIT][path]
    await wired.made.store.flush()
    assert wired.made.on_disk()[record.id].state is Status.DONE


async def _pause(wired: Wired, record: FileRecord) -> None:
    async with wired.stopper.stopped([record]):
        if record.state is Status.DOWNLOADING:
            wired.made.ledger.change(record, Stimulus.PAUSE, reason=Reason.REQUESTED)


async def test_a_drive_that_is_cancelled_while_its_tracker_is_written_is_done_all_the_same(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    await wired.place(single("other"), SMALL)
    finishes, go_on, finish = asyncio.Event(), asyncio.Event(), wired.made.ledger.finish

    async def slow(*args: object, **more: object) -> None:
        finishes.set()
        await go_on.wait()
        await finish(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(wired.made.ledger, "finish", slow)
    record = single("small", source=source_for(SMALL), number=1)
    begin(wired, record)
    await finishes.wait()
    pausing = asyncio.create_task(_pause(wired, record))
    for _ in range(5):
        await asyncio.sleep(0)
    go_on.set()
    await pausing
    assert record.state is Status.DONE


async def test_a_drive_that_is_cancelled_while_fetching_goes_on_where_it_was(wired: Wired) -> None:
    record = single("large")
    await half_way(wired, record)
    await _pause(wired, record)
    assert (record.state, record.downloaded_bytes) == (Status.PAUSED, HALF)
    lock = wired.storage.lock(record.spec, source_for(LARGE))
    assert lock is not None
    lock.release()
    wired.engine.open.set()
    wired.made.ledger.change(record, Stimulus.RESUME)
    await until(lambda: record.state is Status.DONE)
    assert content(record) == LARGE


@pytest.mark.parametrize("is_same", [True, False])
async def test_a_commit_that_is_gone_is_resolved_anew_and_keeps_the_same_content(wired: Wired, is_same: bool) -> None:
    record = single("large")
    await half_way(wired, record)
    await _pause(wired, record)
    data = LARGE if is_same else LARGE[::-1]
    wired.hub.contents = {OTHER_COMMIT: {"large": data}}
    wired.hub.head = OTHER_COMMIT
    wired.engine.open.set()
    wired.made.ledger.change(record, Stimulus.RESUME)
    if is_same:
        wired.engine.hub = wired.hub
    else:
        wired.hub.contents[OTHER_COMMIT]["old"] = LARGE  # the engine reads the old content until it is located
    await until(lambda: record.state in (Status.DONE, Status.FAILED))
    assert (record.state, record.source) == (Status.DONE, source_for(data, commit=OTHER_COMMIT))
    assert content(record) == data
    assert wired.engine.jobs[-1].synced == ([(0, HALF)] if is_same else [])


async def test_a_commit_that_was_asked_for_and_is_gone_fails(wired: Wired) -> None:
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision=COMMIT)
    record = new_file(spec.file("large"), 1, 0.0, 0.0, asked_singly=True, source=source_for(LARGE))
    wired.engine.failures = [Failure(Reason.REVISION_NOT_FOUND, "gone")]
    await ended(wired, record)
    assert (record.state, record.reason) == (Status.FAILED, Reason.REVISION_NOT_FOUND)


async def test_a_gone_commit_makes_its_repo_move(wired: Wired) -> None:
    repo = repo_of(listed=True, revive=False, commit=COMMIT)
    record = file_of("large", repo_ids=[repo.id], source=source_for(LARGE))
    wired.hub.contents = {OTHER_COMMIT: {"large": LARGE}}
    wired.hub.head = OTHER_COMMIT
    wired.enter(repo)
    begin(wired, record)
    await until(lambda: repo.commit == OTHER_COMMIT)
    assert repo.moving or repo.listed


async def test_a_listing_that_answers_first_decides_the_commit(wired: Wired) -> None:
    record = single("small")
    wired.hub.open.clear()
    begin(wired, record)
    await until(lambda: wired.hub.asked)
    listed = source_for(SMALL, commit=OTHER_COMMIT)
    wired.made.ledger.note(record, source=listed)
    wired.hub.open.set()
    await until(lambda: record.state is Status.DONE)
    assert record.source == listed


async def test_a_listing_that_answers_saves_a_request_that_fails(wired: Wired) -> None:
    record = single("small")
    wired.hub.open.clear()
    wired.hub.failures = [Failure(Reason.NETWORK, "away")]
    begin(wired, record)
    await until(lambda: wired.hub.asked)
    wired.made.ledger.note(record, source=source_for(SMALL))
    wired.hub.open.set()
    await until(lambda: record.state is Status.DONE)


async def test_a_size_that_the_hub_does_not_give_is_found_by_the_transfer(wired: Wired) -> None:
    unknown = replace(source_for(LARGE), size_bytes=None)
    record = single("large", source=unknown)
    await ended(wired, record)
    assert record.source == source_for(LARGE)
    assert (record.size_bytes, record.downloaded_bytes) == (len(LARGE), len(LARGE))


async def test_what_could_not_be_verified_says_so(wired: Wired) -> None:
    source = Source(commit=COMMIT, etag="unverified-1", size_bytes=None, digest=None)
    wired.hub.contents = {COMMIT: {"large": LARGE}}
    record = single("large", source=source)
    await ended(wired, record)
    assert record.state is Status.DONE
    assert "not verified" in (record.detail or "")


def local(path: str, folder: Path, number: int, repo: str = "o/n") -> FileRecord:
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo=repo, revision="main", local_dir=str(folder))
    return new_file(spec.file(path), 1, float(number), float(number), asked_singly=True)


async def test_a_path_belongs_to_the_download_that_was_there_first(wired: Wired, tmp_path: Path) -> None:
    first, second = local("small", tmp_path / "f", 0), local("small", tmp_path / "f", 1, "o/other")
    wired.engine.open.clear()
    begin(wired, second, first)
    await until(lambda: second.state is Status.FAILED)
    assert second.reason is Reason.PATH_TAKEN
    assert first.id in (second.detail or "")
    await until(lambda: wired.engine.jobs)
    await _pause(wired, first)
    wired.made.ledger.change(first, Stimulus.CANCEL)
    wired.engine.open.set()
    wired.made.ledger.change(second, Stimulus.RETRY)
    await until(lambda: second.state is Status.DONE)


async def test_content_of_the_same_folder_is_copied(wired: Wired, tmp_path: Path) -> None:
    wired.hub.contents[COMMIT]["same"] = LARGE
    first, second = local("large", tmp_path / "f", 0), local("same", tmp_path / "f", 1)
    await ended(wired, first)
    await ended(wired, second)
    assert len(wired.engine.jobs) == 1
    assert (tmp_path / "f" / "same").read_bytes() == LARGE
    assert not second.adopted


async def test_wrong_content_is_counted_over_attempts(wired: Wired) -> None:
    record = single("large", mismatches=1)
    await half_way(wired, record)
    assert wired.engine.jobs[0].mismatched() == 2
    assert record.mismatches == 2
    wired.engine.open.set()
    await until(lambda: record.state is Status.DONE)
    assert record.mismatches == 0


async def test_phases_follow_each_other(wired: Wired) -> None:
    record = single("large")
    await half_way(wired, record)
    assert record.phase is Phase.TRANSFERRING
    wired.engine.open.set()
    await until(lambda: record.state is Status.DONE)
    phases = [event.state.phase for event in wired.made.heard() if event.state and event.key == record.id]
    assert list(dict.fromkeys(phases)) == [None, Phase.RESOLVING, Phase.TRANSFERRING, Phase.PLACING]


async def test_an_answer_of_the_hub_ends_the_waits_for_the_network(wired: Wired) -> None:
    waits = single("large", number=1)
    wired.enter(waits)
    wired.made.ledger.change(waits, Stimulus.WAIT, reason=Reason.NETWORK, retry_at="2999-01-01T00:00:00.000000Z")
    await ended(wired, single("small"))
    await until(lambda: waits.state is Status.DONE)
