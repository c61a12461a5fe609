"""Listings of unfinished repo downloads, kept on disk.

Files that have not started have no tracker (docs/decisions/0004). A restart finds them here, so that it shows and does
the same as before without asking the Hub.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

import msgspec

from hfdmd.durable import replace_file
from hfdmd.hub.listing import Node, entry_of, node_of
from hfdmd.names import PathGuard
from hfdmd.record import Entry
from hfdmd.wire.types import MALFORMED

log = logging.getLogger("hfdmd.lists")

SCHEMA_VERSION = 1
_SUFFIX = ".jsonl"
_BUFFER_BYTES = 1 << 20


class _ListingHead(msgspec.Struct, rename="camel"):
    """The first line; every other line is a file, as the Hub describes it."""

    schema_version: int
    commit: str
    told_at: float
    listed_at: float
    files: int


class CachedListing(msgspec.Struct):
    """A listing from disk. `listed_at` is when it was made, in seconds since the epoch."""

    listed_at: float
    entries: list[Entry]


_listing_head = msgspec.json.Decoder(_ListingHead)
_node = msgspec.json.Decoder(Node)
_encoder = msgspec.json.Encoder()


class ListingCache:
    """One file for each repo download, named by its id. Its methods block, for threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, key: str, commit: str, told_at: float, listed_at: float, entries: list[Entry]) -> None:
        """Replace the listing in one step. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        head = _ListingHead(SCHEMA_VERSION, commit, told_at, listed_at, len(entries))
        replace_file(self._path(key), _lines(head, entries))

    def read(self, key: str, commit: str) -> CachedListing | None:
        """The list, if there is one of that commit and it is whole: it is disk content and so hostile."""
        try:
            with self._path(key).open("rb", buffering=_BUFFER_BYTES) as file:
                head = _listing_head.decode(next(file, b""))
                if head.schema_version != SCHEMA_VERSION or head.commit != commit:
                    return None
                entries = [*_checked(file, head)]
            if len(entries) != head.files:
                raise ValueError(f"it has {len(entries)} files, not {head.files}")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, *MALFORMED) as error:
            log.warning("the list %s cannot be used (%s); the Hub is asked instead", self._path(key), error)
            return None
        return CachedListing(head.listed_at, entries)

    def forget(self, key: str) -> None:
        """Remove a listing that is not needed any more. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            self._path(key).unlink()

    def sweep(self, wanted: Container[str]) -> None:
        """Remove all listings but these, and temporary files of a crash. Raises OSError if the folder is unreadable."""
        if not self.folder.is_dir():
            return
        for name in os.listdir(self.folder):
            key, dot, ending = name.partition(".")
            if dot + ending == ".tmp" or (dot + ending == _SUFFIX and key not in wanted):
                try:
                    (self.folder / name).unlink(missing_ok=True)
                except OSError as error:
                    log.warning("cannot remove the list %s: %s", self.folder / name, error.strerror)

    def _path(self, key: str) -> Path:
        return self.folder / (key + _SUFFIX)


def _lines(head: _ListingHead, entries: Iterable[Entry]) -> Iterator[bytes]:
    yield _encoder.encode(head) + b"\n"
    for entry in entries:
        yield _encoder.encode(node_of(entry)) + b"\n"


def _checked(lines: Iterable[bytes], head: _ListingHead) -> Iterator[Entry]:
    """Every line, checked as if the Hub had sent it. Raises ValueError and `MALFORMED`."""
    guard = PathGuard()
    for line in lines:
        node = _node.decode(line)
        entry = guard.problem(node.path) or entry_of(node, head.commit, head.told_at)
        if isinstance(entry, str):
            raise ValueError(f"{node.path[:200]!r} {entry}")
        yield entry
