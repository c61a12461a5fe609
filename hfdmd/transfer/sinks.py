"""Where received bytes go: into the part file or into memory. See `transport.Sink`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from hfdmd.record import Span
from hfdmd.transfer.disk.part_file import UNIT_BYTES
from hfdmd.transfer.disk.writer import Writer
from hfdmd.transfer.job import SMALL_FILE_BYTES, Meter
from hfdmd.transfer.limiter import Allowance, Limiter
from hfdmd.transfer.plan import Lease, Plan
from hfdmd.transfer.resources import EngineResources
from hfdmd.transfer.transport import Line, Sink


def copy_ready(sink: Sink, data: bytes) -> bytes:
    """Copy `data` into the sink, as long as it is wanted and the sink has room; returns the rest."""
    while data and sink.wanted_bytes and sink.ready():
        view = sink.buffer()
        count = min(len(view), len(data))
        view[:count] = data[:count]
        sink.advance(count)
        data = data[count:]
    return data


async def copy_to(sink: Sink, data: bytes) -> None:
    """Copy `data` into the sink, as far as it is wanted; waits while the sink has no room."""
    while (data := copy_ready(sink, data)) and sink.wanted_bytes:
        await room(sink)


async def room(sink: Sink) -> None:
    """Return when the sink is ready, or wants no more."""
    while sink.wanted_bytes and not sink.ready():
        has_room = asyncio.Event()
        sink.wake = has_room.set
        await has_room.wait()
        sink.wake = None


class LimitedSink:
    """What both sinks have in common: how many bytes the bandwidth limit allows, and the reader that waits for it."""

    def __init__(self, limiter: Limiter, flow: str) -> None:
        self.wake: Callable[[], None] | None = None
        self._allowance = Allowance(limiter, flow, self._wake_reader)

    def _wake_reader(self) -> None:
        if self.wake is not None:
            self.wake()


class RangeSink(LimitedSink):
    """What both sinks of unpacked bytes have in common: the lease, and bytes that arrive packed or out of order."""

    def __init__(self, lease: Lease, limiter: Limiter, flow: str) -> None:
        super().__init__(limiter, flow)
        self.lease = lease
        self._limiter = limiter
        self._flow = flow
        self._line: Line | None = None

    @property
    def at(self) -> int:
        return self.lease.at

    def missing(self, start: int, end: int) -> list[Span]:
        start, end = max(start, self.lease.at), min(end, self.lease.end)
        return self.lease.ahead.missing(end, start)

    def line(self) -> Line:
        if self._line is None:
            self._line = Line(self._limiter, self._flow, self._received)
        return self._line

    def _received(self, count: int) -> None:
        """`count` packed bytes arrived."""

    def _may_fill(self, count: int) -> bool:
        """Whether some of `count` bytes may be put into the buffer now."""
        return self._line is not None or self._allowance.request(count)

    def _fillable(self, count: int) -> int:
        """How many of `count` bytes may be put into the buffer now."""
        return count if self._line is not None else min(count, self._allowance.bytes)

    def _filled(self, count: int) -> None:
        if self._line is None:
            self._allowance.bytes -= count


class MemorySink(RangeSink):
    """Keeps a small file in memory: of `size_bytes`, or of at most `SMALL_FILE_BYTES` when that is None."""

    def __init__(self, size_bytes: int | None, limiter: Limiter, flow: str, meter: Meter) -> None:
        self._meter = meter
        self._data = bytearray(SMALL_FILE_BYTES if size_bytes is None else size_bytes)
        self._view = memoryview(self._data)
        super().__init__(Lease(0, len(self._data)), limiter, flow)

    @property
    def received_bytes(self) -> int:
        return len(self._data) - self.lease.left_bytes

    @property
    def wanted_bytes(self) -> int:
        return self.lease.left_bytes

    @property
    def follows_unaligned(self) -> bool:
        return False

    def ready(self) -> bool:
        may_fill = self._may_fill(self.lease.gap_bytes)
        if not may_fill:
            self._meter.quiet_since_s = None  # the bandwidth limit is the cause
        return may_fill

    def _wake_reader(self) -> None:
        self._meter.quiet_since_s = time.monotonic()
        super()._wake_reader()

    def buffer(self) -> memoryview:
        start = self.lease.at
        return self._view[start : start + self._fillable(self.lease.gap_bytes)]

    def advance(self, count: int) -> None:
        self._filled(count)
        self.lease.advance(count)
        if self._line is None:
            self._received(count)

    def _received(self, count: int) -> None:
        self._meter.received_bytes += count
        self._meter.quiet_since_s = time.monotonic()

    def align(self, start: int, end: int) -> None:
        """It is all of the file."""

    def begin_at(self, offset: int) -> None:
        """It begins at 0."""

    async def place(self, pieces: list[tuple[int, memoryview]]) -> None:
        for offset, data in pieces:
            self._view[offset : offset + len(data)] = data
            self.lease.ahead.add(offset, offset + len(data))
        self.lease.advance(0)

    def accept_whole(self, size_bytes: int | None) -> bool:
        return True

    def content(self) -> bytearray:
        """The received bytes, without a copy when the buffer is full. Nothing may be received afterwards."""
        return self._data if not self.wanted_bytes else self._data[: self.received_bytes]

    def exempt(self, count: int) -> bool:
        return False  # an incomplete small file is not kept

    def close(self) -> None:
        self._allowance.close()


@dataclass(slots=True, eq=False)
class _Buffer:
    """A buffer that is written piece by piece: its first byte belongs at the file offset `start`.

    `start` is a multiple of the page size, so that a page of the buffer holds what a page of the file will hold.
    """

    view: memoryview
    start: int
    filled: int
    submitted: int
    pending: int = 0
    closed: bool = False


class LeaseSink(RangeSink):
    """Receives the bytes of one lease: fills a buffer, passes it to the writer, continues in the next one.

    When the server sends the whole file though the lease starts later, the first `past_bytes` are discarded.
    """

    def __init__(
        self,
        lease: Lease,
        writer: Writer,
        resources: EngineResources,
        flow: str,
        on_bytes: Callable[[int, int], None],
        on_whole: Callable[[Lease, int | None], bool],
        plan: Plan | None,
        past_bytes: int = 0,
    ) -> None:
        """`on_bytes` is called with the number of bytes received, and how many of them are new.

        Packed bytes are received first, and new only when they are unpacked.
        """
        super().__init__(lease, resources.limiter, flow)
        self._plan = plan
        self._writer = writer
        self._buffers = resources.buffers
        self._on_bytes = on_bytes
        self._on_whole = on_whole
        self._past_bytes = past_bytes
        self._buffer: _Buffer | None = None
        self._buffer_count = 0
        self._waits_for_buffer = False
        self._closed = False
        self._buffers.users += 1

    @property
    def wanted_bytes(self) -> int:
        return self._past_bytes + max(0, self.lease.left_bytes)

    @property
    def is_throttled(self) -> bool:
        """Whether receiving waits for this machine: for a buffer or for the bandwidth limit."""
        waits = self._allowance.is_waiting if self._line is None else self._line.is_throttled
        return waits or self._waits_for_buffer

    def ready(self) -> bool:
        buffer = self._buffer or self._open_buffer()
        if buffer is None:
            return False
        was_waiting = self._allowance.is_waiting
        may_read = self._may_fill(self._room(buffer))
        self._writer.throttle_count += not may_read and not was_waiting
        return may_read

    def buffer(self) -> memoryview:
        buffer = self._buffer
        if buffer is None:
            raise RuntimeError("not ready")
        return buffer.view[buffer.filled : buffer.filled + self._fillable(self._room(buffer))]

    def advance(self, count: int) -> None:
        buffer = self._buffer
        if buffer is None:
            raise RuntimeError("not ready")
        self._filled(count)
        if self._past_bytes:
            self._past_bytes -= count
            self._on_bytes(count, 0)
            return
        buffer.filled += count
        has_skipped = self.lease.advance(count)
        self._on_bytes(count if self._line is None else 0, count)
        if buffer.filled == len(buffer.view) or has_skipped or self.lease.at >= self.lease.end:
            self._end_buffer(buffer)

    def align(self, start: int, end: int) -> None:
        if self._plan is not None:
            self._plan.align(self.lease, start, end)

    @property
    def follows_unaligned(self) -> bool:
        before = None if self._plan is None else self._plan.before(self.lease)
        return before is not None and not before.is_aligned

    def begin_at(self, offset: int) -> None:
        if self._plan is not None:
            self._plan.begin_at(self.lease, offset)

    def _received(self, count: int) -> None:
        self._on_bytes(count, 0)

    async def place(self, pieces: list[tuple[int, memoryview]]) -> None:
        for offset, data in pieces:
            for start, end in self.missing(offset, offset + len(data)):
                self._writer.write(data[start - offset : end - offset], start, _nothing)
                self.lease.ahead.add(start, end)
                self._on_bytes(0, end - start)
        if self.lease.advance(0) and self._buffer is not None:
            self._end_buffer(self._buffer)
        if pieces:
            await self._writer.wait_written()

    def accept_whole(self, size_bytes: int | None) -> bool:
        return self._on_whole(self.lease, size_bytes)

    def exempt(self, count: int) -> bool:
        if self._past_bytes:
            return False
        self._allowance.exempt(count)
        return True

    def flush(self) -> None:
        """Pass the bytes received so far to the writer."""
        if self._buffer is not None:
            self._submit(self._buffer)

    def close(self) -> None:
        """No more bytes will arrive; the received ones are passed to the writer."""
        if self._closed:
            return
        self._closed = True
        self.wake = None
        self._buffers.users -= 1
        self._allowance.close()
        if self._buffer is not None:
            self._end_buffer(self._buffer)

    def _room(self, buffer: _Buffer) -> int:
        return min(len(buffer.view) - buffer.filled, self._past_bytes or self.lease.gap_bytes)

    def _end_buffer(self, buffer: _Buffer) -> None:
        self._buffer = None
        buffer.closed = True
        self._submit(buffer)
        if not buffer.pending:
            self._buffers.release(buffer.view)

    def _open_buffer(self) -> _Buffer | None:
        view = None
        if self._buffer_count < self._buffers.share:
            view = self._buffers.acquire(first=self._buffer_count == 0)
            if view is None and not self._waits_for_buffer:
                self._buffers.wake_on_release(self._on_buffer_free)
        if view is None:
            self._writer.throttle_count += not self._waits_for_buffer
            self._waits_for_buffer = True
            return None
        self._waits_for_buffer = False
        self._buffer_count += 1
        skipped = self.lease.at % UNIT_BYTES
        self._buffer = _Buffer(view, self.lease.at - skipped, skipped, skipped)
        return self._buffer

    def _submit(self, buffer: _Buffer) -> None:
        start, end = buffer.submitted, buffer.filled
        if start == end:
            return
        buffer.submitted = end
        buffer.pending += 1

        def done() -> None:
            buffer.pending -= 1
            if buffer.closed and not buffer.pending:
                self._buffer_count -= 1
                self._buffers.release(buffer.view)
                self._on_buffer_free()

        self._writer.write(buffer.view[start:end], buffer.start + start, done)

    def _on_buffer_free(self) -> None:
        if self._waits_for_buffer and not self._closed:
            self._waits_for_buffer = False
            self._wake_reader()


def _nothing() -> None:
    """The bytes need not be given back."""
