"""One file as chunks of Xet: asks the CAS for each lease, fetches the ranges that it signs, unpacks them in threads."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from hfdmd.aio import shielded
from hfdmd.failure import Failure
from hfdmd.net.origin import host_of
from hfdmd.transfer.http.connection import Connection
from hfdmd.transfer.http.http_errors import BadRedirect, BadResponse, UrlRefused
from hfdmd.transfer.http.http_transport import CONTENT_RANGE, FAR_S, REFUSED
from hfdmd.transfer.http.location import Location
from hfdmd.transfer.http.response import HttpHead
from hfdmd.transfer.job import XetFile
from hfdmd.transfer.resources import EngineResources
from hfdmd.transfer.sinks import copy_to, room
from hfdmd.transfer.transport import FileSink, TransferError
from hfdmd.transfer.xet.cas_client import (
    CasClient,
    Reconstruction,
    SignedRange,
    Term,
    refusal,
    refuse_redirect,
)
from hfdmd.transfer.xet.packed_sink import PackedSink, buffer_bytes
from hfdmd.transfer.xet.recipes import Lengths, Recipe
from hfdmd.transfer.xet.xet_format import Chunk, MalformedChunk, unpack
from hfdmd.wire.types import Reason, TransportName

MAX_PLACES = 1024
"""How many pieces of a file are put in place at a time: tiny chunks that a file repeats make millions."""
MAX_STRIKES = 3
"""Errors of one type without a byte in between, after which trying again is of no use for now."""


class XetTransport(Location):
    """One file over Xet; see `Transport`."""

    name: TransportName = "xet"

    def __init__(
        self,
        cas: CasClient,
        xet: XetFile,
        size_bytes: int,
        resources: EngineResources,
    ) -> None:
        super().__init__(lambda: xet.access(None), cas.shared.slots)
        self.first_byte_s = 0.05
        self._response_s = 0.0
        self._cas = cas
        self._shared = cas.shared
        self._xet = xet
        self._size_bytes = size_bytes
        self._resources = resources
        self._has_answer = False
        self.recipe = Recipe()
        """What was learned about the chunks of the file."""

    @property
    def is_proven(self) -> bool:
        return self._has_answer

    @property
    def is_far(self) -> bool:
        return self._has_answer and self._response_s >= FAR_S

    async def fetch(self, start: int, end: int | None, sink: FileSink) -> None:
        began_at: float | None = time.monotonic()
        if sink.follows_unaligned:
            await self._begin_with_a_chunk(sink)
        if not sink.wanted_bytes:
            return
        answer = await self.reconstruct(sink.at, sink.at + sink.wanted_bytes)
        self.recipe.add(answer.terms)
        sink.align(answer.start, answer.end)
        for signed in answer.ranges:
            if any(sink.missing(term.start, term.end) for term in signed.terms):
                await self._fetch_range(signed, sink, began_at)
                began_at = None
        if sink.wanted_bytes:
            raise BadResponse("the chunks that were sent do not hold all bytes that they should")

    async def _begin_with_a_chunk(self, sink: FileSink) -> None:
        """The bytes before the range are requested, and it is not known yet which chunk ends there: ask.

        The request before takes the rest of that chunk. Waiting for its answer instead would let requests start one
        after another; not asking would fetch the chunk twice.
        """
        at = sink.at
        chunk = await self.reconstruct(at, at + 1)
        if sink.at == at and chunk.start < at:
            sink.begin_at(chunk.end)

    async def reconstruct(self, start: int, end: int) -> Reconstruction:
        """What [start, end) consists of. Raises as `fetch`."""
        return await self._cas.reconstruct(self._xet.access, self._xet.hash, start, end, self._size_bytes)

    def stop_ranging(self) -> None:
        """Ranges are all there is."""

    def content_mismatched(self) -> None:
        """Each request asks anew where the content is."""

    def _judge(self, error: TransferError, strike: int, others_progress: bool, has_bytes: bool) -> None:
        if isinstance(error, UrlRefused | BadRedirect | BadResponse):
            if strike >= MAX_STRIKES and not others_progress:
                raise Failure(Reason.HUB_UNAVAILABLE, error.detail)
            self.generation += 1

    async def _fetch_range(self, signed: SignedRange, sink: FileSink, began_at: float | None) -> None:
        """Fetch one signed range, all of it: servers refuse any other. What arrived before an error is kept."""
        wanted = f"bytes={signed.start}-{signed.end - 1}"
        connection, head, self._response_s = await self._shared.request(signed.url, [("Range", wanted)], {})
        if began_at is not None:  # a lease should last several times as long as its questions and its response take
            self.first_byte_s = time.monotonic() - began_at
        try:
            await self._check(signed, connection, head)
            if not self._has_answer:
                self._has_answer = True
                if self.on_located is not None:
                    self.on_located()
            size = buffer_bytes(self._resources.buffers.users)
            packed = PackedSink(sink.line(), signed.end - signed.start, size)
            unpacking = _Unpacking(signed, packed, sink, self._resources, self.recipe.lengths)
            task = asyncio.create_task(unpacking.run())
            try:
                await connection.receive(packed, signed.end - signed.start, self._shared.window_s)
            finally:
                packed.end()
                await shielded(asyncio.wait({task}))
                error = task.exception()
            is_complete = not packed.is_complete or unpacking.is_complete
            packed.close()
            if error is not None:
                raise error
            if not is_complete:
                raise BadResponse(f"{host_of(signed.url)} sent fewer chunks than were announced")
        finally:
            self._shared.pool.release(connection)

    async def _check(self, signed: SignedRange, connection: Connection, head: HttpHead) -> None:
        host = host_of(signed.url)
        if head.status in REFUSED:
            detail = await refusal(self._shared, connection, head)
            raise UrlRefused(f"{host} refused a part of the file with status {head.status}{detail}")
        refuse_redirect(signed.url, head)
        if head.status != 206:
            await self._shared.skip_body(connection, head)
        self._shared.check_status(signed.url, head)
        match = CONTENT_RANGE.fullmatch(head.headers.get("content-range", "").strip())
        length = signed.end - signed.start
        is_exact = match is not None and (int(match[1]), int(match[2])) == (signed.start, signed.end - 1)
        if head.status != 206 or not is_exact or head.length != length:
            raise BadResponse(f"{host} did not send the {length} bytes that were requested")


class _WantedChunk(NamedTuple):
    """A chunk and what is wanted of it: a part that comes next in the lease, and parts further on."""

    chunk: Chunk
    next_part: tuple[int, int]
    """Relative to the chunk; empty if none of it comes next."""
    ahead: list[tuple[int, int, int]]
    """Offset in the file, and the part relative to the chunk."""


@dataclass(slots=True, eq=False)
class _Unpacking:
    """From the chunks of one signed range to the bytes of the file."""

    _signed: SignedRange
    _packed: PackedSink
    _sink: FileSink
    _resources: EngineResources
    _lengths: Lengths
    _index: int = 0
    _starting: dict[int, list[Term]] = field(default_factory=dict)
    """Terms by their first chunk."""
    _open: list[tuple[Term, int, int]] = field(default_factory=list)
    """Terms that the next chunk belongs to, the offset of its content in the file, and the end of the term."""

    async def run(self) -> None:
        """Until all chunks that arrive are unpacked. BadResponse for a chunk that does not fit what the CAS said."""
        try:
            self._index = self._signed.first
            for term in self._signed.terms:
                self._starting.setdefault(term.first, []).append(term)
            while chunks := await self._packed.take():
                await self._unpack(chunks)
                if not self._sink.wanted_bytes:
                    self._packed.stop()
            if self._packed.failure is not None:
                raise self._packed.failure
        except MalformedChunk as error:
            raise BadResponse(f"Xet sent {error}") from None
        finally:
            self._packed.stop()

    @property
    def is_complete(self) -> bool:
        """Whether all announced chunks have arrived, and nothing else."""
        return self._index == self._signed.last and not self._packed.surplus_bytes

    async def _unpack(self, chunks: list[Chunk]) -> None:
        at = self._sink.at
        pieces: list[_WantedChunk] = []
        places, first = 0, self._index
        for chunk in chunks:
            next_part, ahead = (0, 0), []
            for offset in self._places(chunk.raw_bytes):
                for start, end in self._sink.missing(max(offset, at), offset + chunk.raw_bytes):
                    if start == at and not next_part[1]:
                        next_part = (start - offset, end - offset)
                        at = end
                    else:
                        ahead.append((start, start - offset, end - offset))
            if ahead or next_part[1]:
                pieces.append(_WantedChunk(chunk, next_part, ahead))
                places += 1 + len(ahead)
            if places >= MAX_PLACES:
                await self._put(pieces)
                pieces, places, at = [], 0, self._sink.at
        self._lengths.add(self._signed.xorb, first, *[chunk.raw_bytes for chunk in chunks])
        await self._put(pieces)

    async def _put(self, pieces: list[_WantedChunk]) -> None:
        while pieces:
            view = memoryview(b"")
            if any(piece.next_part[1] for piece in pieces):
                await room(self._sink)
                if not self._sink.wanted_bytes:
                    return
                view = self._sink.buffer()
            result = await self._resources.io_threads.unpack(_unpack, pieces, view)
            if result.failure is None and result.used == 0:
                raise RuntimeError("no chunk was unpacked")
            if filled := min(result.filled, self._sink.wanted_bytes):
                self._sink.advance(filled)
            await copy_to(self._sink, result.rest)
            await self._sink.place(result.ahead)
            if result.failure is not None:
                raise result.failure
            del pieces[: result.used]

    def _places(self, raw_bytes: int) -> list[int]:
        """Where in the file the content of the next chunk belongs. MalformedChunk when lengths do not add up."""
        index, self._index = self._index, self._index + 1
        if index >= self._signed.last:
            raise MalformedChunk("more chunks than were announced")
        for term in self._starting.get(index, ()):
            self._open.append((term, term.start, term.end))
        places, still_open = [], []
        for term, at, term_end in self._open:
            places.append(at)
            end = at + raw_bytes
            if end > term_end or (index + 1 == term.last and end != term_end):
                raise MalformedChunk(f"chunks of other lengths than announced, up to number {index}")
            if index + 1 < term.last:
                still_open.append((term, end, term_end))
        self._open = still_open
        return places


@dataclass(slots=True)
class _Unpacked:
    used: int = 0
    """How many pieces were unpacked."""
    filled: int = 0
    """How many bytes were put into the view."""
    rest: bytes = b""
    """What follows them and did not fit."""
    ahead: list[tuple[int, memoryview]] = field(default_factory=list)
    failure: MalformedChunk | None = None


def _unpack(pieces: list[_WantedChunk], view: memoryview) -> _Unpacked:
    """In a thread: unpack into `view` until it is full, and what belongs further on into memory of its own."""
    result = _Unpacked()
    room_bytes = len(view)
    try:
        for piece in pieces:
            chunk, (start, end) = piece.chunk, piece.next_part
            at = result.filled
            if end and at == room_bytes:
                break
            if not piece.ahead and not start and end == chunk.raw_bytes <= room_bytes - at:
                unpack(chunk, view[at : at + end])
                result.filled += end
            else:
                content = memoryview(bytearray(chunk.raw_bytes))
                unpack(chunk, content)
                count = min(end - start, room_bytes - at)
                if count:
                    view[at : at + count] = content[start : start + count]
                    result.filled += count
                result.rest = bytes(content[start + count : end])
                result.ahead += [(offset, content[lower:upper]) for offset, lower, upper in piece.ahead]
            result.used += 1
    except MalformedChunk as error:
        result.failure = error
    return result
