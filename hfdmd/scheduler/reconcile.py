"""What a listing of a repo means for the downloads that are known. Pure: it decides, `merging` carries it out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hfdmd.lifecycle import Stimulus
from hfdmd.record import Entry, FileRecord, RepoRecord
from hfdmd.wire.types import Status


@dataclass(frozen=True, slots=True)
class New:
    """A file without a download; `number` is its place in the listing."""

    entry: Entry
    number: int


@dataclass(frozen=True, slots=True)
class Join:
    """A file with a download: the repo download wants it too, or has it already.

    `is_cancelled_since`: it was cancelled after the repo download had been asked for.
    """

    record: FileRecord
    entry: Entry
    is_new_here: bool
    is_cancelled_since: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """A file of the repo download that the listing does not name any more."""

    record: FileRecord


Step = New | Join | Drop


def reconcile(
    repo: RepoRecord,
    known: Mapping[str, FileRecord],
    children: Iterable[str],
    numbered: Iterable[tuple[int, Entry]],
) -> Iterator[Step]:
    """The steps that bring the downloads in line with the listing, in its order; drops come last.

    `known`: all downloads by id. `children`: ids of the repo download before the listing. `numbered`: entries with
    their place in the listing. Each step is decided when it is taken, from the records as they are then.
    """
    left = dict.fromkeys(children)
    for number, entry in numbered:
        key = repo.spec.file(entry.path).id
        left.pop(key, None)
        if entry.path in repo.dropped:
            continue
        record = known.get(key)
        if record is None:
            yield New(entry, number)
        else:
            since = record.state is Status.CANCELLED and record.updated_at > (repo.asked_at or repo.created_at)
            yield Join(record, entry, repo.id not in record.repo_ids, since)
    for key in left:
        record = known.get(key)
        if record is not None:
            yield Drop(record)


def chooses_commit(repo: RepoRecord) -> bool:
    """Whether known files follow this listing: not when it only restores what a crash has left."""
    return repo.revive or repo.moving


def moves(repo: RepoRecord, step: Join) -> bool:
    """Whether the file changes to the commit of the listing: a snapshot is of one commit."""
    source = step.record.source
    return chooses_commit(repo) and source is not None and source.commit != step.entry.source.commit


def needs_stop(record: FileRecord) -> bool:
    """Whether bytes of the old content are at stake when the file moves. What waited for a reason may be tried now."""
    may_run = record.state is Status.DOWNLOADING or (record.state is Status.QUEUED and record.reason is not None)
    return may_run or bool(record.synced) or record.mismatches > 0


def released(record: FileRecord, *, is_tracked: bool, implied: Status | None) -> list[Stimulus]:
    """How a file that has not started gets the status that its repo downloads imply now: the least strict one wins."""
    if record.state not in (Status.PAUSED, Status.CANCELLED) or is_tracked or record.state is implied:
        return []
    steps = [Stimulus.RESUME if record.state is Status.PAUSED else Stimulus.ASK]
    return steps + held(implied)


def held(implied: Status | None) -> list[Stimulus]:
    """How a queued file that has not started gets an implied status."""
    if implied is Status.PAUSED:
        return [Stimulus.PAUSE]
    return [Stimulus.CANCEL] if implied is Status.CANCELLED else []


def wake(repo: RepoRecord, step: Join, *, moved: bool, is_other: bool, is_missing: bool) -> Stimulus | None:
    """What queues a file that is not queued; None when nothing does.

    `moved`: it changed to the listing's commit. `is_other`: with another content. `is_missing`: it is done and its
    file is gone.
    """
    record = step.record
    # What the repo download had before was cancelled after it had been asked for.
    was_cancelled = record.state is Status.CANCELLED and step.is_new_here and not step.is_cancelled_since
    if repo.revive and (was_cancelled or is_missing):
        return Stimulus.ASK
    if moved and record.state is Status.DONE:
        return Stimulus.ASK
    if (repo.retry or (moved and is_other)) and record.state is Status.FAILED:
        return Stimulus.RETRY
    return None


def is_unwanted(record: FileRecord) -> bool:
    """Whether no request wants the file any more and nothing of it would be missed."""
    return not record.repo_ids and not record.asked_singly and record.state is not Status.DONE
