"""Decodes bodies that a server coded although `identity` was requested, as some mirrors and proxies do."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

from hfdmd.transfer.http.http_errors import BadResponse

PIECE_BYTES = 256 * 1024
"""Decoded at a time, so that a few bytes that decode to very many neither fill the memory nor block the event loop."""

_IDENTITY = ("", "identity")
_GZIP = ("gzip", "x-gzip")
_KNOWN = (*_GZIP, "deflate")


def coding_of(headers: dict[str, str]) -> str | None:
    """The coding of a body by its headers, None when it is not coded. BadResponse for one that cannot be decoded."""
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in _IDENTITY:
        return None
    if coding not in _KNOWN:
        raise BadResponse(f"the file is sent with Content-Encoding {coding[:20]!r}, which was not requested")
    return coding


async def decoded(chunks: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """The content, in pieces of at most `PIECE_BYTES`. BadResponse when it is damaged or ends early.

    `deflate` is zlib's format (RFC 9110, 8.4.1.2); some servers send a raw deflate stream under that name.
    """
    decoder = None
    try:
        async for chunk in chunks:
            if decoder is None:
                is_raw = coding == "deflate" and chunk[0] & 0x0F != zlib.DEFLATED
                decoder = zlib.decompressobj(31 if coding in _GZIP else -15 if is_raw else 15)
            while chunk and not decoder.eof:
                piece = decoder.decompress(chunk, PIECE_BYTES)
                chunk = decoder.unconsumed_tail
                if piece:
                    yield piece
                await asyncio.sleep(0)
        if decoder is not None and (rest := decoder.flush()):
            yield rest
    except zlib.error as error:
        raise BadResponse(f"the coded file is damaged: {error}") from None
    if decoder is None or not decoder.eof:
        raise BadResponse("the coded file ended early")
