"""Bodies that a server coded: what is decoded, in which pieces, and what is refused."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from hfdmd.transfer.http.coding import PIECE_BYTES, coding_of, decoded
from hfdmd.transfer.http.http_errors import BadResponse
from tests.fakehub import seeded

DATA = seeded(300_000, seed=3).read() + b"again and again " * 40_000


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


async def chunks(data: bytes, size_bytes: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size_bytes):
        yield data[start : start + size_bytes]


async def pieces(coded: bytes, coding: str, size_bytes: int = 10_000) -> list[bytes]:
    return [piece async for piece in decoded(chunks(coded, size_bytes), coding)]


@pytest.mark.parametrize(
    ("coding", "code"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)]
)
@pytest.mark.parametrize("size_bytes", [1000, 1 << 20])
async def test_decodes(coding: str, code: type[bytes], size_bytes: int) -> None:
    got = await pieces(code(DATA), coding, size_bytes)
    assert b"".join(got) == DATA
    assert max(map(len, got)) <= PIECE_BYTES


async def test_a_bomb_comes_in_pieces() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    first = await anext(decoded(chunks(bomb, len(bomb)), "gzip"))
    assert len(first) == PIECE_BYTES


@pytest.mark.parametrize("cut", [0, 1, 1000, -1])
async def test_an_early_end_is_no_end(cut: int) -> None:
    with pytest.raises(BadResponse, match="ended early"):
        await pieces(gzip.compress(DATA)[:cut], "gzip")


async def test_damaged() -> None:
    coded = bytearray(gzip.compress(DATA))
    coded[len(coded) // 2] ^= 0xFF
    with pytest.raises(BadResponse, match="damaged"):
        await pieces(bytes(coded), "gzip")


def test_which_codings_are_known() -> None:
    assert coding_of({}) is None
    assert coding_of({"content-encoding": " Identity"}) is None
    assert coding_of({"content-encoding": "X-GZip"}) == "x-gzip"
    for unknown in ("br", "gzip, gzip"):
        with pytest.raises(BadResponse):
            coding_of({"content-encoding": unknown})
