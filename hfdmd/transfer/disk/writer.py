"""From buffers to the part file: writes in threads; what is written, synced and still in progress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from hfdmd.failure import Failure
from hfdmd.record import Span
from hfdmd.transfer.disk.hasher import StreamingHasher
from hfdmd.transfer.disk.part_file import IoThreads, PartFile, disk_failure
from hfdmd.transfer.spans import Spans

SYNC_BYTES = 24 << 20
"""A sync is due when this much has been written past the page cache since the last one began.

A disk may accept nothing while it empties its own cache. This amount is emptied before the buffers are full
(docs/decisions/0012).
"""


@dataclass(slots=True, eq=False)
class _Piece:
    """Bytes that are being written, and hashed from memory if the hasher accepted them."""

    data: memoryview
    offset: int
    done: Callable[[], None]
    is_fed: bool = False
    users: int = 1

    def feed_to(self, hasher: StreamingHasher) -> None:
        """Have the bytes hashed from memory, if they are the next ones."""
        if not self.is_fed and hasher.feed(self.data, self.offset, self.release):
            self.is_fed = True
            self.users += 1

    def release(self) -> None:
        """The disk or the hasher does not need the bytes any more."""
        self.users -= 1
        if not self.users:
            self.done()


class Writer:
    """Writes to one part file and feeds `hasher`; keeps the first error in `failure`."""

    def __init__(self, part: PartFile, io_threads: IoThreads, have: Spans, hasher: StreamingHasher | None) -> None:
        self.part = part
        self.written = have
        self.failure: Failure | None = None
        self.last_sync_s = 0.0
        self.throttle_count = 0
        """How often receiving had to wait for a buffer or for the bandwidth limit."""
        self._io_threads = io_threads
        self._hasher = hasher
        self._queue: list[_Piece] = []
        self._batch: asyncio.Future[OSError | None] | None = None
        self._started = 0
        self._finished = 0
        self._direct_bytes_at_sync = 0
        self._sync_is_due = asyncio.Event()

    def write(self, data: memoryview, offset: int, done: Callable[[], None]) -> None:
        """Write `data`, which must not change until `done` is called: after it is written and hashed, or an error.

        Buffer address and file offset must be equal modulo 4096 (needed for O_DIRECT). One thread at a time writes
        to a file: more would only wait for its lock in the kernel.
        """
        piece = _Piece(data, offset, done)
        if self._hasher is not None:
            piece.feed_to(self._hasher)
        self._queue.append(piece)
        if self._batch is None:
            self._start()

    async def wait_written(self) -> None:
        """Return when everything passed to `write` before this call is written."""
        goal = self._started + len(self._queue)
        while self._finished < goal and self._batch is not None:
            await asyncio.wait((self._batch,))
            await asyncio.sleep(0)  # so that the batch's callback has run

    def _start(self) -> None:
        """Write the whole queue as one batch."""
        batch, self._queue = self._queue, []
        self._started += len(batch)
        pieces = [(piece.data, piece.offset, not piece.is_fed) for piece in batch]
        self._batch = self._io_threads.write(_write_all, self.part, pieces)
        self._batch.add_done_callback(lambda future: self._on_written(batch, future))

    def _on_written(self, batch: list[_Piece], future: asyncio.Future[OSError | None]) -> None:
        self._batch = None
        self._finished += len(batch)
        error = future.result()
        if error is not None:
            self.failure = self.failure or disk_failure(error, f"writing {self.part.path.name}")
        else:
            for piece in batch:
                self.written.add(piece.offset, piece.offset + len(piece.data))
        if self._hasher is not None:
            self._hasher.advance(self.written.frontier())
            for piece in (*batch, *self._queue):
                piece.feed_to(self._hasher)
        if self._queue:
            self._start()
        for piece in batch:
            piece.release()
        if self.part.direct_bytes - self._direct_bytes_at_sync >= SYNC_BYTES:
            self._sync_is_due.set()

    async def sync_due(self, timeout_s: float) -> bool:
        """Wait until much unsynced data makes a sync due; False when that does not happen within `timeout_s`."""
        if timeout_s <= 0:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                return await self._sync_is_due.wait()
        except TimeoutError:
            return False

    async def sync(self) -> list[Span]:
        """Sync what is written so far and return its spans. Failure when the disk fails."""
        spans = list(self.written)
        self._direct_bytes_at_sync = self.part.direct_bytes
        self._sync_is_due.clear()
        started_at = time.monotonic()
        try:
            await self._io_threads.sync(self.part.sync)
        except OSError as error:
            raise disk_failure(error, f"syncing {self.part.path.name}") from None
        self.last_sync_s = time.monotonic() - started_at
        return spans


def _write_all(part: PartFile, pieces: list[tuple[memoryview, int, bool]]) -> OSError | None:
    """In a thread. Returns the error instead of raising it: the waiting task may be cancelled, the callback is not."""
    try:
        for data, offset, is_read_back in pieces:
            part.write(data, offset, is_read_back=is_read_back)
    except OSError as error:
        return error
    return None
