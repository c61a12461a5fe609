"""The Xet format as the test CAS checks and writes it: hashes, chunks, xorbs.

Sources: docs/xet/hashing.md and xorb.md of huggingface/hub-docs; where a group of Merkle nodes ends is in
xet-core's aggregated_hashes.rs only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

HEADER_BYTES = 8
MAX_RAW_BYTES = 128 << 10
MAX_XORB_BYTES = 64 << 20
MAX_XORB_CHUNKS = 8192
NONE, LZ4, BG4 = 0, 1, 2
"""Schemes of a chunk's payload: as it is, LZ4 frame, bytes grouped by position modulo 4 and then an LZ4 frame."""
FOOTER_NAME = b"XETBLOB"

_DATA_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
_NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
_PROOF_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
_NO_KEY = bytes(32)

Node = tuple[bytes, int]
"""Hash and number of raw bytes of a node of the Merkle tree."""


class XetFormatError(ValueError):
    """An upload that the format does not allow."""


def to_hex(digest: bytes) -> str:
    """A hash as text: each of its four little-endian u64 as 16 hex digits."""
    return b"".join(digest[at : at + 8][::-1] for at in range(0, 32, 8)).hex()


def from_hex(text: str) -> bytes:
    """The inverse of `to_hex`. Raises XetFormatError when `text` is not 64 hex digits."""
    try:
        mixed = bytes.fromhex(text)
    except ValueError as error:
        raise XetFormatError(f"{text!r} is not a hash") from error
    if len(mixed) != 32:
        raise XetFormatError(f"{text!r} is not a hash")
    return b"".join(mixed[at : at + 8][::-1] for at in range(0, 32, 8))


def keyed(data: bytes | memoryview, key: bytes) -> bytes:
    """blake3 of `data` under `key`; also the HMAC of the answers to global deduplication queries."""
    from blake3 import blake3  # only here, and `lz4` below: a Hub without Xet needs neither

    return blake3(data, key=key).digest()


def chunk_hash(raw: bytes | memoryview) -> bytes:
    """The hash of one chunk's raw bytes."""
    return keyed(raw, _DATA_KEY)


def term_proof(hashes: Iterable[bytes]) -> bytes:
    """What a shard has for each term: that the uploader knows the hashes of its chunks."""
    return keyed(b"".join(hashes), _PROOF_KEY)


def root_of(nodes: Sequence[Node]) -> bytes:
    """The root of the Merkle tree over chunks: the hash of a xorb. No chunks: zeros."""
    if not nodes:
        return bytes(32)
    while len(nodes) > 1:
        above: list[Node] = []
        at = 0
        while at < len(nodes):
            end = _group_end(nodes, at)
            lines = "".join(f"{to_hex(digest)} : {size}\n" for digest, size in nodes[at:end])
            above.append((keyed(lines.encode(), _NODE_KEY), sum(size for _, size in nodes[at:end])))
            at = end
        nodes = above
    return nodes[0][0]


def file_hash(nodes: Sequence[Node]) -> bytes:
    """The hash of a file: its tree's root, hashed again. An empty file: zeros."""
    return keyed(root_of(nodes), _NO_KEY) if nodes else bytes(32)


def _group_end(nodes: Sequence[Node], at: int) -> int:
    """A group has 2 to 9 nodes and ends behind the third or a later one whose last u64 is divisible by 4."""
    most = min(at + 9, len(nodes))
    return next((i + 1 for i in range(at + 2, most) if nodes[i][0][24] % 4 == 0), most)


# ---- chunks


def pack(raw: bytes | memoryview, scheme: int | None = None) -> bytes:
    """A chunk as it is stored, header included. `scheme` None: the smallest, as an uploader would like it."""
    if scheme is None:
        return min((pack(raw, one) for one in (NONE, LZ4, BG4)), key=len)
    payload = bytes(raw)
    if scheme == BG4:
        payload = b"".join(payload[place::4] for place in range(4))
    if scheme != NONE:
        import lz4.frame

        payload = lz4.frame.compress(payload, store_size=False)
    return header(len(payload), scheme, len(raw)) + payload


def header(packed_bytes: int, scheme: int, raw_bytes: int, version: int = 0) -> bytes:
    """The 8 bytes before a chunk's payload."""
    sizes = packed_bytes.to_bytes(3, "little"), raw_bytes.to_bytes(3, "little")
    return bytes([version]) + sizes[0] + bytes([scheme]) + sizes[1]


def unpack(stored: bytes | memoryview) -> bytes:
    """The raw bytes of one stored chunk. Raises XetFormatError."""
    packed_bytes, raw_bytes = int.from_bytes(stored[1:4], "little"), int.from_bytes(stored[5:8], "little")
    version, scheme, payload = stored[0], stored[4], bytes(stored[HEADER_BYTES:])
    if version != 0 or scheme > BG4 or len(payload) != packed_bytes or not 0 < raw_bytes <= MAX_RAW_BYTES:
        raise XetFormatError(f"chunk header {bytes(stored[:HEADER_BYTES]).hex()}")
    if scheme != NONE:
        try:
            import lz4.frame

            payload = lz4.frame.decompress(payload)
        except RuntimeError as error:
            raise XetFormatError(f"LZ4: {error}") from error
    if scheme == BG4:
        payload = _ungrouped(payload)
    if len(payload) != raw_bytes:
        raise XetFormatError(f"a chunk of {len(payload)} bytes says {raw_bytes}")
    return payload


def _ungrouped(grouped: bytes) -> bytes:
    raw, at = bytearray(len(grouped)), 0
    for place in range(4):
        size = len(raw[place::4])
        raw[place::4] = grouped[at : at + size]
        at += size
    return bytes(raw)


# ---- xorbs


@dataclass(frozen=True)
class Xorb:
    """What is known of a stored xorb: where its chunks begin, stored and raw (one entry more than chunks)."""

    name: str
    """Its hash as text."""
    hashes: tuple[bytes, ...]
    stored_at: tuple[int, ...]
    raw_at: tuple[int, ...]

    @property
    def chunks(self) -> int:
        return len(self.hashes)

    def raw_bytes(self, first: int, last: int) -> int:
        """The raw length of the chunks from `first` to `last` (exclusive)."""
        return self.raw_at[last] - self.raw_at[first]

    def nodes(self, first: int, last: int) -> list[Node]:
        """Hash and raw length of these chunks."""
        return [(self.hashes[i], self.raw_bytes(i, i + 1)) for i in range(first, last)]

    def chunk_at(self, raw_offset: int) -> int:
        """The index of the chunk that has this byte of the xorb's raw bytes."""
        return bisect_right(self.raw_at, raw_offset) - 1


def xorb_of(hashes: Sequence[bytes], stored_bytes: Iterable[int], raw_bytes: Iterable[int]) -> Xorb:
    """A xorb whose chunks have these hashes and lengths (stored: header included)."""
    raw = list(raw_bytes)
    name = to_hex(root_of(list(zip(hashes, raw, strict=True))))
    return Xorb(name, tuple(hashes), tuple(accumulate(stored_bytes, initial=0)), tuple(accumulate(raw, initial=0)))


def read_xorb(data: bytes) -> Xorb:
    """Every chunk of an uploaded xorb unpacked and hashed. Raises XetFormatError."""
    if len(data) > MAX_XORB_BYTES:
        raise XetFormatError(f"a xorb of {len(data)} bytes")
    view, at = memoryview(data), 0
    hashes: list[bytes] = []
    stored: list[int] = []
    raw: list[int] = []
    while at < len(data) and data[at : at + len(FOOTER_NAME)] != FOOTER_NAME:
        size = HEADER_BYTES + int.from_bytes(view[at + 1 : at + 4], "little")
        plain = unpack(view[at : at + size])
        hashes.append(chunk_hash(plain))
        stored.append(size)
        raw.append(len(plain))
        at += size
    if not hashes:
        raise XetFormatError("a xorb without chunks")
    return xorb_of(hashes, stored, raw)
