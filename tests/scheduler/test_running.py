"""The registry of running work: what it uses of the capacity, and what it adds up to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
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


def test_the_speed_of_a_repo_is_that_of_all_its_files_small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("hfdmd.scheduler.speed.time", SimpleNamespace(monotonic=lambda: clock.now))
    running = Running()

    def tick(**received: int) -> list[str]:
        """A quarter of a second in which each repo receives that much, by a file that ends at once."""
        clock.now += 0.25
        for repo_id, received_bytes in received.items():
            active = active_of(file_of("a", repo_ids=[repo_id]))
            running.add_file(active)
            active.meter.received_bytes = received_bytes
            running.remove_file(active)
        return running.sample()

    first = active_of(file_of("a", repo_ids=["r"]))
    running.add_file(first)
    running.add_file(active_of(file_of("b", repo_ids=["s"])))
    changed = [tick(r=1, s=1), *(tick(r=100, s=25) for _ in range(4))]
    assert changed == [[], ["r", "s"], [], [], []], "known from the second sample on, said once"
    assert (running.repo_bytes_per_second("r"), running.repo_bytes_per_second("s")) == (400, 100)
    assert running.repo_bytes_per_second("unknown") is None
    first.meter.received_bytes = 100
    changed = [tick(s=25) for _ in range(13)]
    assert [one for one in changed if one] == [["r"]], "lost, said once"
    assert (running.repo_bytes_per_second("r"), running.repo_bytes_per_second("s")) == (None, 100)
    running.forget_speed("s")
    assert running.repo_bytes_per_second("s") is None


def test_the_speed_of_everything_is_none_while_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("hfdmd.scheduler.speed.time", SimpleNamespace(monotonic=lambda: clock.now))
    running = Running()
    active = active_of(file_of("a"))
    running.add_file(active)
    for _ in range(3):
        active.meter.received_bytes += 250
        clock.now += 0.25
        running.sample()
    assert running.total_bytes_per_second == 1000
    running.remove_file(active)
    assert running.total_bytes_per_second == 0
