"""The scheduler: puts its parts together, runs and closes them, and is what the API talks to."""

from __future__ import annotations

import asyncio
import time

from hfdmd.cache.storage import Storage
from hfdmd.config import Config, Paths, limits_of
from hfdmd.events import Events
from hfdmd.hub.client import Hub
from hfdmd.net.retry_after import RetryAfter
from hfdmd.scheduler.actions import Actions
from hfdmd.scheduler.admission import Admission
from hfdmd.scheduler.caller_tokens import CallerTokens
from hfdmd.scheduler.completion import Completion
from hfdmd.scheduler.content_locks import ContentLocks
from hfdmd.scheduler.drive import Drive
from hfdmd.scheduler.expiry import Expiry
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Ledger
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
from hfdmd.scheduler.views import Views
from hfdmd.scheduler.written_files import WrittenFiles
from hfdmd.scheduler.xet_bases import XetBases
from hfdmd.store import Store
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.transfer.engine import Engine
from hfdmd.versions import Versions

VALIDATE_EVERY_S = 0.1


class Scheduler:
    """Everything that is handed in is opened and closed by the caller.

    `validates`: check the invariants several times a second, and end with an AssertionError when one does not hold.
    """

    def __init__(
        self,
        *,
        config: Config,
        paths: Paths,
        store: Store,
        versions: Versions,
        hub: Hub,
        storage: Storage,
        reservations: DiskReservations,
        engine: Engine,
        retry_after: RetryAfter,
        events: Events,
        validates: bool = False,
    ) -> None:
        self.config = config
        self.paths = paths
        self.store = store
        self.hub = hub
        self.storage = storage
        self.reservations = reservations
        self.engine = engine
        self.events = events
        self._validates = validates
        self.index = index = Index()
        self.running = running = Running()
        self._supervisor = supervisor = Supervisor()
        queue = Queue(index, running.is_free)
        self.views = Views(index, queue, running)
        self.ledger = ledger = Ledger(index, queue, running, store, versions, events)
        listings = ListingCache(paths.state_dir / "lists")
        batches = StorageBatches(storage, paths.cache_dir)
        written_files = WrittenFiles(index, storage, paths.state_dir / "written")
        self.xet_bases = xet_bases = XetBases(index, storage)
        ordering = Ordering(index, queue, ledger)
        stopper = Stopper(index, ledger, running)
        small_files = PrioritySemaphore(lambda: config.values.max_connections - running.load.connections)
        self.retries = Retries(index, ledger, supervisor)
        self._caller_tokens = tokens = CallerTokens(hub)
        self.updates = Updates(tokens.hub_for, index, ledger, running, stopper, batches, supervisor)
        completion = Completion(index, ledger, batches, listings, supervisor)
        merger = Merger(index, ledger, stopper, batches, supervisor, self.updates)
        content_locks = ContentLocks()
        room = RepoRoom(index, storage, reservations)

        async def run_file(active: ActiveFile) -> None:
            await Drive(
                active,
                tokens.hub_for(active.record),
                storage,
                batches,
                engine,
                reservations,
                index,
                ledger,
                content_locks,
                small_files,
                written_files,
                xet_bases,
                self.retries,
                self.updates,
            ).run()

        async def run_listing(active: ActiveListing) -> None:
            await RepoListing(
                active,
                tokens.hub_for(active.repo),
                storage,
                index,
                ledger,
                merger,
                listings,
                self.retries,
                self.updates,
                room,
                supervisor,
            ).run()

        self._admission = Admission(
            index, queue, running, ledger, supervisor, small_files, lambda: config.values, run_file, run_listing
        )
        self._sampler = Sampler(
            index, ledger, running, reservations, engine, self.retries, retry_after, lambda: config.values
        )
        self.startup = Startup(index, ledger, store, storage, listings, merger, written_files)
        self.actions = Actions(
            index,
            ledger,
            running,
            self.views,
            ordering,
            stopper,
            storage,
            batches,
            supervisor,
            completion,
            written_files,
        )
        self.requests = Requests(
            index,
            running,
            ledger,
            store,
            ordering,
            self.updates,
            completion,
            batches,
            supervisor,
            tokens,
            lambda: config.values.max_queue,
        )
        self._expiry = Expiry(index, ledger, supervisor)
        # Retries first: a time that has passed is cleared before the queue looks at the record.
        ledger.observers = (
            self.retries, self._admission, self._sampler, written_files, xet_bases, completion, tokens, room,
            self._expiry,
        )  # fmt: skip

    async def run(self) -> None:
        """Work until `close` is called; then stop every transfer, synced and checkpointed."""
        permanent = {
            "load": self._load(),
            "sample": self._sampler.run(),
            "schedule": self._sampler.follow_schedule(),
        }
        if self._validates:
            permanent["validate"] = self._validate()
        await self._supervisor.run(permanent, self._stop)

    async def _load(self) -> None:
        await self.startup.run()
        self._admission.kick()
        await self._expiry.loaded()

    async def _validate(self) -> None:
        took_s = 0.0
        while True:
            await asyncio.sleep(max(VALIDATE_EVERY_S, 20 * took_s))  # it costs a twentieth of the time at most
            began = time.monotonic()
            if violations := self.ledger.validate():
                raise AssertionError("; ".join(violations))
            took_s = time.monotonic() - began

    def _stop(self) -> None:
        self._admission.close()
        self.retries.close()
        self._expiry.close()

    def close(self) -> None:
        self._supervisor.close()

    @property
    def closing(self) -> bool:
        return self._supervisor.closing

    @property
    def loading(self) -> bool:
        """Whether tracker files are still being read."""
        return not self.index.is_complete

    def apply_settings(self) -> None:
        """The settings changed: the engine and what waits follow."""
        self.engine.apply(limits_of(self.config.values))
        self.retries.room_may_be_there()
        self._admission.kick()
