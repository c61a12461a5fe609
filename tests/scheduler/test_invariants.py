"""The check of the invariants finds each kind of contradiction, and nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hfdmd.record import FileRecord, RepoRecord
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.invariants import violations
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.running import ActiveListing, Running
from hfdmd.wire.types import Phase, Status
from tests.scheduler.parts import active_of, file_of, repo_of, source_of

BOUND = 10


class World:
    """A queued file of a listed repo download and a repo download that waits to be listed; nothing contradicts."""

    def __init__(self) -> None:
        self.index, self.running = Index(), Running()
        self.queue = Queue(self.index, self.running.is_free)
        self.index.is_complete = True
        self.listed = repo_of(Status.DOWNLOADING, listed=True)
        self.unlisted: RepoRecord = repo_of(spec=self.other_spec())
        self.file: FileRecord = file_of("a", source=source_of(), repo_ids=[self.listed.id], number=1)
        for record in (self.listed, self.unlisted, self.file):
            self.index.add(record)
            self.queue.offer(record)

    @staticmethod
    def other_spec():  # type: ignore[no-untyped-def]
        spec = repo_of().spec
        return type(spec)(repo_type=spec.repo_type, model_repo="o/other", revision="main")

    def found(self) -> list[str]:
        return violations(self.index, self.queue, self.running, BOUND)

    def download(self) -> None:
        self.file.set_state(Status.DOWNLOADING)
        self.index.update(self.file)

    def list(self) -> None:
        self.unlisted.set_state(Status.DOWNLOADING)
        self.unlisted.phase = Phase.LISTING


def test_a_world_without_contradictions() -> None:
    assert World().found() == []


def forget_file(world: World) -> None:
    world.queue = Queue(world.index, world.running.is_free)
    world.queue.offer(world.unlisted)


def forget_repo(world: World) -> None:
    world.queue = Queue(world.index, world.running.is_free)
    world.queue.offer(world.file)


def miscount(world: World) -> None:
    world.index.counts[Status.DONE] += 1


def misadd(world: World) -> None:
    world.index.sums[world.listed.id].unknown_sizes += 1


def too_new(world: World) -> None:
    world.file.version = BOUND + 1


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (miscount, "counts are"),
        (misadd, "the sums of"),
        (too_new, "above the bound"),
        (forget_file, "not in the queue"),
        (forget_repo, "not in the queue"),
        (World.download, "is downloading, but nothing works on it"),
        (World.list, "is being listed, but nothing works on it"),
    ],
)
def test_each_contradiction_is_named_once(break_it: Callable[[World], None], sentence: str) -> None:
    world = World()
    break_it(world)
    (found,) = world.found()
    assert sentence in found


def test_what_runs_or_is_being_stopped_is_no_contradiction() -> None:
    world = World()
    world.download()
    world.list()
    world.running.add_file(active_of(world.file))
    world.running.listings[world.unlisted.id] = ActiveListing(world.unlisted)
    assert world.found() == []
    world.running.files.clear()
    world.running.listings.clear()
    world.running.stopping |= {world.file.id, world.unlisted.id}
    assert world.found() == []


def test_while_trackers_load_only_numbers_are_checked() -> None:
    world = World()
    world.index.is_complete = False
    forget_file(world)
    world.list()
    assert world.found() == []
    too_new(world)
    assert len(world.found()) == 1


def test_a_version_at_the_bound_is_on_disk() -> None:
    world = World()
    world.file.version = BOUND
    assert world.found() == []
