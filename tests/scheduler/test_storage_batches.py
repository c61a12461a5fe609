"""Work on the disk in batches: a lock per blob that is always released, and failures that stay with their file."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.record import FileRecord
from hfdmd.scheduler.storage_batches import LOCKED_RETRY_S, Placement, StorageBatches, previous
from hfdmd.wire.types import Reason, Status
from tests.scheduler.parts import Wired, file_of, source_for, until

DATA = b"the content" * 100
LARGE = b"the content" * 30_000


def placement_of(path: str, data: bytes = DATA) -> Placement:
    return Placement(file_of(path).spec, source_for(data), None)


async def test_existing_content_is_placed_and_its_lock_released(wired: Wired) -> None:
    await wired.place(file_of("a", asked_singly=True), DATA)
    placement = placement_of("b")
    placed = await wired.batches.prepare(placement)
    assert placed is not None
    assert placed.path.read_bytes() == DATA
    assert placement.lock is None
    held = wired.storage.lock(placement.spec, placement.source)
    assert held is not None
    held.release()


@pytest.mark.parametrize("data", [DATA, LARGE])
async def test_what_has_to_be_fetched_is_locked_until_it_is_released(wired: Wired, data: bytes) -> None:
    placement, second = placement_of("a", data), placement_of("b", data)
    assert await wired.batches.prepare(placement) is None
    with pytest.raises(Failure) as failed:
        await wired.batches.prepare(second)
    assert (failed.value.reason, failed.value.retry_after_s) == (Reason.LOCKED, LOCKED_RETRY_S)
    assert second.lock is None
    placement.release()
    placement.release()
    assert await wired.batches.prepare(second) is None
    second.release()


async def test_a_failure_in_a_batch_stays_with_its_file(wired: Wired) -> None:
    await wired.place(file_of("there", asked_singly=True), DATA)
    other = placement_of("locked", b"2")
    held = wired.storage.lock(other.spec, other.source)
    placements = [placement_of("missing", b"1"), other, placement_of("again"), placement_of("hostile/../x", b"3")]
    outcomes = await asyncio.gather(*map(wired.batches.prepare, placements), return_exceptions=True)
    assert held is not None
    held.release()
    assert outcomes[0] is None
    assert isinstance(outcomes[1], Failure)
    assert outcomes[1].reason is Reason.LOCKED
    assert getattr(outcomes[2], "size_bytes", None) == len(DATA)
    assert isinstance(outcomes[3], Exception)
    assert [placement.lock is not None for placement in placements] == [True, False, False, False]
    placements[0].release()


async def test_small_files_are_placed_and_unlocked(wired: Wired) -> None:
    placements = [placement_of(f"{number}", b"%d" % number) for number in range(5)]
    for placement in placements:
        assert await wired.batches.prepare(placement) is None
    placed = await asyncio.gather(
        *(wired.batches.place_small((placement, b"%d" % number)) for number, placement in enumerate(placements))
    )
    assert [one.path.read_bytes() for one in placed] == [b"%d" % number for number in range(5)]
    assert [placement.lock for placement in placements] == [None] * 5


async def test_a_large_file_that_is_being_read_does_not_delay_small_ones(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, go_on, adopt = threading.Event(), threading.Event(), wired.storage.adopt

    def slow(items: list[object], stopped: object) -> object:
        if items[0][1].size_bytes == len(LARGE):  # type: ignore[index]
            reads.set()
            go_on.wait()
        return adopt(items, stopped)  # type: ignore[arg-type]

    monkeypatch.setattr(wired.storage, "adopt", slow)
    large, small = placement_of("a", LARGE), placement_of("b")
    reading = asyncio.create_task(wired.batches.prepare(large))
    await until(reads.is_set)
    assert await wired.batches.prepare(small) is None
    assert not reading.done()
    go_on.set()
    await reading
    large.release()
    small.release()


async def test_a_caller_that_leaves_ends_the_reading_and_waits_for_the_thread(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, stopped_at_last, adopt = threading.Event(), threading.Event(), wired.storage.adopt

    def slow(items: list[object], stopped: object) -> object:
        reads.set()
        while not stopped():  # type: ignore[operator]
            pass
        stopped_at_last.set()
        return adopt(items, stopped)  # type: ignore[arg-type]

    monkeypatch.setattr(wired.storage, "adopt", slow)
    placement = placement_of("a", LARGE)
    reading = asyncio.create_task(wired.batches.prepare(placement))
    await until(reads.is_set)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert stopped_at_last.is_set()
    assert placement.lock is not None, "the caller has to release what was locked for it"
    placement.release()


def placed_at(path: Path | str, size_bytes: int, **spec: object) -> FileRecord:
    return file_of("a", Status.DONE, path=str(path), placed_bytes=size_bytes, placed_mtime_ns=5)


def test_in_place_is_a_file_of_that_size_in_the_cache_of_now(wired: Wired, tmp_path: Path) -> None:
    file, elsewhere = wired.cache_dir / "file", tmp_path / "hub-of-before"
    wired.cache_dir.mkdir()
    for path in (file, elsewhere):
        path.write_bytes(DATA)
    batches = wired.batches
    assert batches.is_in_place(placed_at(file, len(DATA)))
    assert not batches.is_in_place(placed_at(file, len(DATA) + 1))
    assert not batches.is_in_place(placed_at(wired.cache_dir / "gone", len(DATA)))
    assert not batches.is_in_place(placed_at(elsewhere, len(DATA))), "a folder whose name only begins alike"
    assert not batches.is_in_place(file_of("a"))
    roundabout = StorageBatches(wired.storage, wired.cache_dir / ".." / "hub")
    assert roundabout.is_in_place(placed_at(file, len(DATA)))


async def test_a_part_file_that_cannot_be_deleted_stops_no_action(
    wired: Wired, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise Failure(Reason.DISK_ERROR, "the disk is read-only")

    monkeypatch.setattr(wired.storage, "discard_part", fails)
    await wired.batches.discard(file_of("a").spec, source_for(DATA))
    assert "the disk is read-only" in caplog.text


def test_what_was_placed_before_is_known_with_its_time_only() -> None:
    record = placed_at("/p", 3)
    found = previous(record)
    assert found is not None
    assert (found.path, found.size_bytes, found.mtime_ns) == (Path("/p"), 3, 5)
    record.placed_mtime_ns = None
    assert previous(record) is None
