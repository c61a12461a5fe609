"""Shards: what an uploader registers, and what the CAS answers to a global deduplication query.

Source: docs/xet/shard.md of huggingface/hub-docs.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass

from tests.fakehub.xet_format import XetFormatError, Xorb, from_hex, keyed, to_hex

_TAG = b"HFRepoMetaData\0" + bytes([85, 105, 103, 69, 106, 123, 129, 87, 131, 165, 189, 217, 92, 205, 209, 74, 169])
_HEADER = struct.Struct("<32sQQ")
_ENTRY = struct.Struct("<32sIIII")
_FOOTER = struct.Struct("<9Q32sQQ48x3QQ")
_BOOKEND = bytes([255] * 32)
_WITH_PROOFS, _WITH_SHA256 = 1 << 31, 1 << 30
_KEY_LIFETIME_S = 86_400


@dataclass(frozen=True)
class Term:
    """Chunks `first` to `last` (exclusive) of a xorb, `raw_bytes` long together."""

    xorb: str
    first: int
    last: int
    raw_bytes: int


@dataclass(frozen=True)
class ShardFile:
    """One file of a shard. `sha256` is None when the uploader left it out."""

    name: str
    """Its Xet hash as text."""
    terms: tuple[Term, ...]
    proofs: tuple[bytes, ...]
    sha256: str | None


def read_shard(data: bytes) -> tuple[list[ShardFile], dict[str, list[bytes]]]:
    """The files of an uploaded shard, and of each xorb that it names the hashes of its chunks.

    Raises XetFormatError.
    """
    try:
        tag, version, footer_bytes = _HEADER.unpack_from(data)
        if tag != _TAG or version != 2 or footer_bytes not in (0, _FOOTER.size):
            raise XetFormatError("the header of the shard")
        files, at = _files(data, _HEADER.size)
        xorbs: dict[str, list[bytes]] = {}
        while (entry := _ENTRY.unpack_from(data, at))[0] != _BOOKEND:
            hashes = [_ENTRY.unpack_from(data, at + _ENTRY.size * (1 + i))[0] for i in range(entry[2])]
            xorbs[to_hex(entry[0])] = hashes
            at += _ENTRY.size * (1 + entry[2])
    except struct.error as error:
        raise XetFormatError(f"a shard that ends early: {error}") from error
    return files, xorbs


def _files(data: bytes, at: int) -> tuple[list[ShardFile], int]:
    found = []
    while (entry := _ENTRY.unpack_from(data, at))[0] != _BOOKEND:
        digest, flags, count = entry[:3]
        at += _ENTRY.size
        terms, proofs, sha256 = [], [], None
        for _ in range(count):
            xorb, _, raw_bytes, first, last = _ENTRY.unpack_from(data, at)
            terms.append(Term(to_hex(xorb), first, last, raw_bytes))
            at += _ENTRY.size
        if flags & _WITH_PROOFS:
            for _ in range(count):
                proofs.append(_ENTRY.unpack_from(data, at)[0])
                at += _ENTRY.size
        if flags & _WITH_SHA256:
            sha256 = to_hex(_ENTRY.unpack_from(data, at)[0]) if count else None  # zeros for an empty file
            at += _ENTRY.size
        found.append(ShardFile(to_hex(digest), tuple(terms), tuple(proofs), sha256))
    return found, at + _ENTRY.size


def dedup_shard(xorb: Xorb, key: bytes) -> bytes:
    """The answer to a query for one of the xorb's chunks: all of them, their hashes under the HMAC `key`."""
    bookend = _ENTRY.pack(_BOOKEND, 0, 0, 0, 0)
    body = bookend + _ENTRY.pack(from_hex(xorb.name), 0, xorb.chunks, xorb.raw_at[-1], xorb.stored_at[-1])
    for i, digest in enumerate(xorb.hashes):
        body += _ENTRY.pack(keyed(digest, key), xorb.raw_at[i], xorb.raw_bytes(i, i + 1), 0, 0)
    body += bookend
    begin, now_s = _HEADER.size, int(time.time())
    end = begin + len(body)
    footer = _FOOTER.pack(
        *(1, begin, begin + len(bookend), end, 0, end, 0, end, 0),
        *(key, now_s, now_s + _KEY_LIFETIME_S, xorb.stored_at[-1], xorb.raw_at[-1], xorb.raw_at[-1], end),
    )
    return _HEADER.pack(_TAG, 2, _FOOTER.size) + body + footer
