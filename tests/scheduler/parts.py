"""Records and small parts of the scheduler for tests that open no socket, start no process and never sleep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfdmd.events import Event, Events, Listener
from hfdmd.record import Entry, FileRecord, Record, RepoRecord, RepoSpec, Source, new_file, new_repo
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger, Observer
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.running import ActiveFile, Running
from hfdmd.scheduler.views import Standing
from hfdmd.store import Store
from hfdmd.versions import Versions
from hfdmd.wire.types import RepoType, Status

COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40
REPO = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main")


def source_of(content: int = 0, *, commit: str = COMMIT, size_bytes: int | None = 100) -> Source:
    digest = f"{content:064x}"
    return Source(commit=commit, etag=digest, size_bytes=size_bytes, digest=f"sha256:{digest}")


def entry_of(path: str, content: int = 0, *, commit: str = COMMIT, size_bytes: int | None = 100) -> Entry:
    return Entry(path, source_of(content, commit=commit, size_bytes=size_bytes), "1" * 40)


def file_of(file_path: str, status: Status = Status.QUEUED, *, number: int = 0, **fields: Any) -> FileRecord:
    """A download of the repo `REPO`, number `number` in the queue."""
    record = new_file(REPO.file(file_path), 1 + number, float(number), float(number), **fields)
    record.set_state(status)
    return record


def repo_of(status: Status = Status.QUEUED, spec: RepoSpec = REPO, *, number: int = 0, **fields: Any) -> RepoRecord:
    record = new_repo(spec, 1 + number, float(number), **fields)
    record.set_state(status)
    return record


def active_of(record: FileRecord, slot: str | None = None, weight: int = 1) -> ActiveFile:
    return ActiveFile(record, record.id if slot is None else slot, weight)


@dataclass
class Seen(Observer):
    """Remembers what a ledger reports."""

    changes: list[tuple[str, Status, Status]] = field(default_factory=list)
    sums: list[tuple[str, Status]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def changed(self, record: Record, before: Status) -> None:
        self.changes.append((record.id, before, record.state))

    def summed(self, repo: RepoRecord, standing: Standing) -> None:
        self.sums.append((repo.id, standing.status))

    def forgotten(self, record: Record) -> None:
        self.gone.append(record.id)


class Offering(Observer):
    """Keeps the queue as admission does, and starts nothing."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def changed(self, record: Record, before: Status) -> None:
        self._queue.offer(record)


@dataclass
class Parts:
    """A ledger with a real store below `folder`, everything loaded."""

    index: Index
    queue: Queue
    running: Running
    store: Store
    versions: Versions
    events: Events
    ledger: Ledger
    seen: Seen
    listener: Listener

    def heard(self) -> list[Event]:
        """The events since the last call."""
        return self.listener.take_all()

    def on_disk(self) -> dict[str, Record]:
        """Every tracker by id, after a flush."""
        return {record.id: record for batch in self.store.load() for record in batch}


@contextmanager
def parts(folder: Path) -> Iterator[Parts]:
    index, running, events = Index(), Running(), Events()
    queue = Queue(index, running.is_free)
    store, versions = Store(folder / "trackers"), Versions(folder / "version")
    store.open()
    versions.open()
    versions.next()  # the bound is on disk
    index.is_complete = True
    ledger = Ledger(index, queue, running, store, versions, events)
    seen = Seen()
    ledger.observers = (Offering(queue), seen)
    listener = events.subscribe(lambda _: True)
    try:
        yield Parts(index, queue, running, store, versions, events, ledger, seen, listener)
    finally:
        store.close()
    assert ledger.validate() == []
