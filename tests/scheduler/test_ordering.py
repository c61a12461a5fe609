"""Priorities and positions: the queue is in the order of a plain list that was changed in the same way."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, Record, RepoRecord, RepoSpec
from hfdmd.scheduler.ordering import Ordering
from hfdmd.wire.types import Reason, RepoType, Status
from tests.scheduler.parts import Parts, file_of, parts, repo_of, source_of

NOW = 1.75e9  # as orders are: few numbers lie between two of them


def ordering_of(made: Parts) -> Ordering:
    return Ordering(made.index, made.queue, made.ledger)


def order_of(made: Parts, records: Sequence[Record]) -> list[Record]:
    return sorted((one for one in records if one.state is Status.QUEUED), key=made.queue.key_of)


def single(number: int, priority: int = 0) -> FileRecord:
    record = file_of(f"f{number}", number=number, asked_singly=True, priority=priority)
    record.order = NOW + number
    return record


def repo_with(made: Parts, number: int, files: int, priority: int = 0) -> tuple[RepoRecord, list[FileRecord]]:
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo=f"o/n{number}", revision="main")
    repo = repo_of(spec=spec, number=number, listed=True, priority=priority)
    repo.order = NOW + number
    made.ledger.enter(repo)
    children = []
    for at in range(files):
        child = file_of(f"f{at}", repo_ids=[repo.id], source=source_of(), priority=priority)
        child = type(child)(
            **{**{name: getattr(child, name) for name in child.__struct_fields__}, "spec": spec.file(f"f{at}"),
               "id": spec.file(f"f{at}").id, "order": repo.order + at * 1e-6}
        )  # fmt: skip
        made.ledger.add_child(child)
        made.ledger.announce(child)
        children.append(child)
    made.ledger.refresh(repo)
    return repo, children


def moved(model: list[Record], moving: list[Record], position: int) -> list[Record]:
    """What `Ordering.move` is for, on a plain list."""
    others = [one for one in model if one not in moving]
    at = min(position - 1, len(others))
    return [*others[:at], *(one for one in model if one in moving), *others[at:]]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.sets(st.integers(0, 7), min_size=1, max_size=3), st.integers(1, 10)),
        st.tuples(st.just("priority"), st.sets(st.integers(0, 7), min_size=1, max_size=1), st.integers(-2, 2)),
    ),
    max_size=12,
)


@settings(max_examples=30)
@given(st.lists(st.integers(-1, 1), min_size=8, max_size=8), STEPS)
def test_the_queue_is_in_the_order_of_a_plain_list(
    priorities: list[int], steps: list[tuple[str, set[int], int]]
) -> None:
    async def check(made: Parts) -> None:
        ordering = ordering_of(made)
        records = [single(number, priority) for number, priority in enumerate(priorities)]
        for record in records:
            made.ledger.enter(record)
        model = order_of(made, records)
        for step, numbers, value in steps:
            chosen: list[Record] = [records[number] for number in numbers]
            before = list(model)
            if step == "move":
                model = moved(model, chosen, value)
                others = [one for one in before if one not in chosen]
                neighbour = others[min(value, len(others)) - 1]  # displaced, or the last one
                expected = neighbour.priority
                await ordering.move(chosen, value)
                assert {one.priority for one in chosen} == {expected}
            else:
                await ordering.prioritise(chosen[:1], value)
                model = order_of(made, records)
                assert chosen[0].priority == value
                assert [one for one in model if one not in chosen] == [one for one in before if one not in chosen]
            assert order_of(made, records) == model
            assert made.queue.next_unit(()) is model[0]
            positions = made.queue.positions()
            assert [positions[one.id] for one in model] == list(range(1, len(model) + 1))
            assert [-one.priority for one in model] == sorted(-one.priority for one in model)

    with tempfile.TemporaryDirectory() as folder, parts(Path(folder)) as made:
        asyncio.run(check(made))


async def test_a_place_between_two_never_runs_out(made: Parts) -> None:
    ordering, records = ordering_of(made), [single(number) for number in range(6)]
    for record in records:
        made.ledger.enter(record)
    model: list[Record] = list(records)
    for _ in range(150):
        last = model[-1]
        model = moved(model, [last], 2)
        await ordering.move([last], 2)
        assert order_of(made, records) == model


async def test_a_repo_is_moved_with_its_files_in_their_order(made: Parts) -> None:
    ordering = ordering_of(made)
    first, second = single(0), single(9, priority=-3)
    made.ledger.enter(first)
    made.ledger.enter(second)
    (repo, files), (other, _) = repo_with(made, 1, 30), repo_with(made, 2, 3)
    await ordering.move([repo], 99)
    assert order_of(made, [first, second, repo, other]) == [first, other, second, repo]
    assert {child.priority for child in (repo, *files)} == {-3}
    assert order_of(made, files) == files
    await ordering.move([repo, second], 1)
    assert order_of(made, [first, second, repo, other]) == [second, repo, first, other]
    assert order_of(made, [*files, first, second]) == [second, *files, first]


async def test_files_of_repos_take_no_position_from_repos(made: Parts) -> None:
    """A repo download is moved among what waits for a slot: its files are one position together."""
    ordering = ordering_of(made)
    (one, _), (two, _), (three, _) = (repo_with(made, number, 5) for number in range(3))
    await ordering.move([three], 2)
    assert order_of(made, [one, two, three]) == [one, three, two]


async def test_a_priority_is_passed_on_to_files_that_are_not_ended(made: Parts) -> None:
    ordering = ordering_of(made)
    repo, files = repo_with(made, 0, 3)
    made.ledger.change(files[0], Stimulus.PAUSE, reason=Reason.REQUESTED)
    await ordering.prioritise([repo], 5)
    assert [file.priority for file in files] == [0, 5, 5]
    assert order_of(made, files) == files[1:]


async def test_trackers_are_written_for_what_their_repo_does_not_say(made: Parts) -> None:
    ordering = ordering_of(made)
    repo, files = repo_with(made, 0, 120)
    _, others = repo_with(made, 1, 2)
    await ordering.prioritise([repo], 5)
    assert not any(made.ledger.is_tracked(file) for file in files), "the tracker of the repo says it"
    await ordering.prioritise([files[3]], 6)
    assert [made.ledger.is_tracked(file) for file in files[2:5]] == [False, True, False]
    await ordering.move(list(files[10:]), 1)
    assert not any(made.ledger.is_tracked(file) for file in files[10:] if file.priority == repo.priority)
    await ordering.move(list(others), 1)
    assert all(made.ledger.is_tracked(file) for file in others), "few were moved, and that was asked for"
    await made.store.flush()
    on_disk = made.on_disk()
    assert [on_disk[file.id].order for file in others] == [file.order for file in others]


async def test_what_was_deleted_meanwhile_is_not_moved(made: Parts) -> None:
    ordering, records = ordering_of(made), [single(number) for number in range(3)]
    for record in records:
        made.ledger.enter(record)
    moving = asyncio.create_task(ordering.move([records[2], records[1]], 1))
    await asyncio.sleep(0)
    made.ledger.forget(records[2])
    await moving
    await made.store.flush()
    assert order_of(made, records[:2]) == [records[1], records[0]]
    assert records[2].id not in made.on_disk()
    await ordering.move([], 1)
