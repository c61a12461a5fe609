"""Chunks: LZ4 frames of one block are unpacked without the frame decoder, and are checked all the same."""

from __future__ import annotations

import lz4.block
import lz4.frame
import pytest

from hfdmd.transfer.xet.xet_format import LZ4, Chunk, MalformedChunk, unpack

CONTENT = b"safetensors " * 5000
BLOCK = lz4.block.compress(CONTENT, store_size=False)
HEADERS = ("04224d18604082", "04224d186050fb")


def one_block(header: str, block: bytes) -> bytes:
    return bytes.fromhex(header) + len(block).to_bytes(4, "little") + block + bytes(4)


@pytest.mark.parametrize("header", HEADERS)
def test_a_frame_of_one_block_is_what_the_official_decoder_says(header: str) -> None:
    frame = one_block(header, BLOCK)
    assert lz4.frame.decompress(frame) == CONTENT
    out = bytearray(len(CONTENT))
    unpack(Chunk(memoryview(frame), LZ4, len(out)), memoryview(out))
    assert out == CONTENT


@pytest.mark.parametrize(
    ("block", "raw_bytes"),
    [(BLOCK, len(CONTENT) - 1), (BLOCK, len(CONTENT) + 1), (BLOCK[:-9], len(CONTENT)), (b"", 9), (b"\xff" * 99, 9)],
    ids=["larger", "smaller", "cut", "empty", "garbage"],
)
def test_a_block_of_another_size_is_malformed_and_writes_nothing_beyond(block: bytes, raw_bytes: int) -> None:
    out = bytearray(raw_bytes + 64)
    with pytest.raises(MalformedChunk):
        unpack(Chunk(memoryview(one_block(HEADERS[0], block)), LZ4, raw_bytes), memoryview(out)[:raw_bytes])
    assert out[raw_bytes:] == bytes(64)
