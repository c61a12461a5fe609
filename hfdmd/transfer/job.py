"""What the scheduler hands to the engine, and what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from hfdmd.net.target import Target
from hfdmd.record import Digest, Span
from hfdmd.wire.types import Phase, Reason

SMALL_FILE_BYTES = 256 * 1024
"""Files up to this size are fetched into memory (`Engine.fetch_small`)."""


def is_small(size_bytes: int | None) -> bool:
    """Whether a file of that size is fetched into memory; None is a size that nobody knows."""
    return size_bytes is not None and size_bytes <= SMALL_FILE_BYTES


@dataclass(slots=True)
class Meter:
    """Plain counters of a transfer, written by the engine and sampled by whoever shows them.

    `downloaded_bytes` are in place, synced or not. `trouble` is why no connection makes progress, while none does.
    """

    downloaded_bytes: int = 0
    received_bytes: int = 0
    """All body bytes read from the network, including those fetched again."""
    phase: Phase = Phase.TRANSFERRING
    connections: int = 0
    retries: int = 0
    started_over: bool = False
    """Whether the file was asked for from its beginning again, because the server cannot be asked for the rest."""
    trouble: tuple[Reason, str] | None = None


@dataclass(slots=True)
class Job:
    """One file to fetch."""

    id: str
    """The download's id."""
    flow: str
    """Whom the bandwidth limit is fair between: the request that the file belongs to."""
    part: Path
    """The part file, beside its final place; its folder exists."""
    size_bytes: int | None
    digest: Digest | None
    """None only where unverified files are allowed."""
    synced: list[Span]
    """What the tracker claims; nothing else that the part file holds is trusted."""
    locate: Callable[[], Awaitable[Target]]
    """A fresh URL of the same file, which the Hub was asked about. May raise Failure."""
    checkpoint: Callable[[list[Span]], Awaitable[None]]
    """Called with all that is synced, after the sync; with less, or nothing, before the rest of it is given up."""
    mismatched: Callable[[], int]
    """Called when the content is wrong, before `checkpoint` gives it up: returns how often it has been wrong by now,
    earlier attempts included."""
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True, slots=True)
class Fetched:
    """All bytes are in the part file, synced, and their hash is `digest`. None: nobody knew what it should be."""

    size_bytes: int
    digest: Digest | None
