"""`GET /api/files`: what a repo has on the Hub, and what of it is here."""

from __future__ import annotations

from hfdmd.failure import Failure
from hfdmd.hub.client import Entry
from hfdmd.net.courtesy import MAX_WAIT_S
from hfdmd.record import RepoSpec, is_commit
from hfdmd.scheduler.core import Scheduler
from hfdmd.scheduler.threads import in_thread
from hfdmd.wire import errors
from hfdmd.wire.errors import ApiError, HubUnavailable, InvalidField
from hfdmd.wire.types import Reason, RepoFile, RepoFiles

_ERRORS: dict[Reason, type[ApiError]] = {
    Reason.REPO_NOT_FOUND: errors.RepoNotFound,
    Reason.REVISION_NOT_FOUND: errors.RevisionNotFound,
    Reason.FILE_NOT_FOUND: errors.FileNotFound,
    Reason.GATED: errors.Gated,
    Reason.UNAUTHORIZED: errors.HubUnauthorized,
    Reason.TLS: errors.Tls,
}


async def repo_files(scheduler: Scheduler, spec: RepoSpec, limit: int, cursor: str | None) -> RepoFiles:
    """One page of a repo's files. The cursor names the commit, so that a page fits the one before it.

    Raises `ApiError` with the reason that a download of the repo would fail with.
    """
    commit, start = _position(cursor)
    entries: list[Entry] = []
    seen = 0
    try:
        listing = await scheduler.hub.list_repo(spec, commit=commit)
        async for page in listing.pages():
            for entry in page:
                if start <= seen <= start + limit:
                    entries.append(entry)
                seen += 1
            if seen > start + limit:
                break
    except Failure as failure:
        raise _api_error(failure) from None
    more = len(entries) > limit
    entries = entries[:limit]

    def look() -> list[bool]:
        return [scheduler.shelf.cached(spec.file(entry.path), entry.source) for entry in entries]

    cached = await in_thread(look)
    files = []
    for entry, here in zip(entries, cached, strict=True):
        record = scheduler.index.files.get(spec.file(entry.path).id)
        files.append(
            RepoFile(
                file_path=entry.path,
                size=entry.source.size_bytes,
                status=record.state if record is not None else None,
                id=record.id if record is not None else None,
                cached=here,
            )
        )
    next_cursor = f"{listing.commit}.{start + limit}" if more else None
    return RepoFiles(commit=listing.commit, files=files, next_cursor=next_cursor)


def _position(cursor: str | None) -> tuple[str | None, int]:
    if cursor is None:
        return None, 0
    commit, _, start = cursor.partition(".")
    if not is_commit(commit) or not start.isdecimal() or not start.isascii() or len(start) > 9:
        raise InvalidField("cursor must be the nextCursor of the page before", field="cursor")
    return commit, int(start)


def _api_error(failure: Failure) -> ApiError:
    kind = _ERRORS.get(failure.reason, HubUnavailable)
    wait_s = failure.retry_after_s
    return kind(failure.detail, retry_after_s=None if wait_s is None else round(min(wait_s, MAX_WAIT_S)) or 1)
