"""Hashing a part file while it grows: the follower runs behind the contiguous front, in a thread."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from typing import Any

from hfdmd.record import Digest
from hfdmd.transfer.blocks import aligned_buffer
from hfdmd.transfer.disk import Crew, PartFile

SPAN_BYTES = 32 << 20
READ_BYTES = 1 << 20


def hasher_for(digest: Digest, size_bytes: int) -> Any:
    """The running hash that `digest` names, for content of that size (git frames a blob by its length)."""
    algorithm = digest.partition(":")[0]
    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm == "git-sha1":
        return hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    raise ValueError(f"not a digest: {algorithm}")


def digest_of(digest: Digest, data: bytes | bytearray | memoryview) -> Digest:
    """The digest of `data`, of the kind that `digest` is."""
    hasher = hasher_for(digest, len(data))
    hasher.update(data)
    return f"{digest.partition(':')[0]}:{hasher.hexdigest()}"


class Follower:
    """Hashes [0, frontier) of a part file as the frontier moves on. Reads what is in the page cache, mostly."""

    def __init__(self, part: PartFile, digest: Digest, size_bytes: int, crew: Crew) -> None:
        self._part = part
        self._digest = digest
        self._hasher = hasher_for(digest, size_bytes)
        self._crew = crew
        self._frontier = 0
        self._moved = asyncio.Event()
        self._stop = threading.Event()
        self._size_bytes = size_bytes
        self.hashed_bytes = 0
        self._task = asyncio.create_task(self._follow())

    def advance(self, frontier: int) -> None:
        """So much is written without a gap."""
        if frontier > self._frontier:
            self._frontier = frontier
            self._moved.set()

    async def result(self) -> Digest:
        """The digest of all, once the frontier has reached the end. OSError when the file could not be read."""
        await asyncio.shield(self._task)
        return f"{self._digest.partition(':')[0]}:{self._hasher.hexdigest()}"

    async def stop(self) -> None:
        """Stop, and wait until no thread reads any more."""
        self._stop.set()
        self._moved.set()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while self.hashed_bytes < self._size_bytes and not self._stop.is_set():
            if self._frontier == self.hashed_bytes:
                self._moved.clear()
                await self._moved.wait()
                continue
            end = min(self._frontier, self.hashed_bytes + SPAN_BYTES)
            self.hashed_bytes = await self._crew.hash(self._hash, self.hashed_bytes, end)

    def _hash(self, start: int, end: int) -> int:
        """In a thread: hash [start, end); how far it came."""
        buffer = _buffer()
        at = start
        while at < end and not self._stop.is_set():
            count = self._part.read_into(buffer[: min(READ_BYTES, end - at)], at)
            if count == 0:
                raise OSError(f"the part file ends at {at}, before {end}")
            self._hasher.update(buffer[:count])
            at += count
        return at


_of_thread = threading.local()


def _buffer() -> memoryview:
    """One for each hashing thread: many files are in flight, but few are hashed at a time."""
    if not hasattr(_of_thread, "buffer"):
        _of_thread.buffer = aligned_buffer(READ_BYTES)
    buffer: memoryview = _of_thread.buffer
    return buffer
