"""A record as the API shows it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from hfdmd.lifecycle import percent
from hfdmd.record import FileRecord, RepoRecord
from hfdmd.scheduler.index import Index, Sums
from hfdmd.scheduler.speed import eta_s
from hfdmd.wire.types import Download, Phase, Reason, RepoDownload, Status


def file_view(record: FileRecord, *, bytes_per_second: int | None, queue_position: int | None) -> Download:
    source = record.source
    total = record.size_bytes
    remaining = None if total is None else total - record.downloaded_bytes
    status = record.state
    at_work = status is Status.DOWNLOADING
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
        bytes_per_second=bytes_per_second if at_work else None,
        eta_seconds=eta_s(remaining, bytes_per_second) if at_work else None,
        priority=record.priority,
        queue_position=queue_position if status is Status.QUEUED else None,
        attempt=record.attempt,
        retry_at=record.retry_at,
        commit=source.commit if source else None,
        digest=source.digest if source else None,
        path=record.path if status is Status.DONE else None,
        transport="http" if source else None,
        created_at=record.created_at,
        updated_at=record.updated_at,
        version=record.version,
    )


def repo_view(record: RepoRecord, *, bytes_per_second: int | None) -> RepoDownload:
    status = record.state
    at_work = status is Status.DOWNLOADING
    remaining = None if record.total_bytes is None else record.total_bytes - record.downloaded_bytes
    return RepoDownload(
        id=record.id,
        model_repo=record.spec.model_repo,
        revision=record.spec.revision,
        repo_type=record.spec.repo_type,
        local_dir=record.spec.local_dir,
        include=list(record.spec.include),
        exclude=list(record.spec.exclude),
        status=status,
        phase=record.phase,
        progress=record.progress,
        reason=record.reason,
        detail=record.detail,
        error=record.error,
        files_total=record.files_total,
        files_done=record.files_done,
        files_failed=record.files_failed,
        total_bytes=record.total_bytes,
        downloaded_bytes=record.downloaded_bytes,
        bytes_per_second=bytes_per_second if at_work else None,
        eta_seconds=eta_s(remaining, bytes_per_second) if at_work else None,
        commit=record.commit,
        path=record.path if status is Status.DONE else None,
        created_at=record.created_at,
        updated_at=record.updated_at,
        version=record.version,
    )


def absorb(record: RepoRecord, sums: Sums) -> None:
    """Write what the files add up to into the repo's record."""
    if not record.listed:
        return
    record.files_total = len(sums.files)
    record.files_done = sums.by_status[Status.DONE]
    record.files_failed = sums.by_status[Status.FAILED]
    record.total_bytes = None if sums.unknown_sizes else sums.total_bytes
    record.downloaded_bytes = sums.downloaded_bytes
    record.progress = 100.0 if record.state is Status.DONE else percent(record.downloaded_bytes, record.total_bytes)


def standing(index: Index, repo: RepoRecord) -> tuple[Status, Phase | None, Reason | None, str | None]:
    """What the files of a listed repo add up to: status, phase, reason and detail.

    The status is the first that holds (docs/api.md, section 2).
    """
    sums = index.sums[repo.id]
    count = sums.by_status
    if count[Status.DOWNLOADING]:
        return Status.DOWNLOADING, Phase.TRANSFERRING, None, None
    if count[Status.QUEUED]:
        return Status.QUEUED, None, *index.wait_of(repo.id)
    if count[Status.PAUSED]:
        return Status.PAUSED, None, Reason.REQUESTED, None
    if count[Status.FAILED]:
        return Status.FAILED, None, *_failed_files(index, sums)
    if count[Status.CANCELLED]:
        return Status.CANCELLED, None, None, None
    return Status.DONE, None, None, None


def _failed_files(index: Index, sums: Sums) -> tuple[Reason, str]:
    failed = [index.files[file_id] for file_id in islice(sums.failed, 5)]
    named = ", ".join(f"{record.spec.file_path} ({record.reason})" for record in failed)
    more = f" and {len(sums.failed) - len(failed)} more" if len(sums.failed) > len(failed) else ""
    detail = f"{len(sums.failed)} of {len(sums.files)} files failed: {named}{more}. {failed[0].detail}"
    return failed[0].reason or Reason.INTERNAL, detail


def unbegun(repos: Iterable[RepoRecord]) -> Status | None:
    """The status that repo downloads give to a file of theirs that has not begun: whoever wants it most decides."""
    said = {repo.unbegun for repo in repos}
    return next((status for status in (Status.QUEUED, Status.PAUSED, Status.CANCELLED) if status in said), None)


def repo_path(child: FileRecord) -> str | None:
    """The folder that holds the repo's files, seen from one of them."""
    if child.path is None:
        return None
    depth = child.spec.file_path.count("/") + 1
    return str(Path(child.path).parents[depth - 1])
