"""`POST /api/plan`: what a download would do: which files, what is on disk already, whether the rest fits."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hfdmd.aio import in_thread, yielding
from hfdmd.api.hub_answers import hub_answers
from hfdmd.hub.client import Hub
from hfdmd.hub.listing import matches
from hfdmd.record import Entry, FileSpec, RepoSpec
from hfdmd.scheduler.core import Scheduler
from hfdmd.wire.errors import FileNotFound
from hfdmd.wire.repo_content import DownloadPlan, PlannedFile

FILES_SHOWN = 1000
REUSE_AT_ONCE = 8
REUSE_S = 10.0
"""How long the store of Xet is asked which chunks are here already."""


async def plan(scheduler: Scheduler, hub: Hub, repo: RepoSpec, file_path: str | None) -> DownloadPlan:
    """The plan for one file of `repo`, or for the files that its globs match. Raises `ApiError`."""
    async with hub_answers(repo.model_repo):
        commit, entries = await _wanted(hub, repo, file_path)
    if not entries:
        globs = f" that match {', '.join(repo.include)}" if repo.include else ""
        raise FileNotFound(f"{repo.model_repo} at {repo.revision} has no files{globs}.")
    found = await in_thread(_looked_up, scheduler, repo, entries)
    missing = [(spec, entry) for spec, entry, _, here in found if not here]
    reusable_bytes = await _reusable_bytes(scheduler, hub, missing)
    total_bytes = cached_bytes = 0
    files: list[PlannedFile] = []
    async for _, entry, file_id, here in yielding(found):
        size_bytes = entry.source.size_bytes or 0
        total_bytes += size_bytes
        cached_bytes += size_bytes if here else scheduler.index.synced_bytes(file_id, entry.source)
        if len(files) < FILES_SHOWN:
            files.append(PlannedFile(file_path=entry.path, size=entry.source.size_bytes, cached=here))
    free_bytes, room_bytes = await in_thread(scheduler.reservations.free_bytes, scheduler.storage.folder(repo))
    needed_bytes = total_bytes - cached_bytes
    reusable_bytes = min(reusable_bytes, needed_bytes)
    return DownloadPlan(
        commit=commit,
        files_total=len(entries),
        total_bytes=total_bytes,
        cached_bytes=cached_bytes,
        reusable_bytes=reusable_bytes,
        fetch_bytes=needed_bytes - reusable_bytes,
        free_bytes=free_bytes,
        fits=needed_bytes <= room_bytes,
        files=files,
    )


def _looked_up(scheduler: Scheduler, repo: RepoSpec, entries: list[Entry]) -> list[tuple[FileSpec, Entry, str, bool]]:
    """Each file with the id of its download, and whether it is in the cache. Blocking: 100,000 ids take 0.3 s."""
    specs = [repo.file(entry.path) for entry in entries]
    cached = scheduler.storage.cached
    return [(spec, one, spec.id, cached(spec, one.source)) for spec, one in zip(specs, entries, strict=True)]


async def _wanted(hub: Hub, repo: RepoSpec, file_path: str | None) -> tuple[str, list[Entry]]:
    """The commit, and the files to download. Raises `Failure`."""
    if file_path is not None:
        source, _ = await hub.resolve(repo.file(file_path))
        return source.commit, [Entry(file_path, source, source.etag)]
    listing = await hub.list_repo(repo)
    entries = [
        entry async for page in listing.pages() for entry in page if matches(entry.path, repo.include, repo.exclude)
    ]
    return listing.commit, entries


async def _reusable_bytes(scheduler: Scheduler, hub: Hub, missing: list[tuple[FileSpec, Entry]]) -> int:
    """Bytes that would be copied from other files here; a lower bound when the store of Xet answers slowly."""
    found = 0

    async def count(spec: FileSpec, entry: Entry) -> None:
        nonlocal found
        xet = scheduler.xet_bases.file(spec, entry.source, hub)
        async with at_once:
            if xet is not None and not scheduler.index.synced_bytes(spec.id, entry.source):
                of_file = await scheduler.engine.reusable_bytes(xet, entry.source.size_bytes or 0)
                found += of_file  # not with the await: others add meanwhile

    at_once = asyncio.Semaphore(REUSE_AT_ONCE)
    with suppress(TimeoutError):
        async with asyncio.timeout(REUSE_S), asyncio.TaskGroup() as group:
            for spec, entry in missing[:FILES_SHOWN]:
                group.create_task(count(spec, entry))
    return found
