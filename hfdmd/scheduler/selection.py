"""Which files and repo downloads an action means, and what stays as it is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.index import Index, Sums
from hfdmd.scheduler.views import implied_status
from hfdmd.wire.errors import NotAllowedNow
from hfdmd.wire.types import RepoType, Selector, Status

Q, D, P, OK, F, C = (
    Status.QUEUED,
    Status.DOWNLOADING,
    Status.PAUSED,
    Status.DONE,
    Status.FAILED,
    Status.CANCELLED,
)

ACTS_ON: dict[Stimulus, frozenset[Status]] = {
    Stimulus.PAUSE: frozenset({Q, D}),
    Stimulus.RESUME: frozenset({P}),
    Stimulus.CANCEL: frozenset({Q, D, P, F}),
    Stimulus.RETRY: frozenset({F, C, Q}),
}
_ALREADY_SO: dict[Stimulus, frozenset[Status]] = {
    Stimulus.PAUSE: frozenset({P}),
    Stimulus.RESUME: frozenset({Q, D}),
    Stimulus.CANCEL: frozenset({C}),
    Stimulus.RETRY: frozenset({D, Q}),
}

FilePlace = tuple[RepoType, str, str | None, str, str | None]
"""Identifies the place of a file, in the cache or in a folder."""


def fits(record: Record, stimulus: Stimulus, sums: Sums | None) -> bool:
    """Whether the action has something to do; a repo download may be running for one file and need it for another.

    `sums` are those of a repo download.
    """
    if _acts_on(record, stimulus):
        return True
    if not isinstance(record, RepoRecord) or not record.listed or sums is None:
        return False
    if stimulus is Stimulus.RESUME:
        return record.held and sums.by_status[P] > 0
    return stimulus is Stimulus.RETRY and bool(sums.failed or sums.waiting)


def _acts_on(record: Record, stimulus: Stimulus) -> bool:
    """Whether the status allows the action. What is queued is retried only if it waits for a time."""
    if record.state not in ACTS_ON[stimulus]:
        return False
    return not (stimulus is Stimulus.RETRY and record.state is Q) or record.retry_at is not None


def is_narrow(selector: Selector) -> bool:
    """Whether the selector names one download, so that an action which does not fit it is an error."""
    return isinstance(selector.id, str) or isinstance(selector.file_path, str)


def check_already(stimulus: Stimulus, matched: list[Record]) -> None:
    """Raises `NotAllowedNow` unless some of what matched is already as the action would have it."""
    if not any(record.state in _ALREADY_SO[stimulus] for record in matched):
        raise NotAllowedNow(f"cannot {stimulus}: {shown_statuses(matched)}")


def shown_statuses(matched: list[Record]) -> str:
    return ", ".join(sorted({f"it is {record.state}" for record in matched}))


def covers(child: FileRecord, stimulus: Stimulus, acting: Collection[str], repos: Mapping[str, RepoRecord]) -> bool:
    """Whether an action on repo downloads (`acting`, ids) is for this file of theirs.

    A file that another request which is not paused wants is left alone when it would be paused or cancelled only by
    way of a repo download (docs/api.md, section 2).
    """
    if not _acts_on(child, stimulus):
        return False
    if stimulus in (Stimulus.PAUSE, Stimulus.CANCEL):
        return not _is_wanted_elsewhere(child, acting, repos)
    return not (stimulus is Stimulus.RETRY and child.state is C)


def _is_wanted_elsewhere(child: FileRecord, acting: Collection[str], repos: Mapping[str, RepoRecord]) -> bool:
    if child.asked_singly and child.state is not P:
        return True
    others = [repos[repo_id] for repo_id in child.repo_ids if repo_id not in acting and repo_id in repos]
    return any(repo.implied_status is Q for repo in others)


def held_by_others(record: FileRecord, parents: Iterable[RepoRecord]) -> Stimulus | None:
    """What becomes of a file that only a request which is gone kept going: the others may have paused or cancelled."""
    if record.asked_singly or record.state not in (Q, D):
        return None
    return {P: Stimulus.PAUSE, C: Stimulus.CANCEL}.get(implied_status(parents) or Q)


def emptied(files: Mapping[str, FileRecord], index: Index) -> list[RepoRecord]:
    """Repo downloads that go with their last file: nothing is left of what was asked for."""
    parents = {repo.id: repo for record in files.values() for repo in index.parents(record)}
    return [repo for repo in parents.values() if repo.listed and index.sums[repo.id].files.keys() <= files.keys()]


def place_of(record: FileRecord) -> FilePlace:
    spec = record.spec
    commit = None if record.source is None else record.source.commit
    return spec.repo_type, spec.model_repo, spec.local_dir, spec.file_path, commit
