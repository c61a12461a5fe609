"""Who goes next, checked against the plain definition: most urgent first, then oldest."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd.record import FileRecord, Record, RepoRecord, RepoSpec
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.queue import Queue, key
from hfdmd.wire.types import RepoType, Status

REPO = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main")


def file_record(number: int, priority: int, repo_ids: list[str], *, singly: bool) -> FileRecord:
    spec = REPO.file(f"f{number}")
    return FileRecord(
        id=spec.id,
        spec=spec,
        priority=priority,
        order=float(number),
        repo_ids=repo_ids,
        asked_singly=singly,
        created_at=f"{number:09}",
        updated_at="u",
        version=1,
    )


@given(st.lists(st.tuples(st.integers(-2, 2), st.booleans()), max_size=30), st.data())
def test_singles_leave_in_order_whatever_happens_to_the_others(
    asked: list[tuple[int, bool]], data: st.DataObject
) -> None:
    index = Index()
    blocked: set[str] = set()
    queue = Queue(index, lambda record: record.id not in blocked)
    for number, (priority, _) in enumerate(asked):
        record = file_record(number, priority, [], singly=True)
        index.add(record)
        queue.offer(record)
    for record in list(index.files.values()):
        match data.draw(st.sampled_from(["stay", "block", "done", "urgent", "back"])):
            case "block":
                blocked.add(record.id)
            case "done":
                record.set_state(Status.DONE)
            case "urgent":
                record.priority = 50
                queue.offer(record)
            case "back":
                record.set_state(Status.PAUSED)
                queue.next_unit(())
                record.set_state(Status.QUEUED)
                queue.offer(record)
    expected = sorted(
        (key(record) for record in index.files.values() if record.state is Status.QUEUED and record.id not in blocked),
    )
    left: list[str] = []
    while (record_ := queue.next_unit(())) is not None:
        left.append(record_.id)
        record_.set_state(Status.DOWNLOADING)
    assert left == [item[2] for item in expected]


def test_a_repo_download_has_one_slot_for_all_its_files() -> None:
    index = Index()
    queue = Queue(index, lambda record: True)
    repo = RepoRecord(id=REPO.id, spec=REPO, order=0.5, listed=True, created_at="0", updated_at="u", version=1)
    index.add(repo)
    files = [file_record(number, 0, [repo.id], singly=number == 2) for number in range(4)]
    for record in files:
        index.add(record)
        queue.offer(record)
    assert queue.next_unit(()) is repo
    assert queue.next_unit({repo.id}) is files[2]
    started: list[Record] = []
    while (record_ := queue.next_file(repo.id)) is not None:
        started.append(record_)
        record_.set_state(Status.DOWNLOADING)
    assert started == files
    assert queue.next_unit({repo.id}) is None


def test_those_that_stay_keep_their_order_when_hundreds_leave_at_once() -> None:
    index = Index()
    blocked: set[str] = set()
    queue = Queue(index, lambda record: record.id not in blocked)
    records = [file_record(number, 0, [], singly=True) for number in range(500)]
    for record in records:
        index.add(record)
        queue.offer(record)
    for record in records[:450]:
        record.set_state(Status.PAUSED)
    blocked |= {record.id for record in records[450:]}
    assert queue.next_unit(()) is None
    blocked.clear()
    for record in records[440:]:
        record.set_state(Status.QUEUED)
        queue.offer(record)
    left: list[Record] = []
    while (record_ := queue.next_unit(())) is not None:
        left.append(record_)
        record_.set_state(Status.DOWNLOADING)
    assert left == records[440:]


def test_positions_count_the_first_hundred() -> None:
    index = Index()
    queue = Queue(index, lambda record: True)
    for number in range(150):
        record = file_record(number, 0, [], singly=True)
        index.add(record)
        queue.offer(record)
    positions = queue.positions()
    assert len(positions) == 100
    assert positions[REPO.file("f0").id] == 1
    assert REPO.file("f120").id not in positions


@pytest.mark.parametrize("kind", ["file", "repo"])
def test_positions_are_counted_less_often_the_longer_the_queue(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    now_s = 1000.0
    monkeypatch.setattr("hfdmd.scheduler.queue.time", SimpleNamespace(monotonic=lambda: now_s))
    index = Index()
    queue = Queue(index, lambda record: True)
    records: list[Record] = [
        file_record(number, 0, [], singly=True)
        if kind == "file"
        else RepoRecord(id=f"r{number}", spec=REPO, order=float(number), created_at="", updated_at="", version=1)
        for number in range(50)
    ]
    for record in records:
        index.add(record)
        queue.offer(record)
    counted = queue.positions()
    queue.mark_stale()
    now_s += 0.001
    assert queue.positions() is counted, "not with every change"
    now_s += 0.002
    assert queue.positions() is not counted


def test_repo_downloads_have_positions_among_what_waits_for_a_slot() -> None:
    index = Index()
    queue = Queue(index, lambda record: True)
    single = file_record(0, 0, [], singly=True)
    repos = [RepoRecord(id=f"r{n}", spec=REPO, order=float(n), created_at="", updated_at="", version=1) for n in (1, 2)]
    part = file_record(5, 0, ["r1"], singly=False)
    for record in (single, *repos, part):
        index.add(record)
        queue.offer(record)
    positions = queue.positions()
    assert [positions[record.id] for record in (single, *repos)] == [1, 2, 3]
    repos[0].set_state(Status.PAUSED)
    queue.recount()
    assert "r1" not in queue.positions()
    assert queue.positions()["r2"] == 2


_FILE = st.tuples(st.integers(-2, 2), st.integers(0, 2), st.booleans())
_CHANGE = st.tuples(st.integers(0, 11), st.sampled_from(["done", "pause", "back", "priority"]), st.integers(-3, 3))


@given(st.lists(_FILE, min_size=1, max_size=12), st.lists(_CHANGE, max_size=25))
def test_the_next_slot_goes_to_whom_the_plain_definition_says(
    asked: list[tuple[int, int, bool]], changes: list[tuple[int, str, int]]
) -> None:
    index = Index()
    queue = Queue(index, lambda record: True)
    repos = [
        RepoRecord(
            id=f"r{number}",
            spec=REPO,
            order=number * 3.0,
            listed=True,
            created_at=f"r{number}",
            updated_at="u",
            version=1,
        )
        for number in range(3)
    ]
    for repo in repos:
        index.add(repo)
    files = [
        file_record(number, priority, [f"r{repo}"], singly=singly)
        for number, (priority, repo, singly) in enumerate(asked)
    ]
    for record in files:
        index.add(record)
        queue.offer(record)

    def expected() -> Record | None:
        """A repo is as urgent as itself, or as its first file."""
        ready = sorted((key(record), record) for record in files if record.state is Status.QUEUED)
        units = [(place, record) for place, record in ready if record.asked_singly]
        for repo in repos:
            first = next((record for _, record in ready if repo.id in record.repo_ids), None)
            if first is not None:
                units.append((min(key(repo), (*key(first)[:2], repo.id)), repo))  # type: ignore[arg-type]  # a repo among files
        return min(units, key=lambda unit: unit[0])[1] if units else None

    assert queue.next_unit(()) is expected()
    for number, change, priority in changes:
        record = files[number % len(files)]
        if change == "priority":
            record.priority = priority
            queue.offer(record)
        elif change == "back" and record.state is not Status.QUEUED:
            record.set_state(Status.QUEUED)
            queue.offer(record)
        elif change in ("done", "pause"):
            record.set_state(Status.DONE if change == "done" else Status.PAUSED)
        assert queue.next_unit(()) is expected()
