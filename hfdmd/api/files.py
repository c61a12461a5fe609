"""`GET /api/files`: the files of a repo on the Hub, and which of them are on disk or being downloaded."""

from __future__ import annotations

import asyncio
import base64
import re

from hfdmd.aio import in_thread
from hfdmd.failure import Failure
from hfdmd.hub.urls import FIRST_PAGE
from hfdmd.net.retry_after import MAX_WAIT_S
from hfdmd.record import Entry, RepoSpec
from hfdmd.scheduler.core import Scheduler
from hfdmd.wire.errors import ApiError, HubRefused, HubUnavailable, InvalidField
from hfdmd.wire.types import RepoFile, RepoFiles

TIMEOUT_S = 30.0
"""Shorter than the timeouts of clients, so that they receive the cause."""

_CURSOR = re.compile(r"(?P<commit>[0-9a-f]{40})\.(?P<skip>[0-9]{1,9})\.(?P<page>[0-9A-Za-z_-]+={0,2})")
_QUERY = re.compile(r"[!-~]+")  # printable ASCII, as in a request line
_ERRORS: dict[str, type[ApiError]] = {error.code: error for error in HubRefused.__subclasses__()}
"""By reason of the failure."""


async def repo_files(scheduler: Scheduler, spec: RepoSpec, limit: int, cursor: str | None) -> RepoFiles:
    """One page of a repo's files.

    The cursor names the commit, so that all pages are of the same one, and the page of the Hub to continue with, so
    that earlier ones are not requested again. Raises `ApiError` with the reason that a download would fail with.
    """
    commit, skip, page = _position(cursor)
    entries: list[Entry] = []
    next_cursor: str | None = None
    number = 0  # files of the Hub's page so far
    try:
        async with asyncio.timeout(TIMEOUT_S):
            listing = await scheduler.hub.list_repo(spec, commit=commit)
            async for some in listing.pages(page):
                if listing.page != page:
                    page, skip, number = listing.page, 0, 0
                wanted = some[max(0, skip - number) :]
                room = limit - len(entries)
                entries += wanted[:room]
                if len(wanted) > room:
                    coded = base64.urlsafe_b64encode(page.encode()).decode()
                    next_cursor = f"{listing.commit}.{number + len(some) - len(wanted) + room}.{coded}"
                    break
                number += len(some)
    except Failure as failure:
        kind, wait_s = _ERRORS.get(failure.reason, HubUnavailable), failure.retry_after_s
        retry_after_s = None if wait_s is None else round(min(wait_s, MAX_WAIT_S)) or 1
        raise kind(failure.detail, retry_after_s=retry_after_s) from None
    except TimeoutError:
        detail = f"The Hub did not list the files of {spec.model_repo} within {TIMEOUT_S:.0f} s."
        raise HubUnavailable(detail) from None
    cached = await in_thread(lambda: [scheduler.storage.cached(spec.file(one.path), one.source) for one in entries])
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
    return RepoFiles(commit=listing.commit, files=files, next_cursor=next_cursor)


def _position(cursor: str | None) -> tuple[str | None, int, str]:
    """The commit, the number of files to skip, and the Hub's page. Raises `InvalidField`."""
    if cursor is None:
        return None, 0, FIRST_PAGE
    found = _CURSOR.fullmatch(cursor)
    try:
        page = base64.urlsafe_b64decode(found["page"]).decode() if found else ""
    except ValueError:
        page = ""
    if found is None or not _QUERY.fullmatch(page):
        raise InvalidField("cursor must be the nextCursor of the previous page", field="cursor")
    return found["commit"], int(found["skip"]), page
