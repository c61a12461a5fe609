"""Packed bytes of one signed range, cut into chunks while they arrive."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hfdmd.transfer.disk.buffers import aligned_buffer
from hfdmd.transfer.sinks import LimitedSink
from hfdmd.transfer.transport import Line
from hfdmd.transfer.xet.xet_format import HEADER_BYTES, MAX_PACKED_BYTES, Chunk, MalformedChunk, read_header

SMALLEST_BUFFER_BYTES = 320 << 10
"""Any chunk fits."""
LARGEST_BUFFER_BYTES = 2 << 20
GATHER_S = 0.01
"""How long chunks are gathered: each hand-over to a thread costs as much as unpacking one."""
TOTAL_BYTES = 8 << 20
"""For one buffer of each connection; each gets a second one only while its first is being unpacked."""


def buffer_bytes(users: int) -> int:
    """The size of each of the two buffers of a connection, when `users` connections share the memory."""
    return max(SMALLEST_BUFFER_BYTES, min(LARGEST_BUFFER_BYTES, TOTAL_BYTES // max(1, users)))


@dataclass(slots=True, eq=False)
class _Area:
    view: memoryview
    filled: int = 0
    parsed: int = 0
    chunks: list[Chunk] = field(default_factory=list)
    """Complete chunks that were not taken yet."""
    is_lent: bool = False


class PackedSink(LimitedSink):
    """Receives `length` bytes into two buffers in turn; `take` lends the chunks that are complete.

    A chunk that does not fit into the rest of a buffer is continued at the start of the other one.
    """

    def __init__(self, line: Line, length: int, size_bytes: int) -> None:
        super().__init__(line.limiter, line.flow)
        self._line = line
        self._left = length
        self._areas = [_Area(memoryview(b"")), _Area(memoryview(b""))]
        self._size_bytes = size_bytes
        self._current = 0
        self._has_ended = False
        self._was_stopped = False
        self._enough_bytes = min(size_bytes // 2, size_bytes - HEADER_BYTES - MAX_PACKED_BYTES)
        """This many bytes of chunks are handed over without waiting for more. A full buffer always holds them."""
        self._gathered_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self.failure: MalformedChunk | None = None

    @property
    def wanted_bytes(self) -> int:
        return self._left

    def ready(self) -> bool:
        area = self._area()
        is_ready = area is not None and self._allowance.request(min(self._left, len(area.view) - area.filled))
        self._line.is_throttled = not is_ready
        return is_ready

    def buffer(self) -> memoryview:
        area = self._areas[self._current]
        count = min(self._left, len(area.view) - area.filled, self._allowance.bytes)
        return area.view[area.filled : area.filled + count]

    def advance(self, count: int) -> None:
        self._allowance.bytes -= count
        self._areas[self._current].filled += count
        self._left -= count
        self._line.on_received(count)
        self._parse(self._areas[self._current])

    def exempt(self, count: int) -> bool:
        area = self._areas[self._current]
        if count > len(area.view) - area.filled:
            return False
        self._allowance.exempt(count)
        return True

    def stop(self) -> None:
        """No more bytes are wanted."""
        self._was_stopped = self._was_stopped or self._left > 0
        self._left = 0
        self._wake_reader()

    def end(self) -> None:
        """No more bytes will arrive."""
        self._line.is_throttled = False
        self._allowance.close()
        self._has_ended = True
        self._hand_over()

    def close(self) -> None:
        """Free the buffers at once: nothing is lent any more, and the garbage collector runs seldom."""
        for area in self._areas:
            area.view = memoryview(b"")
            area.chunks = []

    async def take(self) -> list[Chunk]:
        """All complete chunks that were not taken yet, once there are some; empty at the end. They are lent until the
        next call."""
        for area in self._areas:
            area.is_lent = False
        self._wake_reader()
        await self._changed.wait()
        if not self._has_ended and self.failure is None:
            self._changed.clear()
        self._gathered_bytes = 0
        self._cancel_timer()  # what it would hand over is taken now, and an empty result means the end
        taken: list[Chunk] = []
        for area in (self._areas[1 - self._current], self._areas[self._current]):
            area.is_lent = bool(area.chunks)
            taken += area.chunks
            area.chunks = []
        return taken

    def _hand_over(self) -> None:
        """Let `take` return."""
        self._cancel_timer()
        self._changed.set()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def is_complete(self) -> bool:
        """Whether all bytes arrived."""
        return not self._left and not self._was_stopped

    @property
    def surplus_bytes(self) -> int:
        """Bytes after the last complete chunk."""
        area = self._areas[self._current]
        return area.filled - area.parsed

    def _area(self) -> _Area | None:
        """The buffer that the next bytes go to; None while there is no room."""
        area = self._areas[self._current]
        if not area.view:
            area.view = aligned_buffer(self._size_bytes)
        needed = HEADER_BYTES + MAX_PACKED_BYTES
        if area.filled - area.parsed >= HEADER_BYTES and self.failure is None:
            needed = HEADER_BYTES + read_header(area.view, area.parsed)[0]
        if area.parsed + min(needed, self.surplus_bytes + self._left) <= len(area.view):
            return area
        other = self._areas[1 - self._current]
        if other.is_lent or other.chunks:
            return None
        if not other.view:
            other.view = aligned_buffer(self._size_bytes)
        other.filled, other.parsed = area.filled - area.parsed, 0
        other.view[: other.filled] = area.view[area.parsed : area.filled]
        area.filled = area.parsed
        self._current = 1 - self._current
        return other

    def _parse(self, area: _Area) -> None:
        """Find the chunks that are complete now."""
        view = area.view
        while self.failure is None and area.filled - area.parsed >= HEADER_BYTES:
            start = area.parsed + HEADER_BYTES
            try:
                packed_bytes, scheme, raw_bytes = read_header(view, area.parsed)
            except MalformedChunk as error:
                self.failure = error
                self.stop()
                break
            if start + packed_bytes > area.filled:
                break
            area.chunks.append(Chunk(view[start : start + packed_bytes], scheme, raw_bytes))
            area.parsed = start + packed_bytes
            self._gathered_bytes += packed_bytes
        if self._gathered_bytes >= self._enough_bytes or self.failure is not None:
            self._hand_over()
        elif area.chunks and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._hand_over)
