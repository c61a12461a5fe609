"""`GET /api/files`: the files of a repo on the Hub, and which of them are on disk or being downloaded."""

from __future__ import annotations

import base64
import re

from hfdmd.aio import in_thread
from hfdmd.api.hub_answers import hub_answers
from hfdmd.hub.client import Hub
from hfdmd.hub.quantisations import is_gguf, quantisations
from hfdmd.hub.urls import FIRST_PAGE
from hfdmd.record import Entry, RepoSpec
from hfdmd.scheduler.core import Scheduler
from hfdmd.wire.errors import InvalidField
from hfdmd.wire.repo_content import RepoFile, RepoFiles

_CURSOR = re.compile(r"(?P<commit>[0-9a-f]{40})\.(?P<skip>[0-9]{1,9})\.(?P<page>[0-9A-Za-z_-]+={0,2})")
_QUERY = re.compile(r"[!-~]+")  # printable ASCII, as in a request line


async def repo_files(scheduler: Scheduler, hub: Hub, spec: RepoSpec, limit: int, cursor: str | None) -> RepoFiles:
    """One page of a repo's files.

    The cursor names the commit, so that all pages are of the same one, and the page of the Hub to continue with, so
    that earlier ones are not requested again. The first page names the quantisations of the whole repo. Raises
    `ApiError` with the reason that a download would fail with.
    """
    commit, skip, page = _position(cursor)
    entries: list[Entry] = []
    gguf_files: list[tuple[str, int | None]] = []
    next_cursor: str | None = None
    number = 0  # files of the Hub's page so far
    async with hub_answers(spec.model_repo):
        listing = await hub.list_repo(spec, commit=commit)
        async for some in listing.pages(page):
            if cursor is None:
                gguf_files += [(entry.path, entry.source.size_bytes) for entry in some if is_gguf(entry.path)]
            if next_cursor is not None:
                continue
            if listing.page != page:
                page, skip, number = listing.page, 0, 0
            wanted = some[max(0, skip - number) :]
            room = limit - len(entries)
            entries += wanted[:room]
            if len(wanted) > room:
                coded = base64.urlsafe_b64encode(page.encode()).decode()
                next_cursor = f"{listing.commit}.{number + len(some) - len(wanted) + room}.{coded}"
                if not gguf_files:  # the whole list is read only for the quantisations
                    break
            number += len(some)
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
    return RepoFiles(
        commit=listing.commit, files=files, next_cursor=next_cursor, quantisations=quantisations(gguf_files)
    )


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
