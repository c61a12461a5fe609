"""The interface between a transfer and the protocol that fetches its bytes. Each transport has a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hfdmd.record import Span
from hfdmd.transfer.limiter import Limiter
from hfdmd.wire.types import Reason, TransportName

ENDLESS = 1 << 50
"""A sink that wants at least this many bytes accepts any number: the size of the file is unknown."""


class TransferError(Exception):
    """One request failed, which may pass; `Failure`, in contrast, ends the attempt of the download.

    `reason` and `detail` become the download's when no connection makes progress any more.
    """

    reason = Reason.NETWORK

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class StartOver(Exception):
    """The rest of the file cannot be requested: fetch all of it in one request. The text is the cause."""


class Sink(Protocol):
    """Receives bytes in order. Everything is called in the event loop's thread."""

    wake: Callable[[], None] | None
    """Set by the transport; called when `ready` may have become true."""

    @property
    def wanted_bytes(self) -> int:
        """How many bytes are still wanted. May shrink at any time, when another connection fetches the rest."""

    def ready(self) -> bool:
        """Whether `buffer` has room. False: stop reading until `wake` is called."""

    def buffer(self) -> memoryview:
        """Where to put the next bytes: not empty, not longer than `wanted_bytes`. Only when `ready`."""

    def advance(self, count: int) -> None:
        """`count` bytes were put into `buffer`."""

    def exempt(self, count: int) -> bool:
        """Allow `count` bytes whatever the bandwidth limit: this machine has received them already.

        False: they are of no use unless the rest follows.
        """


class FileSink(Sink, Protocol):
    """Receives the bytes of one range of a file."""

    @property
    def at(self) -> int:
        """The offset in the file of the next byte that `buffer` takes."""

    def accept_whole(self, size_bytes: int | None) -> bool:
        """Whether to accept the whole file (of that size, if known), which the server sends instead of a range.

        Called only for a range that starts at 0. If True, `wanted_bytes` then counts the whole file.
        """

    def align(self, start: int, end: int) -> None:
        """The response covers whole chunks, from `start`, at or before `at`, to `end`: move the range's ends there.

        Only as far as no other request fetches those bytes.
        """

    @property
    def follows_unaligned(self) -> bool:
        """Whether the bytes before `at` are requested, by a request that `align` was not called for yet."""

    def begin_at(self, offset: int) -> None:
        """Leave the bytes up to `offset` to that request."""

    def line(self) -> Line:
        """From now on bytes are unpacked before they are put into `buffer`: count and limit them by the result."""

    def missing(self, start: int, end: int) -> list[Span]:
        """Which bytes of [start, end) are still wanted."""

    async def place(self, pieces: list[tuple[int, memoryview]]) -> None:
        """Take bytes beyond `at`, which arrived out of order, at their offsets; returns when they are written."""


@dataclass(slots=True, eq=False)
class Line:
    """The network side of a sink whose bytes are unpacked first."""

    limiter: Limiter
    flow: str
    on_received: Callable[[int], None]
    """Called with the number of bytes that arrived."""
    is_throttled: bool = False
    """Whether receiving waits for this machine; set by the transport."""


class Transport(Protocol):
    """Fetches ranges of one file. One per transfer, in the event loop's thread."""

    name: TransportName
    on_located: Callable[[], None] | None
    """Called when the transport has learned a new location, after which `is_proven` and `is_far` may change."""
    ranged: bool
    """Whether to request ranges. False: request the whole file at once, as far as possible."""
    has_ranged: bool
    """Whether a range of this file was ever served, so that the rest can be requested after an error."""
    first_byte_s: float
    """How long the last response took to start."""
    generation: int
    """Rises whenever the location of the file is given up, to recognize errors of the old one."""

    @property
    def is_proven(self) -> bool:
        """Whether ranges are known to work, so that several connections may be used at once."""

    @property
    def is_far(self) -> bool:
        """Whether responses start so late that one connection is never enough."""

    async def fetch(self, start: int, end: int | None, sink: FileSink) -> None:
        """Fetch [start, end) into `sink`; `end` None: the whole file in one response.

        Returns when the sink has all bytes or wants no more. Raises TransferError, which `recover` judges, or Failure.
        Bytes that reached the sink before an error are valid. After a cancellation no byte is read.
        """

    def progressed(self) -> None:
        """Bytes arrived: earlier errors do not count any more."""

    async def recover(
        self, error: TransferError, generation: int, attempt: int, *, others_progress: bool, has_bytes: bool = False
    ) -> None:
        """Return when it is time to try again. Raises StartOver, or Failure when trying again is of no use.

        `generation` is the value from before the attempt: connections that fail with the same old location count as
        one error. `attempt` counts this worker's errors in a row. `others_progress`: other connections of the file
        receive bytes. `has_bytes`: some bytes are on disk, which starting over would fetch again: the last resort.
        """

    def stop_ranging(self) -> None:
        """Request no more ranges: the whole file in one response, from now on."""

    def content_mismatched(self) -> None:
        """The content had a wrong hash: fetch it from a fresh location, without ranges if it came in ranges."""
