"""Which download starts next. Pure: one decision at a time from plain data, which `admission` carries out."""

from __future__ import annotations

from dataclasses import dataclass, field

from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.running import Running
from hfdmd.transfer.job import is_small
from hfdmd.wire.types import Status

# This many small files of a repo run per free connection. Most of them need no connection, but wait for the disk, which
# takes them in batches: as few as there are connections would all go through it in lockstep.
_SMALL_PER_CONNECTION = 4
_SMALL_BYTES_AT_ONCE = 16 << 20


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """`slots`: requests that run at once. `small_files`: how many the descriptors of the process allow."""

    slots: int
    connections: int
    small_files: int


@dataclass(slots=True)
class Slots:
    """Who has a slot: ids of single files and repo downloads, each with the ids of its running files."""

    files: dict[str, set[str]] = field(default_factory=dict)
    served: str | None = None
    """The slot that a file was started for last."""

    def in_turn(self) -> list[str]:
        """All slots, beginning behind the one that was served last."""
        slots = list(self.files)
        start = slots.index(self.served) + 1 if self.served in self.files else 0
        return slots[start:] + slots[:start]


@dataclass(frozen=True, slots=True)
class CloseSlot:
    """Nothing is left to do in it. `repo`: to be offered to the queue, since it has to be listed again."""

    slot: str
    repo: RepoRecord | None


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A single file starts at once; a repo download is looked at by the next decision."""

    record: Record


@dataclass(frozen=True, slots=True)
class StartListing:
    repo: RepoRecord


@dataclass(frozen=True, slots=True)
class StartFile:
    record: FileRecord
    slot: str


Decision = CloseSlot | OpenSlot | StartListing | StartFile


def next_decision(
    index: Index, queue: Queue, running: Running, slots: Slots, limits: AdmissionLimits
) -> Decision | None:
    """The next step; None when nothing can start. The caller carries it out before it asks again."""
    for slot, files in slots.files.items():
        if files and slot not in index.repos:
            continue  # a single file that is running, as in nearly all slots where there are hundreds
        if (decision := _for_slot(slot, files, index, queue, running)) is not None:
            return decision
    if len(slots.files) < limits.slots and (record := queue.next_unit(slots.files)) is not None:
        return OpenSlot(record)
    return _next_file(index, queue, running, slots, limits)


def _for_slot(slot: str, files: set[str], index: Index, queue: Queue, running: Running) -> Decision | None:
    """What a slot needs before files may start: a listing, or its end."""
    repo = index.repos.get(slot)
    if repo is not None and not repo.listed and repo.state is Status.QUEUED and running.is_free(repo):
        # One that has a slot and is to be listed again has no place in the queue to wait for.
        return StartListing(repo)
    if files or slot in running.listings:
        return None
    if repo is None or repo.moving or queue.next_file(slot) is None:
        return CloseSlot(slot, repo if repo is not None and not repo.listed else None)
    return None


def _next_file(index: Index, queue: Queue, running: Running, slots: Slots, limits: AdmissionLimits) -> StartFile | None:
    """A file of a repo download that has a slot: one of each in turn, as far as there is room."""
    for slot in slots.in_turn():
        repo = index.repos.get(slot)
        # While it moves to another commit, the listing decides which files are still wanted, and of what content.
        if repo is None or repo.moving:
            continue
        record = queue.next_file(slot)
        if record is not None and (not slots.files[slot] or has_room(record, running, limits)):
            return StartFile(record, slot)
    return None


def has_room(record: FileRecord, running: Running, limits: AdmissionLimits) -> bool:
    """Whether one more file of a repo download would find something to do."""
    load = running.load
    if not is_small(record.size_bytes):
        return load.connections < limits.connections
    left_by_large_ones = limits.connections - load.connections
    most = min(_SMALL_PER_CONNECTION * left_by_large_ones, limits.small_files)
    return load.small_files < most and load.small_bytes < _SMALL_BYTES_AT_ONCE
