"""The list of a repo's files, page by page, each entry validated first; which of them the globs of a request select."""

from __future__ import annotations

import asyncio
import fnmatch
import re
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec

from hfdmd import digest, names
from hfdmd.failure import Failure
from hfdmd.hub import urls
from hfdmd.hub.refusals import RequestContext
from hfdmd.hub.session import HubSession
from hfdmd.names import PathGuard
from hfdmd.record import Entry, RepoSpec, Source
from hfdmd.wire.types import MALFORMED, Reason

MAX_ENTRIES = 2_000_000
"""The limit that protects the daemon's memory. No repo has as many files and folders."""

_MIN_ENTRIES_PER_PAGE = 1000  # a page counts at least as this many, so that empty pages reach the limit too
MAX_REFUSED_KEPT = 1000
_SLICE = 500  # entries checked before yielding to the event loop


class Lfs(msgspec.Struct):
    oid: str
    size: int


class Node(msgspec.Struct, rename="camel", omit_defaults=True):
    """An entry of the Hub's tree API: a file or a folder."""

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
    """All files of one commit. Read `pages()` once; `refused` and `left_out` are complete at its end."""

    def __init__(self, session: HubSession, spec: RepoSpec, commit: str, told_at: float = 0.0) -> None:
        self.commit = commit
        self.told_at = told_at
        self.page = urls.FIRST_PAGE
        """The query of the Hub's page with the entries returned last."""
        self.refused: list[tuple[str, str]] = []
        """Paths that cannot be downloaded, and why; at most the first 1000 of `refused_total`."""
        self.refused_total = 0
        self.left_out: list[Entry] = []
        """Refused files that the Hub's client accepts. They are written to the tree file, which the client reads."""
        self._session = session
        self._spec = spec

    async def pages(self, first: str = urls.FIRST_PAGE) -> AsyncIterator[list[Entry]]:
        """Lists of files in the Hub's order, from the page `first` (a value of `page`) on. Raises `Failure`."""
        context = RequestContext(
            self._session.endpoint, self._spec, self.commit, pinned=self._spec.revision != self.commit
        )
        url: str | None = urls.tree_url(self._session.endpoint, self._spec, self.commit, first)
        seen: set[str] = set()
        guard = PathGuard()
        total = 0
        while url is not None:
            seen.add(url)
            self.page = urlsplit(url).query
            body, next_url = await self._session.body("GET", url, context)
            try:
                nodes = _PAGE.decode(body)
            except MALFORMED:
                what = f"The Hub at {context.host} did not return a list of files for {context.at}."
                raise Failure(Reason.HUB_UNAVAILABLE, what) from None
            total += max(len(nodes), _MIN_ENTRIES_PER_PAGE)
            if total > MAX_ENTRIES:
                raise Failure(Reason.INTERNAL, f"{context.at} has more than {MAX_ENTRIES} files and folders.")
            url = next_url
            if url in seen:
                raise Failure(Reason.HUB_UNAVAILABLE, f"The Hub's list of the files of {context.at} repeats its pages.")
            for start in range(0, len(nodes), _SLICE):
                checked = (self._checked(raw, guard) for raw in nodes[start : start + _SLICE])
                if entries := [entry for entry in checked if entry is not None]:
                    yield entries
                await asyncio.sleep(0)

    def _checked(self, raw: msgspec.Raw, guard: PathGuard) -> Entry | None:
        path = "?"
        try:
            node = _NODE.decode(raw)
            if node.type != "file":
                return None
            path = node.path
            problem = guard.problem(path)
            entry = entry_of(node, self.commit, self.told_at)
            if problem is not None:
                if isinstance(entry, Entry) and names.client_accepts(path):
                    self.left_out.append(entry)
                entry = problem
        except MALFORMED:
            entry = "has a malformed description"
        if isinstance(entry, Entry):
            return entry
        self.refused_total += 1
        if len(self.refused) < MAX_REFUSED_KEPT:
            self.refused.append((path if len(path) <= 200 else path[:199] + "…", entry))
        return None


def entry_of(node: Node, commit: str, told_at: float = 0.0) -> Entry | str:
    """The file that a tree entry describes, or why its hashes or its size are refused."""
    etag, size_bytes = (node.oid, node.size) if node.lfs is None else (node.lfs.oid, node.lfs.size)
    if not digest.is_sha1(node.oid):
        return "has no valid git hash"
    if node.lfs is not None and not digest.is_sha256(etag):
        return "has no valid sha256"
    if not 0 <= size_bytes <= names.MAX_SIZE_BYTES:
        return "has no valid size"
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
    """The tree entry of a file: the inverse of `entry_of`."""
    source = entry.source
    size_bytes = -1 if source.size_bytes is None else source.size_bytes
    lfs = None if source.etag == entry.blob_id else Lfs(source.etag, size_bytes)
    return Node("file", entry.path, entry.blob_id, size_bytes, lfs, source.xet_hash)


def find_entry(body: bytes, path: str, commit: str) -> Entry | None:
    """The entry of `path` in a response of `paths-info`; None without a valid one."""
    try:
        nodes = _NODES.decode(body)
    except MALFORMED:
        return None
    for node in nodes:
        if node.type == "file" and node.path == path:
            entry = entry_of(node, commit)
            return entry if isinstance(entry, Entry) else None
    return None


def matches(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether `path` matches any of `include` (or that is empty), and none of `exclude`, as in the Hub's own client.

    Source: `huggingface_hub.utils.filter_repo_objects`: case-sensitive `fnmatch` over the whole path (`*` crosses `/`),
    a pattern that ends in `/` matches everything below that folder, a backslash is read as `/`.
    """
    path = path.replace("\\", "/")
    wanted = _any_of(tuple(include))
    if wanted is not None and wanted.match(path) is None:
        return False
    unwanted = _any_of(tuple(exclude))
    return unwanted is None or unwanted.match(path) is None


@lru_cache(maxsize=64)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    """One regular expression for all patterns, so that each of 100,000 paths takes one match. None for none."""
    if not patterns:
        return None
    return re.compile("|".join(f"(?:{fnmatch.translate(_whole(pattern))})" for pattern in patterns))


def _whole(pattern: str) -> str:
    pattern = pattern.replace("\\", "/")
    return pattern + "*" if pattern.endswith("/") else pattern
