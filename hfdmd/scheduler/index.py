"""All records in memory: found by id, by repo, by selector; and what the files of each repo download add up to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord, Source
from hfdmd.wire.types import Reason, Selector, Status


@dataclass(slots=True)
class Sums:
    """What the files of one repo download add up to. Updated with every change instead of being recounted."""

    files: dict[str, None] = field(default_factory=dict)
    by_status: Counter[Status] = field(default_factory=Counter)
    failed: dict[str, None] = field(default_factory=dict)
    total_bytes: int = 0
    unknown_sizes: int = 0
    downloaded_bytes: int = 0
    reused_bytes: int = 0
    waiting: dict[str, None] = field(default_factory=dict)
    """Files that are queued with a reason."""
    silent: dict[str, None] = field(default_factory=dict)
    """Files that are downloading with a reason: no byte comes."""


class _Share(msgspec.Struct, frozen=True, gc=False):
    """What one file adds to the sums of its repos."""

    status: Status
    size_bytes: int | None
    downloaded_bytes: int
    reused_bytes: int
    has_reason: bool
    repos: tuple[str, ...]


class Index:
    def __init__(self) -> None:
        self.files: dict[str, FileRecord] = {}
        self.repos: dict[str, RepoRecord] = {}
        self.sums: dict[str, Sums] = {}
        self.counts: Counter[Status] = Counter()
        self.is_complete = False
        """False while tracker files are still being loaded: sums of repo downloads may lack files."""
        self.queued: dict[str, None] = {}
        self._shares: dict[str, _Share] = {}
        self._by_path: dict[str, dict[str, str | dict[str, None]]] = {}  # ids by repo and path; "" for repo downloads
        self._order: list[tuple[str, str]] | None = []
        self._owners: dict[str, dict[str, None]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.files or key in self.repos

    def get(self, key: str) -> Record | None:
        return self.files.get(key) or self.repos.get(key)

    def add(self, record: Record) -> None:
        """Add a record that is not there yet."""
        if isinstance(record, FileRecord):
            self.files[record.id] = record
            self.update(record)
            if record.spec.local_dir is not None:
                self._owners.setdefault(target_path(record.spec), {})[record.id] = None
        else:
            self.repos[record.id] = record
            self.sums.setdefault(record.id, Sums())
        paths = self._by_path.setdefault(record.spec.model_repo, {})
        path = _path_of(record)
        known = paths.get(path)
        if known is None:
            paths[path] = record.id  # nearly always the only one
        elif isinstance(known, str):
            paths[path] = {known: None, record.id: None}
        else:
            known[record.id] = None
        key = (record.created_at, record.id)
        if self._order is not None and (not self._order or self._order[-1] < key):
            self._order.append(key)
        else:
            self._order = None

    def remove(self, record: Record) -> None:
        if isinstance(record, FileRecord):
            self._apply(self._shares.pop(record.id), record.id, -1)
            del self.files[record.id]
            if record.spec.local_dir is not None:
                target = target_path(record.spec)
                self._owners[target].pop(record.id, None)
                if not self._owners[target]:
                    del self._owners[target]
        else:
            del self.sums[record.id]
            del self.repos[record.id]
        paths = self._by_path[record.spec.model_repo]
        path = _path_of(record)
        known = paths[path]
        if not isinstance(known, str):
            del known[record.id]
        if isinstance(known, str) or not known:
            del paths[path]
        if not paths:
            del self._by_path[record.spec.model_repo]
        self._order = None

    def update(self, record: FileRecord) -> None:
        """The record changed: bring the sums of its repos up to date."""
        old = self._shares.get(record.id)
        new = _Share(
            record.state,
            record.size_bytes,
            record.downloaded_bytes,
            min(record.reused_bytes, record.downloaded_bytes),
            record.reason is not None,
            tuple(record.repo_ids),
        )
        if old == new:
            return
        if old is not None:
            self._apply(old, record.id, -1)
        self._shares[record.id] = new
        self._apply(new, record.id, 1)

    def _apply(self, share: _Share, file_id: str, sign: int) -> None:
        self.counts[share.status] += sign
        if share.status is Status.QUEUED:
            if sign > 0:
                self.queued[file_id] = None
            else:
                del self.queued[file_id]
        for repo_id in share.repos:
            sums = self.sums.get(repo_id)
            if sums is None:
                sums = self.sums[repo_id] = Sums()
            if sign > 0:
                sums.files[file_id] = None
                if share.status is Status.FAILED:
                    sums.failed[file_id] = None
                if share.has_reason and share.status is Status.QUEUED:
                    sums.waiting[file_id] = None
                elif share.has_reason and share.status is Status.DOWNLOADING:
                    sums.silent[file_id] = None
            else:
                sums.files.pop(file_id, None)
                sums.failed.pop(file_id, None)
                sums.waiting.pop(file_id, None)
                sums.silent.pop(file_id, None)
            sums.by_status[share.status] += sign
            sums.downloaded_bytes += sign * share.downloaded_bytes
            sums.reused_bytes += sign * share.reused_bytes
            if share.size_bytes is None:
                sums.unknown_sizes += sign
            else:
                sums.total_bytes += sign * share.size_bytes

    def unknown_repos(self) -> list[str]:
        """Repo downloads that trackers of files name and that are gone, as after a crash in the middle of a delete."""
        return [repo_id for repo_id in self.sums if repo_id not in self.repos]

    def drop_sums(self, repo_id: str) -> None:
        """Remove what is summed up for a repo download that is gone."""
        self.sums.pop(repo_id, None)

    def owners(self, spec: FileSpec) -> list[FileRecord]:
        """The downloads with the same target path in a folder."""
        return [self.files[key] for key in self._owners.get(target_path(spec), ())]

    def why(self, ids: Iterable[str]) -> tuple[Reason | None, str | None]:
        """Reason and detail of the first of some files; (None, None) without any."""
        first = next(iter(ids), None)
        return (None, None) if first is None else (self.files[first].reason, self.files[first].detail)

    def parents(self, record: FileRecord) -> list[RepoRecord]:
        """The repo downloads that want the file, as far as they are known."""
        return [self.repos[repo_id] for repo_id in record.repo_ids if repo_id in self.repos]

    def synced_bytes(self, file_id: str, source: Source) -> int:
        """How many bytes of that content an unfinished download of the file has; 0 without one."""
        record = self.files.get(file_id)
        has_some = record is not None and record.source is not None and record.source.same_content(source)
        return record.synced_bytes if record is not None and has_some else 0

    def holds(self, record: Record) -> bool:
        """Whether this very record is still there: it may have been deleted, and replaced by a newer one of its id."""
        return self.get(record.id) is record

    def children(self, repo: RepoRecord) -> Iterator[FileRecord]:
        """The files of a repo download; none when it was deleted meanwhile."""
        for file_id in list(self.sums[repo.id].files) if repo.id in self.repos else ():
            record = self.files.get(file_id)
            if record is not None:
                yield record

    def of_repo(self, model_repo: str) -> Iterator[Record]:
        for known in self._by_path.get(model_repo, {}).values():
            for key in _ids(known):
                yield self.files.get(key) or self.repos[key]

    def ordered(self) -> list[tuple[str, str]]:
        """(`createdAt`, id) of everything, in that order."""
        if self._order is None:
            records: Iterable[Record] = (*self.files.values(), *self.repos.values())
            self._order = sorted((record.created_at, record.id) for record in records)
        return self._order

    def match(self, selector: Selector) -> list[Record]:
        """The records that match the selector, in order of `createdAt`, id."""
        return in_order([record for record in self.found(selector) if matches(record, selector)])

    def found(self, selector: Selector) -> list[Record]:
        """Candidates for the selector: a superset of what matches, from the cheapest index."""
        if isinstance(selector.id, str):
            record = self.get(selector.id)
            return [] if record is None else [record]
        if isinstance(selector.model_repo, str) and isinstance(selector.file_path, str):
            known = self._by_path.get(selector.model_repo, {}).get(selector.file_path, {})
            return [self.files[key] for key in _ids(known)]
        if isinstance(selector.model_repo, str):
            return list(self.of_repo(selector.model_repo))
        return [*self.files.values(), *self.repos.values()]


def _ids(known: str | dict[str, None]) -> Iterable[str]:
    return [known] if isinstance(known, str) else known


def _path_of(record: Record) -> str:
    return record.spec.file_path if isinstance(record, FileRecord) else ""


def in_order(records: list[Record]) -> list[Record]:
    """The records in order of `createdAt`, id."""
    return sorted(records, key=lambda record: (record.created_at, record.id))


def target_path(spec: FileSpec) -> str:
    """The file that a download with a `localDir` ends up as."""
    return os.path.join(spec.local_dir or "", spec.file_path)


def matches(record: Record, selector: Selector) -> bool:
    """Whether the record matches the selector; an omitted field matches any value."""
    spec = record.spec
    if isinstance(selector.id, str) and record.id != selector.id:
        return False
    if isinstance(selector.model_repo, str) and spec.model_repo != selector.model_repo:
        return False
    if isinstance(selector.file_path, str) and not (
        isinstance(record, FileRecord) and record.spec.file_path == selector.file_path
    ):
        return False
    if isinstance(selector.revision, str) and spec.revision != selector.revision:
        return False
    if isinstance(selector.repo_type, str) and spec.repo_type != selector.repo_type:
        return False
    if isinstance(selector.local_dir, str) and spec.local_dir != selector.local_dir:
        return False
    if selector.in_cache is True and spec.local_dir is not None:
        return False
    return not isinstance(selector.status, str) or record.state == selector.status


def recounted(index: Index, repo_id: str) -> Sums:
    """The sums of a repo download counted from its files, to check those that are kept."""
    fresh = Index()
    for record in index.files.values():
        if repo_id in record.repo_ids:
            fresh.update(record)
    return fresh.sums.get(repo_id, Sums())
