"""Contents of the test Hub's files: bytes in memory, seeded pseudo-random bytes, files on disk."""

from __future__ import annotations

import hashlib
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path

MIB = 1 << 20
BLOCK_BYTES = 8 * MIB
_STRIDE = 2_654_435_761  # odd, so that i -> i * stride modulo a power of two never repeats within the block


class Content(ABC):
    """The bytes of one file. Digests are computed at first use and cached."""

    size_bytes: int

    @abstractmethod
    def view(self, start: int, end: int) -> bytes | memoryview:
        """Bytes from `start` up to but not including `end`; at most up to the next MiB boundary (never empty)."""

    def pieces(self, start: int, end: int, step: int = MIB) -> Iterator[bytes | memoryview]:
        """The bytes from `start` to `end` (exclusive) in pieces of at most `step` bytes."""
        while start < end:
            piece = self.view(start, min(end, start + step))
            start += len(piece)
            yield piece

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from `start` to `end` (exclusive; to the end when None), as one object."""
        return b"".join(self.pieces(start, self.size_bytes if end is None else min(end, self.size_bytes)))

    def digest_of(self, name: str, prefix: bytes = b"") -> str:
        """The hex digest, by hashlib's `name`, of `prefix` and the content."""
        digest = hashlib.new(name, prefix, usedforsecurity=False)
        for piece in self.pieces(0, self.size_bytes):
            digest.update(piece)
        return digest.hexdigest()

    @cached_property
    def sha256(self) -> str:
        """The oid of an LFS file."""
        return self.digest_of("sha256")

    @cached_property
    def git_sha1(self) -> str:
        """What a git file is named by: sha1 of `blob <size>\\0` and the content."""
        return self.digest_of("sha1", b"blob %d\0" % self.size_bytes)

    def __len__(self) -> int:
        return self.size_bytes


class BytesContent(Content):
    """Bytes held in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size_bytes = len(data)

    def view(self, start: int, end: int) -> bytes | memoryview:
        return memoryview(self.data)[start:end]


class SeededContent(Content):
    """Pseudo-random bytes that depend on size class and seed only, without holding them.

    Every MiB is a window into one shared block, at a start that is used for no other MiB of the file (below 8 TiB):
    no two MiB are alike, so a byte in the wrong place is seen, and serving costs a memory view.
    """

    def __init__(self, size_bytes: int, seed: int = 0) -> None:
        self.size_bytes = size_bytes
        self.seed = seed
        self._base = int.from_bytes(hashlib.sha256(b"seed %d" % seed).digest()[:8], "big")

    def view(self, start: int, end: int) -> bytes | memoryview:
        if self.size_bytes <= MIB:
            return memoryview(_small(self.size_bytes, self.seed))[start:end]
        index, within = divmod(start, MIB)
        shift = (self._base + index * _STRIDE) % BLOCK_BYTES
        length = min(end - start, MIB - within)
        return _block()[shift + within : shift + within + length]

    @cached_property
    def sha256(self) -> str:
        return _seeded_digest("sha256", self.size_bytes, self.seed)

    @cached_property
    def git_sha1(self) -> str:
        return _seeded_digest("sha1", self.size_bytes, self.seed)


class PathContent(Content):
    """A file on disk, sparse ones included; served by sendfile. `sha256`: when computing it would take long."""

    def __init__(self, path: str | os.PathLike[str], sha256: str | None = None) -> None:
        self.path = Path(path)
        self.size_bytes = self.path.stat().st_size
        if sha256 is not None:
            self.__dict__["sha256"] = sha256  # fills the cached property

    def view(self, start: int, end: int) -> bytes | memoryview:
        with self.path.open("rb") as file:
            file.seek(start)
            data = file.read(min(end - start, MIB))
        if not data:
            raise EOFError(f"{self.path} has become shorter than {start} bytes")
        return data


Source = Content | bytes | str | Path
"""Accepted as a file's content; a `str` is text, a `Path` a file on disk."""


def content_of(source: Source) -> Content:
    """`source` as `Content`."""
    match source:
        case Content():
            return source
        case bytes():
            return BytesContent(source)
        case str():
            return BytesContent(source.encode())
        case Path():
            return PathContent(source)


def seeded(size_bytes: int, seed: int = 0, sha256: str | None = None) -> SeededContent:
    """Pseudo-random content of that size, the same in every process; different seeds give different bytes.

    `sha256`: the right digest, where it is known and computing it would take long.
    """
    content = SeededContent(size_bytes, seed)
    if sha256 is not None:
        content.__dict__["sha256"] = sha256  # fills the cached property
    return content


@lru_cache(maxsize=1)
def _block() -> memoryview:
    data = random.Random(20_260_101).randbytes(BLOCK_BYTES)  # seeded on purpose: content must repeat between runs
    return memoryview(data + data[:MIB])


@lru_cache(maxsize=32)
def _small(size_bytes: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


@lru_cache(maxsize=65_536)
def _seeded_digest(name: str, size_bytes: int, seed: int) -> str:
    prefix = b"blob %d\0" % size_bytes if name == "sha1" else b""
    return SeededContent(size_bytes, seed).digest_of(name, prefix)
