"""Where bytes go that nobody wants."""

from __future__ import annotations

from collections.abc import Callable


class DiscardSink:
    """A sink for bytes that nobody wants."""

    def __init__(self, length: int) -> None:
        self.wake: Callable[[], None] | None = None
        self.wanted_bytes = length
        self._view = memoryview(bytearray(min(length, 16 * 1024)))

    def ready(self) -> bool:
        return True

    def buffer(self) -> memoryview:
        return self._view[: self.wanted_bytes]

    def advance(self, count: int) -> None:
        self.wanted_bytes -= count

    def exempt(self, count: int) -> bool:
        return False

    def accept_whole(self, size_bytes: int | None) -> bool:
        return False
