"""Records and small parts of the scheduler for tests that open no socket, start no process and never sleep."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from hfdmd.cache.storage import Storage
from hfdmd.config import DEFAULTS, Limits
from hfdmd.events import Event, Events, Listener
from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.lifecycle import Stimulus
from hfdmd.net.origin import Target
from hfdmd.net.retry_after import RetryAfter
from hfdmd.record import (
    Entry,
    FileRecord,
    FileSpec,
    Record,
    RepoRecord,
    RepoSpec,
    Source,
    is_commit,
    new_file,
    new_repo,
)
from hfdmd.scheduler.actions import Actions
from hfdmd.scheduler.admission import Admission
from hfdmd.scheduler.caller_tokens import CallerTokens
from hfdmd.scheduler.completion import Completion
from hfdmd.scheduler.content_locks import ContentLocks
from hfdmd.scheduler.drive import Drive
from hfdmd.scheduler.expiry import Expiry
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger, Observer
from hfdmd.scheduler.listing_cache import ListingCache
from hfdmd.scheduler.merging import Merger
from hfdmd.scheduler.ordering import Ordering
from hfdmd.scheduler.priority_semaphore import PrioritySemaphore
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.repo_listing import RepoListing
from hfdmd.scheduler.requests import Requests
from hfdmd.scheduler.retries import Retries
from hfdmd.scheduler.room import RepoRoom
from hfdmd.scheduler.running import ActiveFile, ActiveListing, Running
from hfdmd.scheduler.sampler import Sampler
from hfdmd.scheduler.startup import Startup
from hfdmd.scheduler.stopping import Stopper
from hfdmd.scheduler.storage_batches import StorageBatches
from hfdmd.scheduler.supervisor import Supervisor
from hfdmd.scheduler.updates import Updates
from hfdmd.scheduler.views import Standing, Views
from hfdmd.scheduler.written_files import WrittenFiles
from hfdmd.scheduler.xet_bases import XetBases
from hfdmd.store import Store
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.transfer.engine import Engine
from hfdmd.transfer.job import Fetched, Job
from hfdmd.versions import Versions
from hfdmd.wire.types import Reason, RepoType, Status

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

    def offered(self, record: Record) -> None:
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


def source_for(data: bytes, *, commit: str = COMMIT) -> Source:
    """The source of a file with this content, with its real digest."""
    digest = hashlib.sha256(data).hexdigest()
    return Source(commit=commit, etag=digest, size_bytes=len(data), digest=f"sha256:{digest}")


def remove(record: FileRecord) -> None:
    """Delete the file that was placed for a download, as another program does."""
    Path(record.path or "").unlink()


async def until(holds: Callable[[], object]) -> None:
    """Let other tasks and threads run until something holds."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - threads set no event of the loop
            await asyncio.sleep(0)


@dataclass
class ScriptedListing:
    commit: str
    told_at: float
    entries: list[Entry]
    left_out: list[Entry] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    @property
    def refused_total(self) -> int:
        return len(self.refused)

    async def pages(self) -> AsyncIterator[list[Entry]]:
        if self.entries:
            yield self.entries


@dataclass
class ScriptedHub:
    """Answers as `hfdmd.hub.client.Hub` does, from memory: first with `failures`, one by one, and while `open`."""

    endpoint = "https://hub.example"
    contents: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By commit, then by path."""
    head: str = COMMIT
    asked: list[str] = field(default_factory=list)
    """The methods that were called."""
    failures: list[Exception] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open.set()

    def as_caller(self, token: Callable[[], str | None]) -> Hub:
        return cast(Hub, self)

    def add(self, files: dict[str, bytes], commit: str = COMMIT) -> None:
        """A commit with these files, which revisions point at from now on."""
        self.contents[commit] = files
        self.head = commit

    def data_of(self, digest: str | None) -> bytes:
        every = [data for files in self.contents.values() for data in files.values()]
        return next(data for data in every if digest is None or source_for(data).digest == digest)

    async def resolve(self, spec: FileSpec) -> tuple[Source, Target]:
        files, commit = await self._answer("resolve", spec.revision if is_commit(spec.revision) else None)
        if spec.file_path not in files:
            raise Failure(Reason.FILE_NOT_FOUND, "there is no such file")
        return source_for(files[spec.file_path], commit=commit), Target("https://hub.example/resolved")

    def direct(self, spec: FileSpec, source: Source) -> Target:
        return Target("https://hub.example/direct")

    async def locate(self, spec: FileSpec, source: Source) -> Target:
        await self._answer("locate", source.commit)
        return Target("https://hub.example/located")

    async def head_commit(self, spec: RepoSpec) -> str:
        return (await self._answer("head_commit", None))[1]

    async def list_repo(self, spec: RepoSpec, *, commit: str | None = None, told_at: float = 0.0) -> ScriptedListing:
        files, found = await self._answer("list_repo", commit)
        entries = [Entry(path, source_for(data, commit=found), "1" * 40) for path, data in files.items()]
        return ScriptedListing(found, told_at, entries, refused=self.refused)

    async def _answer(self, question: str, commit: str | None) -> tuple[dict[str, bytes], str]:
        self.asked.append(question)
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        found = commit or self.head
        if found not in self.contents:
            raise Failure(Reason.REVISION_NOT_FOUND, f"there is no commit {found}")
        return self.contents[found], found


@dataclass
class ScriptedEngine:
    """Fetches as `hfdmd.transfer.engine.Engine` does, from a `ScriptedHub`: half of a large file, then the rest.

    Each fetch stops before the end while not `open`, and with one of the `failures` while there are some.
    """

    hub: ScriptedHub
    jobs: list[Job] = field(default_factory=list)
    applied: list[Limits] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    targets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open.set()

    def apply(self, limits: Limits) -> None:
        self.applied.append(limits)

    async def fetch_small(self, job: Job) -> bytearray:
        self.jobs.append(job)
        await self._pause(job)
        return bytearray(self.hub.data_of(job.digest))

    async def fetch(self, job: Job) -> Fetched:
        self.jobs.append(job)
        data = self.hub.data_of(job.digest)
        had = sum(end - start for start, end in job.synced)
        half = max(had, len(data) // 2)
        content = bytearray(job.part.read_bytes() if job.synced else b"")
        content[had:] = data[had:half]
        job.part.write_bytes(content)
        job.meter.downloaded_bytes, job.meter.received_bytes = half, half - had
        await job.checkpoint([(0, half)])
        await self._pause(job)
        content[half:] = data[half:]
        job.part.write_bytes(content)
        job.meter.downloaded_bytes, job.meter.received_bytes = len(data), len(data) - had
        return Fetched(len(data), job.digest)

    async def _pause(self, job: Job) -> None:
        self.targets.append((await job.locate()).url)
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)


async def held_up(_: object) -> None:
    """Work that never ends by itself."""
    await asyncio.Event().wait()


class Wired:
    """Every part of the scheduler around a ledger. Only the Hub and the engine are scripted.

    Nothing starts before `admit`. `drives` and `lists`: whether the real work is done then; else it only hangs.
    """

    def __init__(self, made: Parts, folder: Path) -> None:
        self.made = made
        self.values = replace(DEFAULTS, max_active_downloads=0)
        self.drives, self.lists = False, False
        self.hub = ScriptedHub()
        self.engine = ScriptedEngine(self.hub)
        self.cache_dir = folder / "hub"
        hub, engine = cast(Hub, self.hub), cast(Engine, self.engine)
        index, running, ledger = made.index, made.running, made.ledger
        self.views = Views(index, made.queue, running)
        self.storage = Storage(self.cache_dir)
        self.min_free_bytes = 0
        self.reservations = DiskReservations(lambda: self.min_free_bytes)
        self.room = RepoRoom(index, self.storage, self.reservations)
        self.supervisor = Supervisor()
        self.retry_after = RetryAfter()
        self.batches = StorageBatches(self.storage, self.cache_dir)
        self.listings = ListingCache(folder / "lists")
        self.written_files = WrittenFiles(index, self.storage, folder / "written")
        self.xet_bases = XetBases(index, self.storage)
        self.ordering = Ordering(index, made.queue, ledger)
        self.stopper = Stopper(index, ledger, running)
        self.expiry = Expiry(index, ledger, self.supervisor)
        self.retries = Retries(index, ledger, self.supervisor)
        self.tokens = CallerTokens(hub)
        self.updates = Updates(self.tokens.hub_for, index, ledger, running, self.stopper, self.batches, self.supervisor)
        self.completion = Completion(index, ledger, self.batches, self.listings, self.supervisor)
        self.merger = Merger(index, ledger, self.stopper, self.batches, self.supervisor, self.updates)
        self.content_locks = ContentLocks()
        self.small_files = PrioritySemaphore(lambda: self.values.max_connections)
        self.admission = Admission(
            index, made.queue, running, ledger, self.supervisor, self.small_files, lambda: self.values,
            self.run_file, self.run_listing,
        )  # fmt: skip
        self.sampler = Sampler(
            index, ledger, running, self.reservations, engine, self.retries, self.retry_after, lambda: self.values
        )
        self.startup = Startup(index, ledger, made.store, self.storage, self.listings, self.merger, self.written_files)
        self.actions = Actions(
            index,
            ledger,
            running,
            self.views,
            self.ordering,
            self.stopper,
            self.storage,
            self.batches,
            self.supervisor,
            self.completion,
            self.written_files,
        )
        self.requests = Requests(
            index, running, ledger, made.store, self.ordering, self.updates, self.completion, self.batches,
            self.supervisor, self.tokens, lambda: self.values.max_queue,
        )  # fmt: skip

    def run_file(self, active: ActiveFile) -> Coroutine[Any, Any, None]:
        return self.drive(active).run() if self.drives else held_up(active)

    def run_listing(self, active: ActiveListing) -> Coroutine[Any, Any, None]:
        return self.listing(active).run() if self.lists else held_up(active)

    def drive(self, active: ActiveFile) -> Drive:
        return Drive(
            active, cast(Hub, self.hub), self.storage, self.batches, cast(Engine, self.engine),
            self.reservations, self.made.index, self.made.ledger, self.content_locks, self.small_files,
            self.written_files, self.xet_bases, self.retries, self.updates,
        )  # fmt: skip

    def listing(self, active: ActiveListing) -> RepoListing:
        return RepoListing(
            active, cast(Hub, self.hub), self.storage, self.made.index, self.made.ledger, self.merger, self.listings,
            self.retries, self.updates, self.room, self.supervisor,
        )  # fmt: skip

    def set(self, **values: Any) -> None:
        self.values = replace(self.values, **values)

    def admit(self, slots: int = 100) -> None:
        self.set(max_active_downloads=slots)
        self.admission.kick()

    def enter(self, *records: Record) -> None:
        for record in records:
            self.made.ledger.enter(record)

    async def start(self, *records: Record) -> None:
        """Enter records and let them run."""
        self.enter(*records)
        self.admit()
        await until(lambda: all(self.made.running.task_of(record) for record in records))
        await asyncio.sleep(0)  # so that each has begun

    async def place(self, record: FileRecord, data: bytes) -> None:
        """The download has ended: its file is in its place."""
        ledger, running = self.made.ledger, self.made.running
        if not self.made.index.holds(record):
            ledger.enter(record)
        source = source_for(data)
        part = self.storage.part_path(record.spec, source)
        part.write_bytes(data)
        placed = self.storage.place(record.spec, source, part, None)
        active = active_of(record)
        running.add_file(active)
        ledger.change(record, Stimulus.START, source=source)
        await ledger.finish(
            record, path=str(placed.path), size_bytes=len(data), mtime_ns=placed.mtime_ns, adopted=False, detail=None
        )
        running.remove_file(active)

    def stop(self) -> None:
        self.admission.close()
        self.retries.close()
        self.expiry.close()


@asynccontextmanager
async def wired_up(made: Parts, folder: Path) -> AsyncIterator[Wired]:
    wired, observers = Wired(made, folder), made.ledger.observers
    made.ledger.observers = (
        wired.retries, wired.admission, wired.sampler, wired.written_files, wired.completion, wired.room, wired.expiry,
        made.seen,
    )  # fmt: skip
    work = asyncio.create_task(wired.supervisor.run({}, wired.stop))
    await asyncio.sleep(0)
    try:
        yield wired
        assert made.ledger.validate() == []
    finally:
        wired.supervisor.close()
        await work
        made.ledger.observers = observers
        for record in made.index.files.values():
            if record.state is Status.DOWNLOADING:
                made.ledger.change(record, Stimulus.WAIT)
            made.ledger.offer(record)
        for repo in made.index.repos.values():
            if repo.state is Status.DOWNLOADING and not repo.listed:
                made.ledger.derive(repo, Status.QUEUED)
            made.ledger.offer(repo)
