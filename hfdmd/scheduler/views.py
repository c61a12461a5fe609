"""Records as the API shows them, and what the files of a repo download add up to. Changes no record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hfdmd.lifecycle import percent
from hfdmd.record import FileRecord, Record, RepoRecord
from hfdmd.scheduler.index import Index, Sums
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.running import Running
from hfdmd.scheduler.speed import eta_s
from hfdmd.wire.types import Download, Phase, Reason, RepoDownload, Status


class Standing(NamedTuple):
    """The status that the files of a listed repo download add up to, and why."""

    status: Status
    phase: Phase | None
    reason: Reason | None
    detail: str | None


class Totals(NamedTuple):
    """Numbers of a listed repo download; `total_bytes` is None while the size of a file is unknown."""

    files_total: int | None
    files_done: int
    files_failed: int
    total_bytes: int | None
    downloaded_bytes: int
    reused_bytes: int = 0


@dataclass(slots=True, eq=False)
class Views:
    """Shows records with what only the running daemon knows: speed, remaining time, position in the queue."""

    _index: Index
    _queue: Queue
    _running: Running

    def of(self, record: Record) -> Download | RepoDownload:
        return self.repo(record) if isinstance(record, RepoRecord) else self.file(record)

    def file(self, record: FileRecord) -> Download:
        speed = self._running.bytes_per_second(record.id)
        return file_view(record, bytes_per_second=speed, queue_position=self._position(record))

    def repo(self, repo: RepoRecord) -> RepoDownload:
        totals = live_totals(self._index, repo) or stored_totals(repo)
        now = shown(self._index, repo)
        speed = self._running.repo_bytes_per_second(repo.id)
        return repo_view(repo, now, totals, bytes_per_second=speed, queue_position=self._position(repo))

    def _position(self, record: Record) -> int | None:
        return self._queue.positions().get(record.id) if record.state is Status.QUEUED else None


def file_view(record: FileRecord, *, bytes_per_second: int | None, queue_position: int | None) -> Download:
    source = record.source
    total = record.size_bytes
    remaining = None if total is None else total - record.downloaded_bytes
    status = record.state
    is_running = status is Status.DOWNLOADING and record.reason is None  # with a reason no byte comes
    return Download(
        id=record.id,
        model_repo=record.spec.model_repo,
        file_path=record.spec.file_path,
        revision=record.spec.revision,
        repo_type=record.spec.repo_type,
        local_dir=record.spec.local_dir,
        repo_ids=record.repo_ids,
        status=status,
        phase=record.phase,
        progress=record.progress,
        reason=record.reason,
        detail=record.detail,
        error=record.error,
        total_bytes=total,
        downloaded_bytes=record.downloaded_bytes,
        reused_bytes=min(record.reused_bytes, record.downloaded_bytes),
        bytes_per_second=bytes_per_second if is_running else None,
        eta_seconds=eta_s(remaining, bytes_per_second) if is_running else None,
        priority=record.priority,
        queue_position=queue_position if status is Status.QUEUED else None,
        attempt=record.attempt,
        retry_at=record.retry_at,
        commit=source.commit if source else None,
        digest=source.digest if source else None,
        path=record.path if status is Status.DONE else None,
        transport=record.transport,
        created_at=record.created_at,
        updated_at=record.updated_at,
        version=record.version,
    )


def repo_view(
    record: RepoRecord,
    now: Standing,
    totals: Totals,
    *,
    bytes_per_second: int | None,
    queue_position: int | None,
) -> RepoDownload:
    status = now.status
    is_running = status is Status.DOWNLOADING and now.reason is None  # with a reason no byte comes
    is_known = totals.total_bytes is not None and record.listed
    remaining = (totals.total_bytes or 0) - totals.downloaded_bytes if is_known else None
    return RepoDownload(
        id=record.id,
        model_repo=record.spec.model_repo,
        revision=record.spec.revision,
        repo_type=record.spec.repo_type,
        local_dir=record.spec.local_dir,
        include=list(record.spec.include),
        exclude=list(record.spec.exclude),
        status=status,
        phase=now.phase,
        progress=100.0 if status is Status.DONE else percent(totals.downloaded_bytes, totals.total_bytes),
        reason=now.reason,
        detail=now.detail,
        error=record.error if status is record.state else None,
        files_total=totals.files_total,
        files_done=totals.files_done,
        files_failed=totals.files_failed,
        total_bytes=totals.total_bytes,
        downloaded_bytes=totals.downloaded_bytes,
        reused_bytes=totals.reused_bytes,
        bytes_per_second=bytes_per_second if is_running else None,
        eta_seconds=eta_s(remaining, bytes_per_second) if is_running else None,
        priority=record.priority,
        queue_position=queue_position if status is Status.QUEUED else None,
        commit=record.commit,
        path=record.path if status is Status.DONE else None,
        created_at=record.created_at,
        updated_at=record.updated_at,
        version=record.version,
    )


def totals_of(sums: Sums) -> Totals:
    return Totals(
        files_total=len(sums.files),
        files_done=sums.by_status[Status.DONE],
        files_failed=sums.by_status[Status.FAILED],
        total_bytes=None if sums.unknown_sizes else sums.total_bytes,
        downloaded_bytes=sums.downloaded_bytes,
        reused_bytes=sums.reused_bytes,
    )


def live_totals(index: Index, repo: RepoRecord) -> Totals | None:
    """What the files add up to now; None where that is not known: not listed, deleted, or trackers still load."""
    sums = index.sums.get(repo.id)
    if sums is None or not repo.listed or not index.is_complete or repo.id not in index.repos:
        return None
    return totals_of(sums)


def stored_totals(repo: RepoRecord) -> Totals:
    """The numbers that the record itself remembers."""
    return Totals(
        repo.files_total,
        repo.files_done,
        repo.files_failed,
        repo.total_bytes,
        repo.downloaded_bytes,
        repo.reused_bytes,
    )


def shown(index: Index, repo: RepoRecord) -> Standing:
    """What a repo download shows: its own status; but while a file of one that waits for its list runs, that."""
    own = Standing(repo.state, repo.phase, repo.reason, repo.detail)
    sums = index.sums.get(repo.id)
    if repo.listed or own.status is Status.DOWNLOADING or sums is None or not sums.by_status[Status.DOWNLOADING]:
        return own
    return standing(index, repo)


def standing(index: Index, repo: RepoRecord) -> Standing:
    """What the files of a listed repo download add up to: the first status that holds (docs/api.md, section 2)."""
    sums = index.sums[repo.id]
    count = sums.by_status
    if count[Status.DOWNLOADING]:
        all_silent = len(sums.silent) == count[Status.DOWNLOADING]
        return Standing(Status.DOWNLOADING, Phase.TRANSFERRING, *index.why(sums.silent if all_silent else ()))
    if count[Status.QUEUED]:
        return Standing(Status.QUEUED, None, *index.why(sums.waiting))
    if count[Status.PAUSED]:
        return Standing(Status.PAUSED, None, Reason.REQUESTED, None)
    if count[Status.FAILED]:
        return Standing(Status.FAILED, None, *_failed_files(index, sums))
    if count[Status.CANCELLED]:
        return Standing(Status.CANCELLED, None, None, None)
    return Standing(Status.DONE, None, None, None)


def _failed_files(index: Index, sums: Sums) -> tuple[Reason, str]:
    failed = [index.files[file_id] for file_id in islice(sums.failed, 5)]
    named = ", ".join(f"{record.spec.file_path} ({record.reason})" for record in failed)
    more = f" and {len(sums.failed) - len(failed)} more" if len(sums.failed) > len(failed) else ""
    detail = f"{len(sums.failed)} of {len(sums.files)} files failed: {named}{more}. {failed[0].detail}"
    return failed[0].reason or Reason.INTERNAL, detail


def implied_status(repos: Iterable[RepoRecord]) -> Status | None:
    """Status of a file that has not started, implied by its repo downloads: queued beats paused beats cancelled."""
    implied = {repo.implied_status for repo in repos}
    return next((status for status in (Status.QUEUED, Status.PAUSED, Status.CANCELLED) if status in implied), None)


def repo_path(child: FileRecord) -> str | None:
    """The folder that holds the repo's files, seen from one of them."""
    if child.path is None:
        return None
    depth = child.spec.file_path.count("/") + 1
    return str(Path(child.path).parents[depth - 1])
