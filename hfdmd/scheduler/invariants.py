"""What must hold between records, index, queue and running work at any moment. Checked by tests."""

from __future__ import annotations

from collections import Counter

from hfdmd.record import Record
from hfdmd.scheduler.index import Index, recounted
from hfdmd.scheduler.queue import Queue
from hfdmd.scheduler.running import Running
from hfdmd.wire.types import Phase, Status


def violations(index: Index, queue: Queue, running: Running, version_bound: int) -> list[str]:
    """A sentence for each contradiction. `version_bound` is the bound of all versions that is on disk."""
    found: list[str] = []
    records: list[Record] = [*index.files.values(), *index.repos.values()]
    counts = Counter(record.state for record in index.files.values())
    if +counts != +index.counts:
        found.append(f"counts are {dict(index.counts)}, counted {dict(counts)}")
    found += [
        f"the sums of {repo_id} are {index.sums[repo_id]}, counted {recounted(index, repo_id)}"
        for repo_id in index.repos
        if index.sums[repo_id] != recounted(index, repo_id)
    ]
    found += [
        f"{record.id} has version {record.version}, above the bound {version_bound} on disk"
        for record in records
        if record.version > version_bound
    ]
    if not index.is_complete:
        return found
    found += [f"{record.id} is ready, but not in the queue" for record in records if queue.lacks(record)]
    for file in index.files.values():
        if file.state is Status.DOWNLOADING and file.id not in running.files and file.id not in running.stopping:
            found.append(f"{file.id} is downloading, but nothing works on it")
    for repo in index.repos.values():
        is_listing = repo.state is Status.DOWNLOADING and repo.phase is Phase.LISTING
        if is_listing and repo.id not in running.listings and repo.id not in running.stopping:
            found.append(f"{repo.id} is being listed, but nothing works on it")
    return found
