"""A store of Xet that serves any list of terms, also those that no uploader makes, in memory."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import cramjam

from hfdmd.net.origin import Target
from tests.transfer.scripted_server import Request, Scripted, scripted

Range = tuple[int, int]


def pack(raw: bytes, scheme: int) -> bytes:
    """A chunk as a xorb holds it."""
    grouped = b"".join(raw[position::4] for position in range(4)) if scheme == 2 else raw
    packed = grouped if scheme == 0 else bytes(cramjam.lz4.compress(grouped))
    return b"\0" + len(packed).to_bytes(3, "little") + bytes([scheme]) + len(raw).to_bytes(3, "little") + packed


@dataclass
class Xorb:
    """Chunks of content, and how each is packed."""

    chunks: list[bytes]
    schemes: list[int]
    packed: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.packed = [pack(raw, scheme) for raw, scheme in zip(self.chunks, self.schemes, strict=True)]

    @property
    def hash(self) -> str:
        return hashlib.sha256(b"".join(self.packed)).hexdigest()

    def bytes_of(self, first: int, last: int) -> Range:
        """Where the chunks [first, last) are."""
        start = sum(map(len, self.packed[:first]))
        return start, start + sum(map(len, self.packed[first:last]))


def a_xorb(seed: int, sizes: list[int]) -> Xorb:
    """Chunks of random and repetitive content, packed in all three ways."""
    source = random.Random(seed)
    chunks, schemes = [], []
    for number, size in enumerate(sizes):
        scheme = (seed + number) % 3
        raw = source.randbytes(size) if scheme == 0 else (source.randbytes(16) * (size // 16 + 1))[:size]
        chunks.append(raw)
        schemes.append(scheme)
    return Xorb(chunks, schemes)


TermSpec = tuple[int, int, int]
"""Number of the xorb, first chunk, last chunk (exclusive)."""


@dataclass
class Store:
    """Xorbs and files of terms. Override `answer` to lie."""

    xorbs: list[Xorb]
    files: dict[str, list[TermSpec]] = field(default_factory=dict)
    version: int = 2
    merges: bool = True
    """Whether signed ranges of one xorb that touch are one range."""
    sent: list[tuple[str, int]] = field(default_factory=list)
    """Xorb and number of bytes of every response with content."""
    queries: list[tuple[str, Range]] = field(default_factory=list)
    twist: Callable[[Store, Request], Awaitable[bool]] | None = None
    """Called for each request first; True: it has been answered."""
    url: str = ""

    def add(self, terms: list[TermSpec]) -> str:
        """Add a file; its Xet hash."""
        name = hashlib.sha256(repr(terms).encode()).hexdigest()
        self.files[name] = terms
        return name

    def content(self, name: str) -> bytes:
        return b"".join(
            chunk for number, first, last in self.files[name] for chunk in self.xorbs[number].chunks[first:last]
        )

    def packed_bytes(self, name: str) -> int:
        """What one download of everything takes."""
        used = {(number, index) for number, first, last in self.files[name] for index in range(first, last)}
        return sum(len(self.xorbs[number].packed[index]) for number, index in used)

    async def access(self, refused: Target | None) -> Target:
        return Target(self.url, {"Authorization": "Bearer t"})

    def answer(self, name: str, start: int, end: int) -> dict[str, object]:
        """The reconstruction of [start, end), cut to whole chunks."""
        terms: list[dict[str, object]] = []
        used: dict[int, list[Range]] = {}
        offset = None
        at = 0
        for number, first, last in self.files[name]:
            cut: list[int] = []
            for index in range(first, last):
                size = len(self.xorbs[number].chunks[index])
                if at < end and at + size > start:
                    cut.append(index)
                    offset = start - at if offset is None else offset
                at += size
            if cut:
                chunks = (cut[0], cut[-1] + 1)
                length = sum(len(self.xorbs[number].chunks[index]) for index in cut)
                terms.append(
                    {
                        "hash": self.xorbs[number].hash,
                        "unpacked_length": length,
                        "range": {"start": chunks[0], "end": chunks[1]},
                    }
                )
                used.setdefault(number, []).append(chunks)
        signed = {self.xorbs[number].hash: self._signed(number, ranges) for number, ranges in used.items()}
        key = "xorbs" if self.version == 2 else "fetch_info"
        return {"offset_into_first_range": offset, "terms": terms, key: signed}

    def _signed(self, number: int, ranges: list[Range]) -> list[dict[str, object]]:
        merged: list[Range] = []
        for first, last in sorted(set(ranges)):
            if merged and (first < merged[-1][1] or (self.merges and first == merged[-1][1])):
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        entries: list[dict[str, object]] = []
        for first, last in merged:
            start, end = self.xorbs[number].bytes_of(first, last)
            url = f"{self.url}/xorbs/{number}?signed={start}-{end - 1}"
            chunks, part = {"start": first, "end": last}, {"start": start, "end": end - 1}
            if self.version == 2:
                entries.append({"url": url, "ranges": [{"chunks": chunks, "bytes": part}]})
            else:
                entries.append({"range": chunks, "url": url, "url_range": part})
        return entries

    async def serve(self, request: Request) -> None:
        if self.twist is not None and await self.twist(self, request):
            return
        path = request.head.split(" ")[1]
        if found := re.match(r"/v(\d)/reconstructions/([0-9a-f]{64})", path):
            assert request.has_token
            if int(found[1]) != self.version:
                await request.send(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
                return
            assert request.end is not None
            self.queries.append((found[2], (request.start, request.end)))
            await send_json(request, self.answer(found[2], request.start, request.end))
            return
        number = int(path.split("/")[2].partition("?")[0])
        assert not request.has_token
        assert request.end is not None
        assert f"signed={request.start}-{request.end - 1}" in path, "a range that was not signed"
        content = b"".join(self.xorbs[number].packed)
        self.sent.append((self.xorbs[number].hash, request.end - request.start))
        await request.send_part(content + b"XETBLOB footer")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Scripted]:
        async with scripted(self.serve) as server:
            self.url = server.url
            yield server


async def send_json(request: Request, said: object) -> None:
    body = json.dumps(said).encode()
    await request.send(b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
