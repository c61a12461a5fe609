"""The registry of running work: what it uses of the capacity, and what it adds up to."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from hfdmd.record import FileRecord
from hfdmd.scheduler.running import ActiveListing, Running
from hfdmd.transfer.job import SMALL_FILE_BYTES
from tests.scheduler.parts import active_of, file_of, repo_of, source_of

SIZES = st.lists(st.sampled_from([None, 0, 10, SMALL_FILE_BYTES, SMALL_FILE_BYTES + 1]), min_size=1, max_size=12)


def of_size(number: int, size_bytes: int | None) -> FileRecord:
    source = None if size_bytes is None else source_of(size_bytes=size_bytes)
    return file_of(f"f{number}", number=number, source=source)


@given(SIZES, SIZES, st.randoms(use_true_random=False))
def test_what_leaves_gives_back_what_it_took_although_its_size_is_known_only_since(
    before: list[int | None], after: list[int | None], random: object
) -> None:
    running = Running()
    actives = [active_of(of_size(number, size), weight=number + 1) for number, size in enumerate(before)]
    for active in actives:
        running.add_file(active)
    small = [active for active in actives if active.is_small]
    assert running.load.small_files == len(small)
    assert running.load.small_bytes == sum(active.record.size_bytes or 0 for active in small)
    assert running.load.connections == sum(active.weight for active in actives if active not in small)
    for active, size in zip(actives, after, strict=False):
        active.record.source = None if size is None else source_of(size_bytes=size)
    random.shuffle(actives)  # type: ignore[attr-defined]
    for active in actives:
        running.remove_file(active)
    load = running.load
    assert (load.connections, load.small_bytes, load.small_files) == (0, 0, 0)


def test_what_runs_or_is_stopped_or_waits_may_not_start() -> None:
    running, record, repo = Running(), of_size(0, 10), repo_of()
    assert running.is_free(record)
    assert running.is_free(repo)
    running.listings[repo.id] = ActiveListing(repo)
    assert not running.is_free(repo)
    running.add_file(active_of(record))
    assert not running.is_free(record)
    running.remove_file(running.files[record.id])
    running.stopping.add(record.id)
    assert not running.is_free(record)
    running.stopping.clear()
    record.retry_at = "2030-01-01T00:00:00.000000Z"
    assert not running.is_free(record)


def test_received_bytes_never_fall_when_files_end() -> None:
    running = Running()
    actives = [active_of(of_size(number, None)) for number in range(2)]
    for number, active in enumerate(actives, 1):
        active.meter.received_bytes = 100 * number
        active.meter.connections = number
        running.add_file(active)
    assert (running.received_bytes, running.connections) == (300, 3)
    running.remove_file(actives[1])
    assert (running.received_bytes, running.connections) == (300, 1)
    running.add_file(active_of(actives[1].record))
    assert running.received_bytes == 300, "a new attempt counts from zero"


def test_a_new_attempt_begins_with_what_was_synced() -> None:
    active = active_of(file_of("a", downloaded_bytes=40))
    assert active.meter.downloaded_bytes == 40
    assert active.speed.bytes_per_second is None


def test_the_speed_of_a_repo_is_that_of_its_running_files_alone(monkeypatch: object) -> None:
    running = Running()
    mine = [active_of(file_of(name, repo_ids=["r"], number=number)) for number, name in enumerate("abc")]
    other = active_of(file_of("d", repo_ids=["s"]))
    for active in (*mine, other):
        running.add_file(active)
    assert running.repo_bytes_per_second("r") is None
    for active, rate in ((mine[0], 10.0), (mine[1], 5.0), (other, 100.0)):
        active.speed._rate = rate
    assert running.repo_bytes_per_second("r") == 15
    assert running.bytes_per_second(other.record.id) == 100
    assert running.bytes_per_second("unknown") is None
    assert running.total_bytes_per_second == 115
    assert running.repo_bytes_per_second("unknown") is None


async def test_tasks_are_found_by_their_record() -> None:
    running, record, repo = Running(), file_of("a"), repo_of()
    running.add_file(active_of(record))
    running.listings[repo.id] = ActiveListing(repo)
    assert running.task_of(record) is running.task_of(repo) is None
    assert running.tasks() == [], "a task that is yet to be made is none"
    tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(2)]
    running.files[record.id].task, running.listings[repo.id].task = tasks
    assert [running.task_of(record), running.task_of(repo)] == tasks == running.tasks()
    assert running.task_of(file_of("b")) is None
    await asyncio.gather(*tasks)
