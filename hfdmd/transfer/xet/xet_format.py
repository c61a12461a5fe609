"""The chunks of a xorb: headers of 8 bytes, and three ways to pack a chunk.

Source: hub-docs `docs/xet/xorb.md`, and `xorb_chunk_format.rs` of xet-core, which writes them.
"""

from __future__ import annotations

import struct
import threading
from typing import NamedTuple

import cramjam

HEADER_BYTES = 8
MAX_RAW_BYTES = 128 << 10
MAX_PACKED_BYTES = 256 << 10
MAX_CHUNKS = 8192
"""Chunks of one xorb, at most."""
MAX_XORB_BYTES = (64 << 20) + MAX_CHUNKS * HEADER_BYTES
"""Where the chunks of a xorb end, at most: signed ranges stop before its footer."""

RAW, LZ4, GROUPED_LZ4 = 0, 1, 2
_HEADER = struct.Struct("<Q")
_LENGTH = struct.Struct("<i")
_FRAMES_WITHOUT_SUMS = (bytes.fromhex("04224d18604082"), bytes.fromhex("04224d186050fb"))
"""Headers of frames of independent blocks of up to 64 and 256 KiB, as xet-core writes them."""


class MalformedChunk(ValueError):
    """A chunk that no writer of xorbs makes. The text says what is wrong."""


class Chunk(NamedTuple):
    """A packed chunk in memory."""

    packed: memoryview
    scheme: int
    raw_bytes: int


def read_header(data: memoryview, at: int = 0) -> tuple[int, int, int]:
    """Packed size, scheme and raw size from the 8 bytes of `data` at `at`. Raises `MalformedChunk`."""
    (header,) = _HEADER.unpack_from(data, at)
    version, packed_bytes, scheme, raw_bytes = header & 0xFF, header >> 8 & 0xFFFFFF, header >> 32 & 0xFF, header >> 40
    if version or scheme > GROUPED_LZ4:
        raise MalformedChunk(f"a chunk of version {version} and scheme {scheme}")
    if not 0 < raw_bytes <= MAX_RAW_BYTES or not 0 < packed_bytes <= MAX_PACKED_BYTES:
        raise MalformedChunk(f"a chunk of {raw_bytes} bytes, packed {packed_bytes}")
    if scheme == RAW and packed_bytes != raw_bytes:
        raise MalformedChunk(f"an unpacked chunk of {packed_bytes} bytes that says {raw_bytes}")
    return packed_bytes, scheme, raw_bytes


def unpack(chunk: Chunk, out: memoryview) -> None:
    """Write the chunk's content to `out`, which has its raw size. Raises `MalformedChunk`; never writes more."""
    if chunk.scheme == RAW:
        out[:] = chunk.packed
    elif chunk.scheme == LZ4:
        _decompress(chunk.packed, out)
    else:
        _ungroup(chunk, out)


def _decompress(packed: memoryview, out: memoryview) -> None:
    """Decompress an LZ4 frame of exactly the size of `out`.

    Writers make frames of one block. Unpacking the block alone saves the memory and the copies of the frame decoder.
    """
    is_one_block = bytes(packed[:7]) in _FRAMES_WITHOUT_SUMS and packed[7:11] == _LENGTH.pack(len(packed) - 15)
    try:
        if is_one_block:
            count = cramjam.lz4.decompress_block_into(packed[11:-4], out)
        else:
            count = cramjam.lz4.decompress_into(packed, out)
    except cramjam.DecompressionError as error:
        raise MalformedChunk(f"a chunk that is not an LZ4 frame of {len(out)} bytes: {error}") from None
    if count != len(out):
        raise MalformedChunk(f"a chunk of {count} bytes that says {len(out)}")


def _ungroup(chunk: Chunk, out: memoryview) -> None:
    """Undo the grouping of bytes by their position modulo 4: first all at 0, then all at 1…

    A slice of a bytearray is as fast as numpy here; a slice of a memoryview ten times slower.
    """
    size = chunk.raw_bytes
    grouped, content = _scratch()
    _decompress(chunk.packed, memoryview(grouped)[:size])
    start = 0
    for position in range(4):
        end = start + (size - position + 3) // 4
        content[position:size:4] = grouped[start:end]
        start = end
    out[:] = memoryview(content)[:size]


_of_thread = threading.local()


def _scratch() -> tuple[bytearray, bytearray]:
    """Two buffers per thread: memory of this size costs page faults each time it is allocated."""
    if not hasattr(_of_thread, "scratch"):
        _of_thread.scratch = bytearray(MAX_RAW_BYTES), bytearray(MAX_RAW_BYTES)
    scratch: tuple[bytearray, bytearray] = _of_thread.scratch
    return scratch
