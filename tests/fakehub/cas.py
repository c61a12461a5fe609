"""The test CAS: stored xorbs, registered files, and how a range of a file is put together from them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, cycle
from pathlib import Path

from tests.fakehub.content import BytesContent, Content, PathContent
from tests.fakehub.xet_format import (
    FOOTER_NAME,
    MAX_XORB_BYTES,
    MAX_XORB_CHUNKS,
    Node,
    XetFormatError,
    Xorb,
    chunk_hash,
    file_hash,
    pack,
    read_xorb,
    term_proof,
    to_hex,
    unpack,
    xorb_of,
)
from tests.fakehub.xet_shard import Term, read_shard

CHUNK_BYTES = (65_536, 20_011, 131_072, 8_192, 40_002, 99_999)
"""Default lengths of the chunks of a file that is not uploaded by a client, in turn."""
Forge = Callable[[int, bytes], bytes]
FOOTER = FOOTER_NAME + b"\x01" + bytes(52)


@dataclass(frozen=True)
class XetFile:
    """One registered file."""

    name: str
    """Its Xet hash as text."""
    terms: tuple[Term, ...]
    sha256: str

    @cached_property
    def starts(self) -> list[int]:
        """Where each term begins in the file; the last entry is the file's size."""
        return list(accumulate((term.raw_bytes for term in self.terms), initial=0))

    @property
    def size_bytes(self) -> int:
        return self.starts[-1]


@dataclass
class Recipe:
    """What a range of files consists of: terms cut to whole chunks, and the chunk ranges of each xorb, merged."""

    skipped_bytes: int = 0
    """Bytes of the first term before the wanted range."""
    terms: list[Term] = field(default_factory=list)

    @property
    def ranges(self) -> dict[str, list[tuple[int, int]]]:
        """By xorb: disjoint ranges of chunks (end exclusive) that do not touch, in order."""
        found: dict[str, list[tuple[int, int]]] = {}
        for term in sorted(self.terms, key=lambda term: (term.xorb, term.first)):
            spans = found.setdefault(term.xorb, [])
            if spans and term.first <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], term.last)
            else:
                spans.append((term.first, term.last))
        return found


class Cas:
    """Xorbs on disk and files in memory. Every hash is computed from the bytes, for uploads too.

    Options are plain attributes, read at each request.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: an empty one for xorbs, which `remove` deletes; None: a temporary one."""
        self.folder = folder or Path(tempfile.mkdtemp(prefix="test-cas-"))
        self.xorbs: dict[str, Xorb] = {}
        self.files: dict[str, XetFile] = {}
        self.grants: dict[str, bytes] = {}
        """Uploaded xorbs by grant id, until they are committed."""

        self.versions: frozenset[int] = frozenset({1, 2})
        """Versions of the reconstruction API that are served; others are 404."""
        self.multi_range = False
        """Whether one signed URL covers all ranges of a xorb; else each range has its own."""
        self.signed_by = "policy"
        """Where a URL has its signed range: "policy" (Policy=…) or "query" (X-Xet-Signed-Range=…)."""
        self.offers_grants = True
        self.shares = True
        """Whether global deduplication queries are answered; else they are 404."""
        self.token_ttl_s = 3600.0
        self.url_ttl_s = 3600.0
        self.dedup_key = b"test CAS dedup key".ljust(32, b"\0")
        self._by_sha256: dict[str, str] = {}
        self._chunks: dict[bytes, tuple[str, int]] = {}
        self._register((), self._sha256(()))  # the empty file is known to every CAS

    def remove(self) -> None:
        """Deletes the stored xorbs."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- xorbs

    def put_xorb(self, data: bytes, name: str | None = None) -> Xorb:
        """Stores an uploaded xorb. Raises XetFormatError: it is malformed, or its hash is not `name`."""
        xorb = read_xorb(data)
        if name not in (None, xorb.name):
            raise XetFormatError(f"the xorb is {xorb.name}, not {name}")
        return self._store(xorb, data)

    def make_xorb(
        self, chunks: Iterable[bytes], schemes: Sequence[int | None] = (None,), forge: Forge | None = None
    ) -> Xorb:
        """A new xorb of these raw chunks. `schemes`: one of each chunk in turn, None for the smallest."""
        raw = list(chunks)
        stored = [pack(one, scheme) for one, scheme in zip(raw, cycle(schemes), strict=False)]
        if forge is not None:
            stored = [forge(index, one) for index, one in enumerate(stored)]
        xorb = xorb_of([chunk_hash(one) for one in raw], map(len, stored), map(len, raw))
        return self._store(xorb, b"".join(stored) + FOOTER)

    def stored(self, name: str) -> Content:
        """The xorb as it is stored, footer included."""
        return PathContent(self.folder / name)

    def chunk(self, name: str, index: int) -> bytes:
        """The raw bytes of one chunk of a xorb."""
        xorb = self.xorbs[name]
        return unpack(self.stored(name).read(xorb.stored_at[index], xorb.stored_at[index + 1]))

    def find_chunk(self, digest: bytes) -> tuple[str, int] | None:
        """The xorb and index of a chunk with this hash."""
        return self._chunks.get(digest)

    def _store(self, xorb: Xorb, data: bytes) -> Xorb:
        if xorb.name not in self.xorbs:
            unfinished = self.folder / f"{xorb.name}.part"
            unfinished.write_bytes(data)
            os.replace(unfinished, self.folder / xorb.name)
            self.xorbs[xorb.name] = xorb
            for index, digest in enumerate(xorb.hashes):
                self._chunks.setdefault(digest, (xorb.name, index))
        return xorb

    # ---- files

    def make_file(self, terms: Iterable[tuple[str, int, int]]) -> XetFile:
        """Registers a file of these (xorb, first chunk, end of chunks), in this order, repeats allowed."""
        made = tuple(Term(name, first, last, self.xorbs[name].raw_bytes(first, last)) for name, first, last in terms)
        return self._register(made, self._sha256(made))

    def add(
        self,
        content: Content,
        *,
        chunk_bytes: Iterable[int] = CHUNK_BYTES,
        schemes: Sequence[int | None] = (None,),
        xorb_bytes: int = MAX_XORB_BYTES - (2 << 20),
        forge: Forge | None = None,
    ) -> XetFile:
        """Cuts `content` into chunks of these lengths in turn and stores what is new of them, as an uploader would.

        A known chunk is not stored again. The same content is not cut twice: the file that there is is returned.
        `forge` makes the CAS a liar: what is stored for a chunk of a xorb, by index, instead of the right bytes.
        """
        if (known := self.file_of(content)) is not None:
            return known
        places: list[tuple[str, int] | None] = []
        fresh: list[bytes] = []
        wanted: dict[bytes, list[int]] = {}
        size_bytes = 0

        def flush() -> None:
            if fresh:
                xorb = self.make_xorb(fresh, schemes, forge)
                for index, digest in enumerate(xorb.hashes):
                    for place in wanted[digest]:
                        places[place] = xorb.name, index
            fresh.clear()
            wanted.clear()

        for raw in _cut(content, cycle(chunk_bytes)):
            digest = chunk_hash(raw)
            places.append(self._chunks.get(digest))
            if places[-1] is None:
                if digest not in wanted:
                    if len(fresh) == MAX_XORB_CHUNKS or size_bytes + len(raw) > xorb_bytes:
                        flush()
                        size_bytes = 0
                    fresh.append(raw)
                    size_bytes += len(raw)
                wanted.setdefault(digest, []).append(len(places) - 1)
        flush()
        return self._register(tuple(self._terms(places)), content.sha256)  # known: nothing is unpacked to compute it

    def file_of(self, content: Content) -> XetFile | None:
        """The registered file with this content, uploaded or added."""
        name = self._by_sha256.get(content.sha256)
        return None if name is None else self.files[name]

    def register(self, shard: bytes) -> list[XetFile]:
        """Registers an uploaded shard's files. Raises XetFormatError when anything in it is wrong."""
        files, xorbs = read_shard(shard)
        for name, hashes in xorbs.items():
            if name not in self.xorbs or list(self.xorbs[name].hashes) != hashes:
                raise XetFormatError(f"the shard has other chunks of the xorb {name}")
        made = []
        for file in files:
            for term, proof in zip(file.terms, file.proofs, strict=True):
                self._check(term, proof)
            sha256 = self._sha256(file.terms)
            if file.sha256 not in (None, sha256):
                raise XetFormatError(f"the file's sha256 is {sha256}, not {file.sha256}")
            if self._name(file.terms) != file.name:
                raise XetFormatError(f"the file is {self._name(file.terms)}, not {file.name}")
            made.append(self._register(file.terms, sha256))
        return made

    def content(self, file: XetFile) -> Content:
        """The file's bytes, unpacked."""
        return BytesContent(
            b"".join(self.chunk(term.xorb, i) for term in file.terms for i in range(term.first, term.last))
        )

    def recipe(self, file: XetFile, start: int = 0, end: int | None = None) -> Recipe:
        """The terms for the bytes from `start` to `end` (exclusive), cut to whole chunks at both ends."""
        last_byte = (file.size_bytes if end is None else min(end, file.size_bytes)) - 1
        found = Recipe()
        for term, begins in zip(file.terms, file.starts, strict=False):
            if begins > last_byte or begins + term.raw_bytes <= start:
                continue
            xorb = self.xorbs[term.xorb]
            base = xorb.raw_at[term.first] - begins
            first = xorb.chunk_at(base + max(start, begins))
            last = xorb.chunk_at(base + min(last_byte, begins + term.raw_bytes - 1)) + 1
            if not found.terms:
                found.skipped_bytes = start - (xorb.raw_at[first] - base)
            found.terms.append(Term(term.xorb, first, last, xorb.raw_bytes(first, last)))
        return found

    def packed_bytes(self, file: XetFile, beside: XetFile | None = None) -> int:
        """What a download of the file receives at least: each chunk once, packed, without those of `beside`."""
        wanted = _places(file) - (_places(beside) if beside else set())
        return sum(self.xorbs[xorb].stored_at[at + 1] - self.xorbs[xorb].stored_at[at] for xorb, at in wanted)

    def stored_span(self, file: XetFile, offset: int) -> tuple[str, int, int]:
        """The xorb with the file's byte at `offset`, and the stored bytes (end exclusive) of that chunk in it."""
        term = self.recipe(file, offset, offset + 1).terms[0]
        xorb = self.xorbs[term.xorb]
        return term.xorb, xorb.stored_at[term.first], xorb.stored_at[term.last]

    def _check(self, term: Term, proof: bytes) -> None:
        xorb = self.xorbs.get(term.xorb)
        if xorb is None or not 0 <= term.first < term.last <= xorb.chunks:
            raise XetFormatError(f"{term} is not stored")
        if xorb.raw_bytes(term.first, term.last) != term.raw_bytes:
            raise XetFormatError(f"{term} has {xorb.raw_bytes(term.first, term.last)} bytes")
        if term_proof(xorb.hashes[term.first : term.last]) != proof:
            raise XetFormatError(f"the proof of {term}")

    def _register(self, terms: tuple[Term, ...], sha256: str) -> XetFile:
        file = XetFile(self._name(terms), terms, sha256)
        self.files[file.name] = file
        self._by_sha256[sha256] = file.name
        return file

    def _name(self, terms: Iterable[Term]) -> str:
        nodes: list[Node] = [node for term in terms for node in self.xorbs[term.xorb].nodes(term.first, term.last)]
        return to_hex(file_hash(nodes))

    def _sha256(self, terms: Iterable[Term]) -> str:
        digest = hashlib.sha256()
        for term in terms:
            for index in range(term.first, term.last):
                digest.update(self.chunk(term.xorb, index))
        return digest.hexdigest()

    def _terms(self, places: Iterable[tuple[str, int] | None]) -> Iterator[Term]:
        run: tuple[str, int, int] | None = None
        for place in [*places, None]:
            if run and place == (run[0], run[2]):
                run = run[0], run[1], run[2] + 1
                continue
            if run:
                yield Term(*run, self.xorbs[run[0]].raw_bytes(run[1], run[2]))
            run = (place[0], place[1], place[1] + 1) if place else None


def _places(file: XetFile) -> set[tuple[str, int]]:
    return {(term.xorb, index) for term in file.terms for index in range(term.first, term.last)}


def _cut(content: Content, lengths: Iterator[int]) -> Iterator[bytes]:
    at = 0
    while at < content.size_bytes:
        piece = content.read(at, at + next(lengths))
        yield piece
        at += len(piece)
