"""Which files on this machine may share content with one that is fetched: other revisions of its repo, known hashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path

from msgspec.structs import replace

from hfdmd.aio import in_thread
from hfdmd.cache.storage import Storage
from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.record import FileRecord, FileSpec, Record, Source
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.ledger import Observer
from hfdmd.transfer.job import Access, Base, XetFile
from hfdmd.wire.types import RepoType, Selector, Status

MAX_QUESTIONS = 1
"""How often the Hub is asked, for one file, for the Xet hash of an older one that another program has fetched."""
MAX_OTHERS = 200
"""How many files at other paths are looked at for one file."""


@dataclass(slots=True, eq=False)
class _Done:
    """Ids of files in Xet that are done, as they were then."""

    by_hash: dict[str, str] = field(default_factory=dict)
    by_repo: dict[tuple[RepoType, str], dict[str, dict[str, None]]] = field(default_factory=dict)
    """By commit, for each repo."""

    def add(self, record: FileRecord) -> None:
        source, spec = record.source, record.spec
        if source is not None and source.xet_hash is not None:
            self.by_hash[source.xet_hash] = record.id
            self.by_repo.setdefault((spec.repo_type, spec.model_repo), {}).setdefault(source.commit, {})[record.id] = (
                None
            )


class XetBases(Observer):
    """Finds bases for delta. Only files that hfdmd or the Hub's client has placed, complete and verified then."""

    def __init__(self, index: Index, storage: Storage) -> None:
        self._index = index
        self._storage = storage
        self._done: _Done | None = None

    def changed(self, record: Record, before: Status) -> None:
        if self._done is not None and isinstance(record, FileRecord) and record.state is Status.DONE:
            self._done.add(record)

    def forgotten(self, record: Record) -> None:
        if isinstance(record, FileRecord) and record.source is not None and record.source.xet_hash is not None:
            self._done = None  # another one may have the same content: looked up anew when it is needed

    def file(self, spec: FileSpec, source: Source, hub: Hub) -> XetFile | None:
        """Where a file is in Xet, and its bases; None when it is not in Xet.

        `hub` asks for the caller: bases of other repos are copied from only if it gives this caller a token for them.
        """
        if source.xet_hash is None:
            return None
        return XetFile(
            source.xet_hash,
            _access(hub, spec, source.commit),
            partial(self._of_repo, spec, source, hub),
            partial(self._with_hash, spec, hub),
        )

    async def _of_repo(self, spec: FileSpec, source: Source, hub: Hub) -> list[Base]:
        """Files of other revisions of the repo: those at the same path first, each content once."""
        found = [
            (other.spec.file_path != spec.file_path, base)
            for other in self._of_other_commits(spec, source.commit)
            if (base := _base(hub, other, is_of_same_repo=True)) is not None
        ]
        asked = 0
        for cached in await in_thread(self._storage.files_of_other_revisions, spec, source):
            xet_hash = cached.xet_hash
            if xet_hash is None and asked < MAX_QUESTIONS and not any(cached.path == base.path for _, base in found):
                asked += 1
                xet_hash = await _ask(hub, replace(spec, revision=cached.commit), cached.commit)
            if xet_hash is not None:
                access = _access(hub, spec, cached.commit)
                base = Base(cached.path, cached.size_bytes, xet_hash, access)
                found.append((cached.file_path != spec.file_path, base))
        found.sort(key=lambda one: one[0])
        unique = {base.hash: base for _, base in reversed(found) if base.hash != source.xet_hash}
        return [base for _, base in found if unique.get(base.hash) is base]

    def _of_other_commits(self, spec: FileSpec, commit: str) -> Iterator[FileRecord]:
        """Those at the path of `spec`, and up to `MAX_OTHERS` more: one repo may have a hundred thousand."""
        at_path = self._index.found(Selector(model_repo=spec.model_repo, file_path=spec.file_path))
        ids = {record.id for record in at_path}
        commits = self._known().by_repo.get((spec.repo_type, spec.model_repo), {})
        elsewhere = chain.from_iterable(known for other, known in commits.items() if other != commit)
        for file_id in chain(ids, islice((one for one in elsewhere if one not in ids), MAX_OTHERS)):
            known = self._index.files.get(file_id)
            if known is None or known.source is None or known.spec.repo_type is not spec.repo_type:
                continue
            if known.source.commit != commit:
                yield known

    def _known(self) -> _Done:
        if self._done is None:
            self._done = _Done()
            for record in self._index.files.values():
                if record.state is Status.DONE:
                    self._done.add(record)
        return self._done

    def _with_hash(self, spec: FileSpec, hub: Hub, xet_hash: str) -> Base | None:
        other = self._index.files.get(self._known().by_hash.get(xet_hash, ""))
        if other is None or other.source is None or other.source.xet_hash != xet_hash:
            return None
        is_of_same_repo = (other.spec.repo_type, other.spec.model_repo) == (
            spec.repo_type,
            spec.model_repo,
        )
        return _base(hub, other, is_of_same_repo=is_of_same_repo)


def _access(hub: Hub, spec: FileSpec, commit: str) -> Access:
    return lambda refused: hub.xet_token(spec, commit, refused)


async def _ask(hub: Hub, spec: FileSpec, commit: str) -> str | None:
    """The Xet hash of a file at an older commit; None when the Hub does not say."""
    try:
        return await hub.xet_hash(spec, commit)
    except Failure:
        return None


def _base(hub: Hub, other: FileRecord, *, is_of_same_repo: bool) -> Base | None:
    source = other.source
    if other.state is not Status.DONE or other.path is None or source is None or source.xet_hash is None:
        return None
    access = _access(hub, other.spec, source.commit)
    return Base(Path(other.path), other.size_bytes or 0, source.xet_hash, access, is_of_same_repo)
