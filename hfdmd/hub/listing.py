"""The list of a repo's files, page by page, every entry checked before anybody sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import msgspec

from hfdmd import digest, names
from hfdmd.failure import Failure
from hfdmd.hub import urls
from hfdmd.hub.refusals import RequestContext
from hfdmd.hub.session import HubSession
from hfdmd.names import PathGuard
from hfdmd.record import Entry, RepoSpec, Source
from hfdmd.wire.malformed import MALFORMED
from hfdmd.wire.types import Reason

MAX_ENTRIES = 2_000_000
"""More than this is no repo but an attack on our memory."""

_LEAST_OF_A_PAGE = 1000  # what a page counts for, however empty, so that a list has an end
MAX_REFUSED_KEPT = 1000
_SLICE = 500  # entries checked before others get their turn


class Lfs(msgspec.Struct):
    oid: str
    size: int


class Node(msgspec.Struct, rename="camel", omit_defaults=True):
    """An entry of the Hub's tree API; folders have no size that matters."""

    type: str
    path: str
    oid: str = ""
    size: int = -1
    lfs: Lfs | None = None
    xet_hash: str | None = None


_PAGE = msgspec.json.Decoder(list[msgspec.Raw])
_NODE = msgspec.json.Decoder(Node)
_NODES = msgspec.json.Decoder(list[Node])


class Listing:
    """All files of one commit. Read `pages()` once; what was refused is known when it has ended."""

    def __init__(self, session: HubSession, spec: RepoSpec, commit: str, told_at: float = 0.0) -> None:
        self.commit = commit
        self.told_at = told_at
        self.page = urls.FIRST_PAGE
        """The Hub's page that the entries given last are on, by the query that gets it."""
        self.refused: list[tuple[str, str]] = []
        """Paths that are not to be had, and why; at most the first 1000 of `refused_total`."""
        self.refused_total = 0
        self.left_out: list[Entry] = []
        """Those of the refused that the Hub's client would take: it fetches only what the tree names."""
        self._guard = PathGuard()
        self._session = session
        self._spec = spec

    async def pages(self, first: str = urls.FIRST_PAGE) -> AsyncIterator[list[Entry]]:
        """The files, some at a time and in the Hub's order, from the page `first` on (a `page`). Raises `Failure`."""
        context = RequestContext(
            self._session.endpoint, self._spec, self.commit, pinned=self._spec.revision != self.commit
        )
        url: str | None = urls.tree_url(self._session.endpoint, self._spec, self.commit, first)
        seen: set[str] = set()
        total = 0
        while url is not None:
            seen.add(url)
            self.page = urlsplit(url).query
            body, links = await self._session.body("GET", url, context)
            nodes = _decoded(body, context)
            total += max(len(nodes), _LEAST_OF_A_PAGE)
            if total > MAX_ENTRIES:
                raise Failure(Reason.INTERNAL, f"{context.at} has more than {MAX_ENTRIES} files and folders.")
            url = urls.next_page(self._session.endpoint, url, links["next"]) if "next" in links else None
            if url in seen:
                raise Failure(Reason.HUB_UNAVAILABLE, f"The Hub's list of the files of {context.at} goes in circles.")
            for start in range(0, len(nodes), _SLICE):
                entries = [entry for raw in nodes[start : start + _SLICE] if (entry := self._checked(raw)) is not None]
                if entries:
                    yield entries
                await asyncio.sleep(0)
        self._guard.forget()

    def _checked(self, raw: msgspec.Raw) -> Entry | None:
        path = "?"
        try:
            node = _NODE.decode(raw)
            if node.type != "file":
                return None
            path = node.path
            problem = self._guard.problem(path)
            entry = entry_of(node, self.commit, self.told_at)
            if problem is not None:
                if isinstance(entry, Entry) and names.client_accepts(path):
                    self.left_out.append(entry)
                entry = problem
        except MALFORMED:
            entry = "is not described as the Hub does"
        if isinstance(entry, Entry):
            return entry
        self.refused_total += 1
        if len(self.refused) < MAX_REFUSED_KEPT:
            self.refused.append((path if len(path) <= 200 else path[:199] + "…", entry))
        return None


def entry_of(node: Node, commit: str, told_at: float = 0.0) -> Entry | str:
    """The file that a tree entry describes, or what is wrong with its hashes or size."""
    etag, size_bytes = (node.oid, node.size) if node.lfs is None else (node.lfs.oid, node.lfs.size)
    if not digest.is_sha1(node.oid):
        return "has no git hash"
    if node.lfs is not None and not digest.is_sha256(etag):
        return "has no sha256"
    if not 0 <= size_bytes <= names.MAX_SIZE_BYTES:
        return "has no size"
    xet_hash = node.xet_hash if node.xet_hash is not None and digest.is_sha256(node.xet_hash) else None
    source = Source(
        commit=commit,
        etag=etag,
        size_bytes=size_bytes,
        digest=digest.from_etag(etag),
        xet_hash=xet_hash,
        told_at=told_at,
    )
    return Entry(node.path, source, node.oid)


def node_of(entry: Entry) -> Node:
    """The tree entry that `entry_of` made it from."""
    source = entry.source
    size_bytes = -1 if source.size_bytes is None else source.size_bytes
    lfs = None if source.etag == entry.blob_id else Lfs(source.etag, size_bytes)
    return Node("file", entry.path, entry.blob_id, size_bytes, lfs, source.xet_hash)


def find_entry(body: bytes, path: str, commit: str) -> Entry | None:
    """The entry of `path` in an answer of `paths-info`, if it is there and makes sense."""
    try:
        nodes = _NODES.decode(body)
    except MALFORMED:
        return None
    for node in nodes:
        if node.type == "file" and node.path == path:
            entry = entry_of(node, commit)
            return entry if isinstance(entry, Entry) else None
    return None


def _decoded(body: bytes, context: RequestContext) -> list[msgspec.Raw]:
    try:
        return _PAGE.decode(body)
    except MALFORMED:
        raise Failure(
            Reason.HUB_UNAVAILABLE,
            f"The Hub at {context.host} answers with something else than a list of files of {context.at}.",
        ) from None
