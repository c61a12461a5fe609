"""Admission decisions under arbitrary queues: never too many slots, no idle slot, small files leave large ones room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hfdmd.record import FileRecord, RepoRecord, RepoSpec
from hfdmd.scheduler.admit import AdmissionLimits, CloseSlot, OpenSlot, Slots, StartFile, StartListing, next_decision
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.queue import Queue, key
from hfdmd.scheduler.running import ActiveListing, Running
from hfdmd.transfer.job import SMALL_FILE_BYTES, is_small
from hfdmd.wire.types import RepoType, Status
from tests.scheduler.parts import active_of, file_of, repo_of, source_of

LARGE_BYTES = 64 << 20


class House:
    """Carries out decisions as admission does, without tasks."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.index, self.running, self.slots, self.limits = Index(), Running(), Slots(), limits
        self.queue = Queue(self.index, self.running.is_free)
        self.started: list[FileRecord] = []
        self.listed: list[RepoRecord] = []

    def add_repo(self, number: int, *, listed: bool = True, **fields: object) -> RepoRecord:
        spec = RepoSpec(repo_type=RepoType.MODEL, model_repo=f"o/n{number}", revision="main")
        repo = repo_of(spec=spec, number=number, listed=listed, **fields)
        self.index.add(repo)
        self.queue.offer(repo)
        return repo

    def add_file(self, number: int, size_bytes: int | None, repo: RepoRecord | None, priority: int = 0) -> FileRecord:
        source = None if size_bytes is None else source_of(size_bytes=size_bytes)
        owners = {"asked_singly": True} if repo is None else {"repo_ids": [repo.id]}
        record = file_of(f"f{number}", number=number, source=source, priority=priority, **owners)
        self.index.add(record)
        self.queue.offer(record)
        return record

    def admit(self) -> None:
        for _ in range(10_000):
            decision = next_decision(self.index, self.queue, self.running, self.slots, self.limits)
            match decision:
                case None:
                    return
                case CloseSlot():
                    del self.slots.files[decision.slot]
                case StartListing():
                    self.running.listings[decision.repo.id] = ActiveListing(decision.repo)
                    decision.repo.set_state(Status.DOWNLOADING)
                    self.listed.append(decision.repo)
                case OpenSlot():
                    self.slots.files[decision.record.id] = set()
                    if isinstance(decision.record, FileRecord):
                        self.start(decision.record, decision.record.id)
                case StartFile():
                    self.start(decision.record, decision.slot)
                    self.slots.served = decision.slot
            assert len(self.slots.files) <= self.limits.slots
        raise AssertionError("it never ends")

    def start(self, record: FileRecord, slot: str) -> None:
        assert self.running.is_free(record)
        assert record.state is Status.QUEUED
        weight = 1 if record.size_bytes is None else min(16, 1 + record.size_bytes // (8 << 20))
        self.slots.files[slot].add(record.id)
        self.running.add_file(active_of(record, slot, weight))
        record.set_state(Status.DOWNLOADING)
        self.started.append(record)

    def end(self, record: FileRecord) -> None:
        active = self.running.files[record.id]
        self.running.remove_file(active)
        self.slots.files[active.slot].discard(record.id)
        record.set_state(Status.DONE)
        self.index.update(record)


FILES = st.lists(
    st.tuples(
        st.sampled_from([None, 10, SMALL_FILE_BYTES, SMALL_FILE_BYTES + 1, LARGE_BYTES]),
        st.sampled_from([None, 0, 1, 2]),
        st.integers(-1, 1),
    ),
    max_size=40,
)


@given(FILES, st.integers(1, 4), st.integers(1, 20), st.integers(1, 30), st.data())
def test_any_queue_is_worked_off_within_the_limits(
    files: list[tuple[int | None, int | None, int]], slots: int, connections: int, locks: int, data: st.DataObject
) -> None:
    house = House(AdmissionLimits(slots, connections, locks))
    repos = [house.add_repo(number) for number in range(3)]
    records = [
        house.add_file(number, size, None if repo is None else repos[repo], priority)
        for number, (size, repo, priority) in enumerate(files)
    ]
    while True:
        house.admit()
        for slot, running in house.slots.files.items():
            assert running or house.queue.next_file(slot) is None, "a slot is idle although it has a file to start"
        load, small = house.running.load, [one for one in house.running.files.values() if one.is_small]
        assert load.small_files == len(small)
        assert load.small_files < locks + slots, "each slot gets one file, whatever there is"
        if not house.running.files:
            break
        house.end(house.running.files[data.draw(st.sampled_from(sorted(house.running.files)))].record)
    assert sorted(one.id for one in house.started) == sorted(one.id for one in records)


@given(st.lists(st.integers(-2, 2), min_size=1, max_size=20))
def test_single_files_start_in_the_order_of_the_queue(priorities: list[int]) -> None:
    house = House(AdmissionLimits(1, 16, 100))
    records = [house.add_file(number, LARGE_BYTES, None, priority) for number, priority in enumerate(priorities)]
    for _ in records:
        house.admit()
        house.end(house.started[-1])
    assert house.started == sorted(records, key=key)


def test_small_files_take_nothing_that_large_ones_hold() -> None:
    house = House(AdmissionLimits(1, 16, 1000))
    repo = house.add_repo(0)
    house.add_file(0, 15 * (8 << 20), repo, priority=1)  # counted for all sixteen connections
    for number in range(1, 50):
        house.add_file(number, 10, repo)
    house.admit()
    assert [is_small(one.size_bytes) for one in house.started] == [False]


def test_a_repo_is_listed_in_its_slot_and_closed_when_nothing_is_left() -> None:
    house = House(AdmissionLimits(1, 16, 100))
    repo = house.add_repo(0, listed=False)
    house.add_file(5, LARGE_BYTES, None, priority=-5)
    house.admit()
    assert house.listed == [repo]
    assert list(house.slots.files) == [repo.id]
    del house.running.listings[repo.id]
    repo.listed = True
    repo.set_state(Status.DONE)
    house.admit()
    assert repo.id not in house.slots.files
    assert len(house.started) == 1


def test_a_repo_that_moves_starts_no_file_before_it_is_listed() -> None:
    house = House(AdmissionLimits(2, 16, 100))
    repo = house.add_repo(0, listed=False, moving=True)
    house.add_file(0, LARGE_BYTES, repo)
    house.admit()
    assert house.listed == [repo]
    assert house.started == []


def test_repos_with_a_slot_are_served_in_turn() -> None:
    house = House(AdmissionLimits(2, 4, 100))
    repos = [house.add_repo(number) for number in range(2)]
    for number in range(8):
        house.add_file(number, SMALL_FILE_BYTES + 1, repos[0 if number < 4 else 1])
    house.admit()
    assert [one.repo_ids[0] for one in house.started] == [repos[0].id, repos[1].id, repos[0].id, repos[1].id]
