"""Recipes: which chunks of which xorbs a file on this machine consists of, and how long each of them is.

A recipe lets a later revision of the file be copied where it is equal. It is a hint: a wrong one costs a second fetch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from hfdmd.digest import is_sha256
from hfdmd.durable import replace_file
from hfdmd.transfer.xet.cas_client import Term
from hfdmd.transfer.xet.xet_format import MAX_CHUNKS
from hfdmd.wire.types import MALFORMED

MAX_LENGTHS_BYTES = 8 << 20
"""Lengths of chunks of one file that are kept: enough for 170 GiB."""
MAX_STORE_BYTES = 64 << 20
_LENGTH_BYTES = 3

_Offset = Annotated[int, Meta(ge=0, le=1 << 53)]
_Index = Annotated[int, Meta(ge=0, le=MAX_CHUNKS)]


class _StoredTerm(msgspec.Struct, array_like=True):
    xorb: Annotated[bytes, Meta(min_length=32, max_length=32)]
    first: _Index
    last: _Index
    start: _Offset
    size_bytes: Annotated[int, Meta(ge=1, le=1 << 53)]
    lengths: bytes


class _StoredRecipe(msgspec.Struct, array_like=True):
    terms: list[_StoredTerm]


class Lengths:
    """The raw lengths of chunks, as far as they are known."""

    def __init__(self) -> None:
        self._known: dict[str, bytearray] = {}
        self._bytes = 0

    def add(self, xorb: str, first: int, *lengths: int) -> None:
        """Add the lengths of the chunks from number `first` on."""
        known = self._known.setdefault(xorb, bytearray())
        start, end = first * _LENGTH_BYTES, (first + len(lengths)) * _LENGTH_BYTES
        if (more := end - len(known)) > 0:
            if self._bytes + more > MAX_LENGTHS_BYTES:
                return
            self._bytes += more
            known.extend(bytes(more))
        known[start:end] = b"".join([raw_bytes.to_bytes(_LENGTH_BYTES, "little") for raw_bytes in lengths])

    def merge(self, others: Lengths) -> None:
        """Add all that `others` knows. Blocks for long with many: call it in a thread."""
        for xorb, packed in others._known.items():
            if xorb in self._known or self._bytes + len(packed) > MAX_LENGTHS_BYTES:
                self.add_packed(xorb, 0, packed)
            else:
                self._known[xorb] = bytearray(packed)
                self._bytes += len(packed)

    def sum(self, xorb: str, first: int, last: int) -> int | None:
        """The length of the chunks [first, last); None if one of them is not known."""
        packed = self.packed(xorb, first, last)
        each = [
            int.from_bytes(packed[at : at + _LENGTH_BYTES], "little") for at in range(0, len(packed), _LENGTH_BYTES)
        ]
        return sum(each) if len(each) == last - first and all(each) else None

    def packed(self, xorb: str, first: int, last: int) -> bytes:
        """The lengths of the chunks [first, last) as 3 bytes each; zero, or left out at the end, if not known."""
        return bytes(self._known.get(xorb, b"")[first * _LENGTH_BYTES : last * _LENGTH_BYTES])

    def add_packed(self, xorb: str, first: int, packed: bytes | bytearray) -> None:
        for number, at in enumerate(range(0, len(packed) - _LENGTH_BYTES + 1, _LENGTH_BYTES)):
            if raw_bytes := int.from_bytes(packed[at : at + _LENGTH_BYTES], "little"):
                self.add(xorb, first + number, raw_bytes)


@dataclass(slots=True, eq=False)
class Recipe:
    """Terms of one file, possibly not all, and lengths of their chunks, possibly none."""

    lengths: Lengths = field(default_factory=Lengths)
    _terms: list[Term] = field(default_factory=list)
    _added: list[Term] = field(default_factory=list)

    def add(self, terms: Iterable[Term]) -> None:
        """Add terms of another part of the file."""
        self._added += terms

    @property
    def terms(self) -> list[Term]:
        """In file order; terms that continue each other are one."""
        if self._added:
            self._terms = _merged([*self._terms, *self._added])
            self._added = []
        return self._terms

    def encode(self) -> bytes:
        stored = []
        room_bytes = MAX_LENGTHS_BYTES  # terms may repeat the same chunks
        for term in self.terms:
            lengths = self.lengths.packed(term.xorb, term.first, term.last)[:room_bytes]
            room_bytes -= len(lengths)
            xorb = bytes.fromhex(term.xorb)
            stored.append(_StoredTerm(xorb, term.first, term.last, term.start, term.size_bytes, lengths))
        return msgspec.msgpack.encode(_StoredRecipe(stored))

    @classmethod
    def decode(cls, data: bytes) -> Recipe:
        """Raises `MALFORMED`."""
        recipe = cls()
        for stored in msgspec.msgpack.decode(data, type=_StoredRecipe).terms:
            xorb = stored.xorb.hex()
            recipe.add([Term(xorb, stored.first, stored.last, stored.start, stored.size_bytes)])
            recipe.lengths.add_packed(xorb, stored.first, stored.lengths)
        return recipe


def _merged(terms: list[Term]) -> list[Term]:
    merged: list[Term] = []
    for term in sorted(terms, key=lambda one: (one.start, -one.size_bytes)):
        before = merged[-1] if merged else None
        if before is None or term.start >= before.end:
            is_next = before is not None and term.start == before.end
            if before is None or not (is_next and term.xorb == before.xorb and term.first == before.last):
                merged.append(term)
                continue
        if term.end > before.end and term.xorb == before.xorb and before.first <= term.first <= before.last:
            size_bytes = term.end - before.start
            merged[-1] = Term(before.xorb, before.first, term.last, before.start, size_bytes)
    return merged


class RecipeStore:
    """Recipes by Xet hash in a folder; the ones used longest ago are deleted. Methods block: call them in threads."""

    def __init__(self, folder: Path, max_bytes: int = MAX_STORE_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._files_of_xorb: dict[str, set[str]] | None = None
        self._total_bytes: int | None = None
        """At least what is in the folder; None before it was counted."""

    def get(self, file_hash: str) -> Recipe | None:
        """The recipe of a file; None when there is none that can be read."""
        path = self._folder / file_hash
        try:
            recipe = Recipe.decode(path.read_bytes())
            os.utime(path)
        except (OSError, *MALFORMED):
            return None
        return recipe

    def put(self, file_hash: str, recipe: Recipe) -> None:
        """Keep the recipe of a file, unless it alone would take the place of most others. Raises OSError."""
        data = recipe.encode()
        if len(data) > self._max_bytes // 2:
            return
        self._folder.mkdir(exist_ok=True)
        replace_file(self._folder / file_hash, [data])
        if self._files_of_xorb is not None:
            self._index(file_hash, recipe)
        if self._total_bytes is not None:
            self._total_bytes += len(data)
        if self._total_bytes is None or self._total_bytes > self._max_bytes:
            self._prune()

    def is_empty(self) -> bool:
        """Whether there are no recipes."""
        return next(self._paths(), None) is None

    def sharing(self, xorbs: Iterable[str]) -> list[str]:
        """Hashes of files with chunks of any of these xorbs."""
        if self._files_of_xorb is None:
            self._files_of_xorb = {}
            for path in list(self._paths()):
                if (recipe := self.get(path.name)) is not None:
                    self._index(path.name, recipe)
        index = self._files_of_xorb
        return list(dict.fromkeys(name for xorb in xorbs for name in sorted(index.get(xorb, ()))))

    def _index(self, file_hash: str, recipe: Recipe) -> None:
        if self._files_of_xorb is not None:
            for term in recipe.terms:
                self._files_of_xorb.setdefault(term.xorb, set()).add(file_hash)

    def _paths(self) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            yield from (path for path in self._folder.iterdir() if is_sha256(path.name))

    def _prune(self) -> None:
        """Where there is too much, delete what was not used for longest, and some more: to count them all is seldom."""
        sizes: list[tuple[float, int, Path]] = []
        for path in self._paths():
            with contextlib.suppress(OSError):
                known = path.stat()
                sizes.append((known.st_mtime, known.st_size, path))
        total_bytes = sum(size for _, size, _ in sizes)
        deleted: set[str] = set()
        if total_bytes > self._max_bytes:
            for _, size, path in sorted(sizes):
                if total_bytes <= self._max_bytes * 9 // 10:
                    break
                path.unlink(missing_ok=True)
                deleted.add(path.name)
                total_bytes -= size
        if deleted and self._files_of_xorb is not None:
            known_files = list(self._files_of_xorb.items())  # other threads add to it
            self._files_of_xorb = {xorb: left for xorb, files in known_files if (left := files - deleted)}
        self._total_bytes = total_bytes
