"""Asks the content-addressed store (CAS) which chunks of which xorbs a range of a file consists of.

Source: hub-docs `docs/xet/api.md`. All answers are checked here: a range that this module returns is safe to fetch.
"""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from hfdmd.digest import is_sha256
from hfdmd.failure import Failure
from hfdmd.net.origin import RedirectPolicy, Target, host_of, origin
from hfdmd.transfer.http.connection import Connection
from hfdmd.transfer.http.http_errors import BadRedirect, BadResponse, Stalled, UrlRefused
from hfdmd.transfer.http.http_transport import REDIRECTS, HttpShared
from hfdmd.transfer.http.response import HttpHead
from hfdmd.transfer.job import Access
from hfdmd.transfer.transport import TransferError
from hfdmd.transfer.xet.xet_format import HEADER_BYTES, MAX_CHUNKS, MAX_PACKED_BYTES, MAX_RAW_BYTES, MAX_XORB_BYTES
from hfdmd.wire.types import MALFORMED

MAX_ANSWER_BYTES = 4 << 20
"""An answer about 64 MiB of a file in the shortest terms that a writer makes is a tenth of this."""
MAX_REFUSAL_BYTES = 300
_V1_ORIGINS_KEPT = 100
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")  # of S3 and what speaks its language
_PLAIN_WORDS = re.compile(r"[A-Za-z]{1,20}(?:[,.:;]? [A-Za-z]{1,20})*\.?")


class TokenRefused(UrlRefused):
    """401 of the CAS: the token has expired or was withdrawn."""


_Index = Annotated[int, Meta(ge=0, le=MAX_CHUNKS)]
_Offset = Annotated[int, Meta(ge=0, le=MAX_XORB_BYTES)]
_Length = Annotated[int, Meta(ge=1, le=MAX_CHUNKS * MAX_RAW_BYTES)]
_Url = Annotated[str, Meta(min_length=1, max_length=16 << 10)]


class _ChunkRange(msgspec.Struct):
    start: _Index
    end: _Index


class _ByteRange(msgspec.Struct):
    start: _Offset
    end: _Offset


class _Term(msgspec.Struct):
    hash: str
    unpacked_length: _Length
    range: _ChunkRange


class _SignedPart(msgspec.Struct):
    chunks: _ChunkRange
    bytes: _ByteRange


class _SignedUrl(msgspec.Struct):
    url: _Url
    ranges: list[_SignedPart]


class _FetchInfo(msgspec.Struct):
    range: _ChunkRange
    url: _Url
    url_range: _ByteRange


class _Answer(msgspec.Struct):
    """`xorbs` is of version 2, `fetch_info` of version 1."""

    offset_into_first_range: Annotated[int, Meta(ge=0, le=MAX_CHUNKS * MAX_RAW_BYTES)]
    terms: Annotated[list[_Term], Meta(min_length=1)]
    xorbs: dict[str, list[_SignedUrl]] = {}
    fetch_info: dict[str, list[_FetchInfo]] = {}

    def signed(self) -> Iterator[tuple[str, str, _ChunkRange, _ByteRange]]:
        """Xorb, URL, chunks and bytes of every signed range."""
        for xorb, entries in self.xorbs.items():
            for entry in entries:
                for part in entry.ranges:
                    yield xorb, entry.url, part.chunks, part.bytes
        for xorb, infos in self.fetch_info.items():
            for info in infos:
                yield xorb, info.url, info.range, info.url_range


@dataclass(frozen=True, slots=True)
class Term:
    """The chunks [first, last) of a xorb, and where in the file their content is."""

    xorb: str
    first: int
    last: int
    start: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.start + self.size_bytes


@dataclass(slots=True)
class SignedRange:
    """The chunks [first, last) of a xorb as the CAS has signed them: bytes [start, end) of `url`, all or nothing."""

    url: str = field(repr=False)
    xorb: str
    first: int
    last: int
    start: int
    end: int
    terms: list[Term] = field(default_factory=list)
    """What is made of it in the requested range of the file."""


@dataclass(slots=True)
class Reconstruction:
    """What a range of a file consists of: terms in file order without a gap, ranges in the order of their first use."""

    terms: list[Term]
    ranges: list[SignedRange]

    @property
    def start(self) -> int:
        return self.terms[0].start

    @property
    def end(self) -> int:
        return self.terms[-1].end


@dataclass(slots=True, eq=False)
class CasClient:
    """One per daemon."""

    shared: HttpShared
    _v1_origins: dict[str, None] = field(default_factory=dict)

    async def reconstruct(self, access: Access, file_hash: str, start: int, end: int, size: int) -> Reconstruction:
        """The reconstruction of at least the bytes [start, end) of a file of `size` bytes.

        A refused token is replaced once. TransferError, TokenRefused when the new one is refused as well; Failure as
        `access` and `HttpShared.request`.
        """
        target = await access(None)
        try:
            return await self._reconstruct(target, file_hash, start, end, size)
        except TokenRefused:
            return await self._reconstruct(await access(target), file_hash, start, end, size)

    async def _reconstruct(self, target: Target, file_hash: str, start: int, end: int, size: int) -> Reconstruction:
        body: bytes | None = None
        if origin(target.url) not in self._v1_origins:
            with suppress(_NotThere):
                body = await self._get(target, f"v2/reconstructions/{file_hash}", start, end)
        if body is None:
            body = await self._get(target, f"v1/reconstructions/{file_hash}", start, end)
            self._remember_v1(target.url)
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except MALFORMED as error:
            raise BadResponse(f"the answer of {host_of(target.url)} about Xet is malformed: {error}") from None
        try:
            return _checked(self.shared.policy, target.url, answer, start, end, size)
        except ValueError as error:
            raise BadResponse(f"the answer of {host_of(target.url)} about Xet is wrong: {error}") from None

    def _remember_v1(self, url: str) -> None:
        """The CAS answers the older route only."""
        if len(self._v1_origins) >= _V1_ORIGINS_KEPT:
            self._v1_origins.clear()
        self._v1_origins[origin(url)] = None

    async def _get(self, target: Target, path: str, start: int, end: int) -> bytes:
        url = f"{target.url.rstrip('/')}/{path}"
        connection, head, _ = await self.shared.request(url, [("Range", f"bytes={start}-{end - 1}")], target.headers)
        try:
            if head.status != 200 and head.status != 206:
                detail = await refusal(self.shared, connection, head)
                if head.status in (404, 501):
                    raise _NotThere(f"{host_of(url)} does not have the file in Xet ({head.status}){detail}")
                if head.status == 401:
                    raise TokenRefused(f"{host_of(url)} refused the token{detail}")
                if head.status == 416:
                    raise BadResponse(f"{host_of(url)} has a shorter file in Xet (416 Range Not Satisfiable)")
            refuse_redirect(url, head)
            self.shared.check_status(url, head)
            return await _body(connection, self.shared.window_s, MAX_ANSWER_BYTES)
        finally:
            self.shared.pool.release(connection)


class _NotThere(UrlRefused):
    """404 or 501: the route or the file does not exist."""


def refuse_redirect(url: str, head: HttpHead) -> None:
    """Raise BadRedirect for a redirect: neither the CAS nor signed URLs have any, and a token must not follow one."""
    if head.status in REDIRECTS:
        raise BadRedirect(f"{host_of(url)} redirects a request for Xet, which is not followed")


async def refusal(shared: HttpShared, connection: Connection, head: HttpHead) -> str:
    """What a server says about its refusal, for a detail; empty if that is anything but a few plain words.

    Stores repeat what was sent to them: the signed URL, its signature, even the token.
    """
    if head.status < 400 or (head.length or 0) > MAX_ANSWER_BYTES:
        return ""
    try:
        text = (await _body(connection, shared.window_s, 64 << 10)).decode(errors="replace")
    except TransferError:
        return ""
    message = _MESSAGE.search(text)
    words = (text if message is None else message[1]).strip()
    return f": {words}" if len(words) <= MAX_REFUSAL_BYTES and _PLAIN_WORDS.fullmatch(words) else ""


async def _body(connection: Connection, window_s: float, limit_bytes: int) -> bytes:
    """All of a short body. Stalled after `window_s` seconds: an answer is no progress, however slowly it arrives."""
    body = bytearray()
    try:
        async with asyncio.timeout(window_s):
            async for piece in connection.chunks(window_s):
                body += piece
                if len(body) > limit_bytes:
                    connection.abort()
                    raise BadResponse(f"an answer about Xet of more than {limit_bytes} bytes")
    except TimeoutError:
        raise Stalled(f"an answer about Xet was not complete after {window_s:.0f} s") from None
    return bytes(body)


def _checked(policy: RedirectPolicy, cas_url: str, answer: _Answer, start: int, end: int, size: int) -> Reconstruction:
    """The answer as terms and ranges. ValueError when it contradicts itself or the file's size."""
    at = start - answer.offset_into_first_range
    if at < 0 or answer.offset_into_first_range >= answer.terms[0].unpacked_length:
        raise ValueError("its first term does not hold the requested byte")
    ranges = _ranges(policy, cas_url, answer)
    used: dict[int, SignedRange] = {}
    terms = []
    for given in answer.terms:
        count = given.range.end - given.range.start
        if count < 1 or not count <= given.unpacked_length <= count * MAX_RAW_BYTES:
            raise ValueError(f"{given.unpacked_length} bytes in {count} chunks")
        term = Term(given.hash, given.range.start, given.range.end, at, given.unpacked_length)
        at = term.end
        of_xorb = ranges.get(term.xorb, [])
        index = bisect_right(of_xorb, term.first, key=lambda one: one.first) - 1
        signed = of_xorb[index] if index >= 0 and term.last <= of_xorb[index].last else None
        if signed is None:
            raise ValueError("a term without a signed range")
        terms.append(term)
        signed.terms.append(term)
        used[id(signed)] = signed
    if not min(end, size) <= at <= size:
        raise ValueError(f"its terms end at {at}, the file has {size} bytes, {start}-{end - 1} were requested")
    return Reconstruction(terms, list(used.values()))


def _ranges(policy: RedirectPolicy, cas_url: str, answer: _Answer) -> dict[str, list[SignedRange]]:
    ranges: dict[str, list[SignedRange]] = {}
    for xorb, url, chunks, part in answer.signed():
        count, size = chunks.end - chunks.start, part.end + 1 - part.start
        least, most = count * (HEADER_BYTES + 1), count * (HEADER_BYTES + MAX_PACKED_BYTES)
        if not is_sha256(xorb) or count < 1 or not least <= size <= most:
            raise ValueError(f"{count} chunks in {size} bytes of a xorb")
        try:
            target = policy.next_url(cas_url, url)
        except Failure as failure:
            raise ValueError(failure.detail) from None
        ranges.setdefault(xorb, []).append(
            SignedRange(target, xorb, chunks.start, chunks.end, part.start, part.end + 1)
        )
    for signed in ranges.values():
        signed.sort(key=lambda one: one.first)
        for one, following in pairwise(signed):
            if following.first < one.last or following.start < one.end:
                raise ValueError("signed ranges that overlap")
    return ranges
