"""The answer of an action: up to tens of thousands of matches, encoded and sent without blocking the event loop."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from aiohttp import web

from hfdmd.aio import yielding
from hfdmd.api.problems import HEADERS, json_response
from hfdmd.wire.types import Affected, Download, RepoDownload

_AT_ONCE = 100
_PIECE_BYTES = 256 * 1024
_encoder = msgspec.json.Encoder()


async def affected_response(request: web.Request, affected: Affected) -> web.StreamResponse:
    """`affected` as JSON. Raises ConnectionError when the peer has closed the connection."""
    if len(affected.downloads) + len(affected.repos) <= _AT_ONCE:
        return json_response(affected)
    pieces = [
        b'{"downloads":[',
        *await _pieces(affected.downloads),
        b'],"repos":[',
        *await _pieces(affected.repos),
        b"]}",
    ]
    response = web.StreamResponse(headers=HEADERS)
    response.content_type = "application/json"
    response.content_length = sum(len(piece) for piece in pieces)
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    return response


async def _pieces(views: Sequence[Download | RepoDownload]) -> list[bytes]:
    pieces: list[bytes] = []
    piece = bytearray()
    async for number, view in yielding(enumerate(views)):
        piece += _encoder.encode(view) if number == 0 else b"," + _encoder.encode(view)
        if len(piece) >= _PIECE_BYTES:
            pieces.append(bytes(piece))
            piece.clear()
    return [*pieces, bytes(piece)]
