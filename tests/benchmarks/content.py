"""The files that are served: made fast, never all zeros where a peer might notice, with their digests."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 32 << 20
PIECE_BYTES = 4 << 20
_EXPONENTS = b"".join(
    bytes([byte]) * share
    for byte, share in ((0x3C, 70), (0xBC, 70), (0x3D, 40), (0xBD, 40), (0x3B, 14), (0xBB, 14), (0x3E, 4), (0xBE, 4))
)
ZERO_SHA256 = {
    1 << 30: "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14",
    4 << 30: "8479e43911dc45e89f934fe48d01297e16f51d17aa561d4d1c216b1ae0fcddca",
    8 << 30: "ebfb4ef19ae410f190327b5ebd312711263bc7579970e87d9c1e2d84e06b3c25",
    16 << 30: "07d217ebccc55480b7afa191674ec5da87f2d14efbc04dbc7e40efe345f16776",
    32 << 30: "97af759fc4597bc41706df77cbab318a57d935bacb262bd409e3ab767e07066f",
    64 << 30: "57b295ba06757c81edca2d1e299133b2f059bea28e6cf9f438d7741611c36541",
}
"""sha256 of that many zero bytes, for sparse files: hashing 64 GiB takes most of a minute."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file on disk and the sha256 of its content."""

    path: Path
    size_bytes: int
    sha256: str


def big(path: Path, size_bytes: int) -> Made:
    """A file of bytes that do not compress and do not repeat within a block."""
    block = bytearray(random.Random(size_bytes).randbytes(min(BLOCK_BYTES, size_bytes)))
    hasher = hashlib.sha256()
    with path.open("wb") as file:
        for number, start in enumerate(range(0, size_bytes, BLOCK_BYTES)):
            block[:8] = number.to_bytes(8, "little")
            piece = memoryview(block)[: min(BLOCK_BYTES, size_bytes - start)]
            file.write(piece)
            hasher.update(piece)
    return Made(path, size_bytes, hasher.hexdigest())


def noise(size_bytes: int, seed: int) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size_bytes)


def bf16(size_bytes: int, seed: int) -> bytes:
    """Numbers as weights have them: 16 bits, the high byte one of a few."""
    data = bytearray(noise(size_bytes, seed))
    data[1::2] = data[1::2].translate(_EXPONENTS)
    return bytes(data)


def text(size_bytes: int, seed: int) -> bytes:
    """Words of a small vocabulary."""
    source = random.Random(seed)
    words = [source.randbytes(source.randint(2, 5)).hex().encode() for _ in range(256)]
    return b" ".join(map(words.__getitem__, source.randbytes(size_bytes // 4)))[:size_bytes]


def pieces(kinds: Sequence[Callable[[int, int], bytes]], size_bytes: int, seed: int) -> Iterator[bytes]:
    """Pieces of 4 MiB of these kinds in turn."""
    for number, start in enumerate(range(0, size_bytes, PIECE_BYTES)):
        yield kinds[number % len(kinds)](min(PIECE_BYTES, size_bytes - start), seed * 100_000 + number)


def sparse(path: Path, size_bytes: int) -> Made:
    """A file that is one hole: it reads as zeros and takes no room."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return Made(path, size_bytes, _zeros(size_bytes))


def _zeros(size_bytes: int) -> str:
    if size_bytes not in ZERO_SHA256:
        zeros, hasher, left = bytes(1 << 20), hashlib.sha256(), size_bytes
        while left:
            take = min(left, len(zeros))
            hasher.update(zeros[:take])
            left -= take
        ZERO_SHA256[size_bytes] = hasher.hexdigest()
    return ZERO_SHA256[size_bytes]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def small_files(count: int, seed: int = 1) -> dict[str, bytes]:
    """Files of 2 to 50 KB in ten folders, as a dataset or a tokenizer's folder has them."""
    rng = random.Random(seed)
    return {f"part-{i % 10}/file-{i:05}.json": rng.randbytes(rng.randint(2_000, 50_000)) for i in range(count)}
