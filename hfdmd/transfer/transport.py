"""The seam between a fetch and what brings its bytes: "fetch this range into this place, stop when told"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Sink(Protocol):
    """The place where the bytes of one range go, in order. Everything is called in the event loop's thread."""

    wake: Callable[[], None] | None
    """Set by the transport: called when `ready` may have become true."""

    @property
    def wanted_bytes(self) -> int:
        """How many bytes are still wanted; it may shrink at any time (somebody else fetches the rest)."""

    def ready(self) -> bool:
        """Whether `buffer` has room. False: stop reading until `wake` is called."""

    def buffer(self) -> memoryview:
        """Where the next bytes are to be put: not empty, not more than is wanted. Only when `ready`."""

    def advance(self, count: int) -> None:
        """So many bytes were put into `buffer`."""

    def exempt(self, count: int) -> bool:
        """So many bytes have come to this machine already: they may be put into `buffer` whatever limit there is.

        False: they are of no use when the rest does not follow.
        """

    def accept_whole(self, size_bytes: int | None) -> bool:
        """The other side sends the whole file (of that size, if it tells one) instead of a part: is that welcome?

        Only asked when the range began at 0. True: `wanted_bytes` now is for the whole file.
        """


class Transport(Protocol):
    """Brings ranges of one file. One per fetch."""

    async def fetch(self, start: int, end: int | None, sink: Sink) -> None:
        """Bring [start, end) into `sink`; end None: all there is, in one piece.

        Returns when the bytes are there, or when the sink wants no more; Trouble or Failure otherwise. What
        reached the sink before that stays valid. Cancelling it stops it: after that not a byte is read.
        """
