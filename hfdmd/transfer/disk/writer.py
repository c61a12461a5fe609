"""From buffers to the part file: writes in threads, and what is written, synced and still under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from hfdmd.failure import Failure
from hfdmd.record import Span
from hfdmd.transfer.disk.buffers import BufferPool
from hfdmd.transfer.disk.direct_io import UNIT_BYTES
from hfdmd.transfer.disk.hasher import StreamingHasher
from hfdmd.transfer.disk.part_file import IoThreads, PartFile, disk_failure
from hfdmd.transfer.limiter import Allowance, Limiter
from hfdmd.transfer.plan import Lease
from hfdmd.transfer.spans import Spans

SYNC_BYTES = 24 << 20
"""A sync is due when so much has been written past the page cache since the last one began.

A disk may take nothing while it empties its own cache. So much is emptied before the buffers are full (0012).
"""


class _Piece:
    """Bytes on their way to the disk, and to the hash if that takes them from memory."""

    __slots__ = ("_done", "_left", "data", "is_offered", "offset")

    def __init__(self, data: memoryview, offset: int, done: Callable[[], None]) -> None:
        self.data = data
        self.offset = offset
        self.is_offered = False
        self._left = 1
        self._done = done

    def offer_to(self, hasher: StreamingHasher) -> None:
        """Have them hashed from memory, if they are the next."""
        if not self.is_offered and hasher.feed(self.data, self.offset, self.leave):
            self.is_offered = True
            self._left += 1

    def leave(self) -> None:
        """The disk, or the hash, needs them no more."""
        self._left -= 1
        if not self._left:
            self._done()


class Writer:
    """Writes to one part file, has it hashed by `hasher`; the first error stays in `failure`."""

    def __init__(self, part: PartFile, io_threads: IoThreads, have: Spans, hasher: StreamingHasher | None) -> None:
        self.part = part
        self.written = have
        self.failure: Failure | None = None
        self.last_sync_s = 0.0
        self.holds = 0
        """How often bytes that could have been received had to wait for a buffer, or for the limit."""
        self._io_threads = io_threads
        self._hasher = hasher
        self._queue: list[_Piece] = []
        self._batch: asyncio.Future[OSError | None] | None = None
        self._handed = 0
        self._finished = 0
        self._direct_bytes_at_sync = 0
        self._much_is_unsynced = asyncio.Event()

    def write(self, data: memoryview, offset: int, done: Callable[[], None]) -> None:
        """Write `data`, which must stay as it is until `done` is called: written and hashed, or after an error.

        It lies in memory as it will in the file: at the same distance from a page's beginning. One thread at a time
        writes to a file: more would only wait for its lock in the kernel.
        """
        piece = _Piece(data, offset, done)
        if self._hasher is not None:
            piece.offer_to(self._hasher)
        self._queue.append(piece)
        if self._batch is None:
            self._start()

    async def drain(self) -> None:
        """Return when nothing is being written."""
        while self._batch is not None:
            await asyncio.wait((self._batch,))
            await asyncio.sleep(0)  # so that the batch's callback has run

    async def wait_done(self) -> None:
        """Return when what has been handed over by now is written."""
        goal = self._handed + len(self._queue)
        while self._finished < goal and self._batch is not None:
            await asyncio.wait((self._batch,))
            await asyncio.sleep(0)

    def _start(self) -> None:
        """Have all that is queued written, in one go."""
        batch, self._queue = self._queue, []
        self._handed += len(batch)
        pieces = [(piece.data, piece.offset, not piece.is_offered) for piece in batch]
        self._batch = self._io_threads.write(_write_all, self.part, pieces)
        self._batch.add_done_callback(lambda future: self._ended(batch, future))

    def _ended(self, batch: list[_Piece], future: asyncio.Future[OSError | None]) -> None:
        self._batch = None
        self._finished += len(batch)
        error = future.result()
        if error is not None:
            self.failure = self.failure or disk_failure(error, f"writing {self.part.path.name}")
        else:
            for piece in batch:
                self.written.add(piece.offset, piece.offset + len(piece.data))
        if self._hasher is not None:
            for piece in (*batch, *self._queue):
                piece.offer_to(self._hasher)
        if self._queue:
            self._start()
        for piece in batch:
            piece.leave()
        if self._hasher is not None:
            self._hasher.advance(self.written.frontier())
        if self.part.direct_bytes - self._direct_bytes_at_sync >= SYNC_BYTES:
            self._much_is_unsynced.set()

    async def is_due(self, within_s: float) -> bool:
        """Whether a sync is due for the bytes' sake; waits at most `within_s` for that."""
        if within_s <= 0:
            return False
        try:
            async with asyncio.timeout(within_s):
                await self._much_is_unsynced.wait()
        except TimeoutError:
            return False
        return True

    async def sync(self) -> list[Span]:
        """Sync what is written by now, and say what that is. Failure when the disk fails."""
        spans = list(self.written)
        self._direct_bytes_at_sync = self.part.direct_bytes
        self._much_is_unsynced.clear()
        began = time.monotonic()
        try:
            await self._io_threads.sync(self.part.sync)
        except OSError as error:
            raise disk_failure(error, f"syncing {self.part.path.name}") from None
        self.last_sync_s = time.monotonic() - began
        return spans


def _write_all(part: PartFile, pieces: list[tuple[memoryview, int, bool]]) -> OSError | None:
    """In a thread. The error is returned: whoever gets it may have been cancelled, and must see it all the same."""
    try:
        for data, offset, is_read_back in pieces:
            part.write(data, offset, is_read_back=is_read_back)
    except OSError as error:
        return error
    return None


class _Block:
    """A buffer that is filled from the file's `offset` on and written piece by piece.

    A page of it holds what a page of the file will hold.
    """

    __slots__ = ("closed", "filled", "handed", "pending", "start", "view")

    def __init__(self, view: memoryview, offset: int) -> None:
        self.view = view
        self.filled = self.handed = offset % UNIT_BYTES
        self.start = offset - self.filled
        self.pending = 0
        self.closed = False


class LeaseSink:
    """The place for the bytes of one lease: collects them in a buffer, has it written, goes on in the next.

    When the whole file comes though the lease begins later, what comes first is let go: `past_bytes`.
    """

    def __init__(
        self,
        lease: Lease,
        writer: Writer,
        buffers: BufferPool,
        limiter: Limiter,
        flow: str,
        on_bytes: Callable[[int, int], None],
        on_whole: Callable[[Lease, int | None], bool],
        past_bytes: int = 0,
    ) -> None:
        """`on_bytes` is told how many came, and how many of them are new."""
        self.lease = lease
        self.wake: Callable[[], None] | None = None
        self._writer = writer
        self._buffers = buffers
        self._allowance = Allowance(limiter, flow, self._wake_reader)
        self._on_bytes = on_bytes
        self._on_whole = on_whole
        self._past_bytes = past_bytes
        self._block: _Block | None = None
        self._held = 0
        self._waiting = False
        self._closed = False
        buffers.users += 1

    @property
    def wanted_bytes(self) -> int:
        return self._past_bytes + self.lease.end - self.lease.at

    @property
    def is_held(self) -> bool:
        """Whether the bytes wait for us (the disk, the limit), not we for them."""
        return self._allowance.waits or self._waiting

    def ready(self) -> bool:
        if self._block is None and not self._open_block():
            return False
        had_to_wait = self._allowance.waits
        may_read = self._allowance.ask(self._room())
        self._writer.holds += not may_read and not had_to_wait
        return may_read

    def buffer(self) -> memoryview:
        block = self._block
        if block is None:
            raise RuntimeError("not ready")
        return block.view[block.filled : block.filled + min(self._room(), self._allowance.bytes)]

    def advance(self, count: int) -> None:
        block = self._block
        if block is None:
            raise RuntimeError("not ready")
        self._allowance.bytes -= count
        if self._past_bytes:
            self._past_bytes -= count
            self._on_bytes(count, 0)
            return
        block.filled += count
        self.lease.at += count
        self._on_bytes(count, count)
        if block.filled == len(block.view) or self.lease.at >= self.lease.end:
            self._hand(block)
            block.closed = True
            self._block = None

    def accept_whole(self, size_bytes: int | None) -> bool:
        return self._on_whole(self.lease, size_bytes)

    def exempt(self, count: int) -> bool:
        if self._past_bytes:
            return False
        self._allowance.exempt(count)
        return True

    def flush(self) -> None:
        """Have written what has come so far."""
        if self._block is not None:
            self._hand(self._block)

    def close(self) -> None:
        """No more bytes will come; what has come is written."""
        if self._closed:
            return
        self._closed = True
        self.wake = None
        self._buffers.users -= 1
        self._allowance.close()
        if self._block is not None:
            block, self._block = self._block, None
            block.closed = True
            self._hand(block)
            if not block.pending:
                self._buffers.give_back(block.view)

    def _room(self) -> int:
        block = self._block
        room = 0 if block is None else len(block.view) - block.filled
        return min(room, self._past_bytes or self.lease.end - self.lease.at)

    def _open_block(self) -> bool:
        view = None
        if self._held < self._buffers.share:
            view = self._buffers.take(first=self._held == 0)
            if view is None and not self._waiting:
                self._buffers.wait(self._woken)
        if view is None:
            self._writer.holds += not self._waiting
            self._waiting = True
            return False
        self._waiting = False
        self._held += 1
        self._block = _Block(view, self.lease.at)
        return True

    def _hand(self, block: _Block) -> None:
        start, end = block.handed, block.filled
        if start == end:
            return
        block.handed = end
        block.pending += 1

        def done() -> None:
            block.pending -= 1
            if block.closed and not block.pending:
                self._held -= 1
                self._buffers.give_back(block.view)
                self._woken()

        self._writer.write(block.view[start:end], block.start + start, done)

    def _woken(self) -> None:
        if self._waiting and not self._closed:
            self._waiting = False
            self._wake_reader()

    def _wake_reader(self) -> None:
        if self.wake is not None:
            self.wake()
