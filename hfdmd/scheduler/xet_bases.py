"""Which files on this machine may share content with one that is fetched: other revisions of its repo, known hashes."""

from __future__ import annotations

from functools import partial
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
from hfdmd.wire.types import Status

MAX_QUESTIONS = 1
"""How often the Hub is asked, for one file, for the Xet hash of an older one that another program has fetched."""


class XetBases(Observer):
    """Finds bases for delta. Only files that hfdmd or the Hub's client has placed, complete and verified then."""

    def __init__(self, index: Index, storage: Storage) -> None:
        self._index = index
        self._storage = storage
        self._by_hash: dict[str, str] | None = None

    def changed(self, record: Record, before: Status) -> None:
        if self._by_hash is not None and isinstance(record, FileRecord) and record.state is Status.DONE:
            _remember(self._by_hash, record)

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
        found: list[tuple[bool, Base]] = []
        for other in self._index.of_repo(spec.model_repo):
            if not isinstance(other, FileRecord) or other.spec.repo_type is not spec.repo_type:
                continue
            if other.source is not None and other.source.commit != source.commit:
                base = _base(hub, other, is_of_same_repo=True)
                if base is not None:
                    found.append((other.spec.file_path != spec.file_path, base))
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

    def _with_hash(self, spec: FileSpec, hub: Hub, xet_hash: str) -> Base | None:
        if self._by_hash is None:
            self._by_hash = {}
            for known in self._index.files.values():
                if known.state is Status.DONE:
                    _remember(self._by_hash, known)
        other = self._index.files.get(self._by_hash.get(xet_hash, ""))
        if other is None or other.source is None or other.source.xet_hash != xet_hash:
            return None
        is_of_same_repo = (other.spec.repo_type, other.spec.model_repo) == (
            spec.repo_type,
            spec.model_repo,
        )
        return _base(hub, other, is_of_same_repo=is_of_same_repo)


def _remember(by_hash: dict[str, str], record: FileRecord) -> None:
    if record.source is not None and record.source.xet_hash is not None:
        by_hash[record.source.xet_hash] = record.id


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
