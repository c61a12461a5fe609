"""Which changes of status are legal, as one table. Pure: no input, no output, no clock of its own."""

from __future__ import annotations

from enum import StrEnum

from hfdmd.record import FileRecord, RepoRecord
from hfdmd.wire.types import FAILED_REASONS, OUTAGE_REASONS, PAUSED_REASONS, QUEUED_REASONS, Phase, Reason, Status

Q, D, P, OK, F, C = (
    Status.QUEUED,
    Status.DOWNLOADING,
    Status.PAUSED,
    Status.DONE,
    Status.FAILED,
    Status.CANCELLED,
)


class Stimulus(StrEnum):
    """What can happen to a download."""

    START = "start"  # a slot is free
    TRY = "try"  # a slot is free; what it waits for may be over
    ANSWER = "answer"  # what it waited for is over
    PHASE = "phase"  # the drive enters its next phase
    WAIT = "wait"  # it cannot continue now: network, rate limit, lock, disk
    FINISH = "finish"  # in place, verified, synced
    FAIL = "fail"  # given up, by cause
    PAUSE = "pause"  # paused by a request
    RESUME = "resume"  # resumed by a request
    CANCEL = "cancel"  # cancelled by a request
    RETRY = "retry"  # to be tried again, now
    ASK = "ask"  # asked for again: cancelled before, or its file is gone
    RESTART = "restart"  # the daemon starts and finds it downloading


TRANSITIONS: dict[tuple[Status, Stimulus], Status] = {
    (Q, Stimulus.START): D,
    (Q, Stimulus.TRY): Q,
    (Q, Stimulus.ANSWER): D,
    (Q, Stimulus.PAUSE): P,
    (Q, Stimulus.CANCEL): C,
    (Q, Stimulus.FAIL): F,
    (Q, Stimulus.WAIT): Q,
    (Q, Stimulus.RETRY): Q,
    (D, Stimulus.PHASE): D,
    (D, Stimulus.WAIT): Q,
    (D, Stimulus.FINISH): OK,
    (D, Stimulus.FAIL): F,
    (D, Stimulus.PAUSE): P,
    (D, Stimulus.CANCEL): C,
    (D, Stimulus.RESTART): Q,
    (P, Stimulus.RESUME): Q,
    (P, Stimulus.CANCEL): C,
    (OK, Stimulus.ASK): Q,
    (F, Stimulus.RETRY): Q,
    (F, Stimulus.CANCEL): C,
    (C, Stimulus.RETRY): Q,
    (C, Stimulus.ASK): Q,
}
"""Status and stimulus to the next status. Nothing else is legal."""

_REASONS: dict[Status, frozenset[Reason]] = {
    Q: QUEUED_REASONS,
    D: OUTAGE_REASONS,
    F: FAILED_REASONS,
    P: PAUSED_REASONS,
}


class InvalidTransition(Exception):
    """A change that the table does not have: a bug of the daemon, or an action that does not fit the status."""


def allows(status: Status, stimulus: Stimulus) -> bool:
    return (status, stimulus) in TRANSITIONS


def advance(
    record: FileRecord | RepoRecord,
    stimulus: Stimulus,
    now: str,
    *,
    version: int,
    phase: Phase | None = None,
    reason: Reason | None = None,
    detail: str | None = None,
    retry_at: str | None = None,
) -> None:
    """Change `record` as `stimulus` says. `now` and `retry_at` are RFC 3339 (`record.rfc3339`).

    Raises `InvalidTransition` for a change that the table does not have, `ValueError` for a reason that does not fit.
    """
    before = record.state
    after = TRANSITIONS.get((before, stimulus))
    if after is None:
        raise InvalidTransition(f"{record.id}: {stimulus} does not fit {before}")
    if version <= record.version:
        raise ValueError(f"{record.id}: version {version} does not rise above {record.version}")
    allowed = _REASONS.get(after, frozenset())
    if reason is not None and reason not in allowed:
        raise ValueError(f"{record.id}: reason {reason} does not fit {after}")
    if (after is F or after is P) and reason is None:
        raise ValueError(f"{record.id}: {after} needs a reason")

    if stimulus in (Stimulus.START, Stimulus.TRY):
        record.attempt += 1
    elif stimulus in (Stimulus.RETRY, Stimulus.ASK, Stimulus.RESUME):
        record.attempt = 0
    if stimulus in (Stimulus.RETRY, Stimulus.ASK) and isinstance(record, FileRecord):
        record.mismatches = 0  # a new request starts with a clean record
    record.set_state(after)
    record.phase = phase if after is D else None
    record.reason = reason
    record.detail = detail
    record.error = (detail or str(reason)) if after is F else None
    record.retry_at = retry_at if after is Q else None
    record.updated_at = now
    record.version = version
    settle(record)


def derive(
    record: RepoRecord,
    status: Status,
    now: str,
    *,
    version: int,
    phase: Phase | None = None,
    reason: Reason | None = None,
    detail: str | None = None,
) -> None:
    """Give a repo download the status that its files add up to (docs/api.md, section 2): any may follow any."""
    if version <= record.version:
        raise ValueError(f"{record.id}: version {version} does not rise above {record.version}")
    if status is F and reason is None:
        raise ValueError(f"{record.id}: {status} needs a reason")
    record.set_state(status)
    record.phase = phase
    record.reason = reason
    record.detail = detail
    record.error = (detail or str(reason)) if status is F else None
    record.retry_at = None
    record.updated_at = now
    record.version = version
    settle(record)


def settle(record: FileRecord | RepoRecord) -> None:
    """Compute `progress`: percent with one decimal, rounded down, and 100 only when done."""
    if record.state is OK:
        record.progress = 100.0
        return
    total = record.source.size_bytes if isinstance(record, FileRecord) and record.source else None
    if isinstance(record, RepoRecord):
        total = record.total_bytes
    record.progress = percent(record.downloaded_bytes, total)


def percent(done_bytes: int, total_bytes: int | None) -> float:
    """Percentage below 100 with one decimal, rounded down; 0 while the total is unknown or nothing."""
    if not total_bytes or done_bytes <= 0:
        return 0.0
    return min(done_bytes * 1000 // total_bytes, 999) / 10
