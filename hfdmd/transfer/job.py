"""What the scheduler passes to the engine, and what the engine returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from hfdmd.net.origin import Target, host_of
from hfdmd.record import Digest, Span
from hfdmd.wire.types import Phase, Reason, TransportName

SMALL_FILE_BYTES = 256 * 1024
"""Files up to this size are fetched into memory (`Engine.fetch_small`)."""


def is_small(size_bytes: int | None) -> bool:
    """Whether a file of that size is fetched into memory. None: the size is unknown."""
    return size_bytes is not None and size_bytes <= SMALL_FILE_BYTES


@dataclass(slots=True)
class Meter:
    """Counters of a transfer, written by the engine and sampled by the scheduler."""

    downloaded_bytes: int = 0
    """Bytes of the file received so far, including earlier attempts, synced or not."""
    received_bytes: int = 0
    """All body bytes read from the network, including those fetched again."""
    reused_bytes: int = 0
    """Bytes of the file that were copied from other files on this machine instead of being received."""
    transport: TransportName | None = None
    """The transport that brought bytes last."""
    phase: Phase = Phase.TRANSFERRING
    connections: int = 0
    retries: int = 0
    started_over: bool = False
    """Whether the file was requested from its start again, because the server does not send ranges."""
    notice: str | None = None
    """What a person should know about this attempt, as `detail` while there is no error."""
    last_error: tuple[Reason, str] | None = None
    """Why the last request failed; None since a byte has arrived."""
    quiet_since_s: float | None = None
    """Since when a server owes a byte, in monotonic seconds; None while this machine is the cause that none comes."""
    url: str = ""
    """What is asked for, as far as it is known. It may be signed: only its host may be shown."""

    @property
    def host(self) -> str:
        return host_of(self.url) if self.url else "the server"


Access = Callable[[Target | None], Awaitable[Target]]
"""Gives the URL of the store of Xet and a token for it; a new one when the given one was refused. May raise Failure."""


@dataclass(frozen=True, slots=True)
class Base:
    """A complete file on this machine that may have content in common with the one that is fetched."""

    path: Path
    size_bytes: int
    hash: str
    """Its Xet hash."""
    access: Access = field(repr=False)
    is_of_same_repo: bool = True


async def _no_bases() -> list[Base]:
    return []


@dataclass(frozen=True, slots=True)
class XetFile:
    """Where a file is in Xet, and where parts of it may be on this machine."""

    hash: str
    access: Access
    bases: Callable[[], Awaitable[list[Base]]] = _no_bases
    """Files of other revisions of the repo, the best first."""
    by_hash: Callable[[str], Base | None] = lambda _: None
    """The file with a Xet hash, of any repo."""


@dataclass(slots=True)
class Job:
    """One file to fetch."""

    id: str
    """The download's id."""
    flow: str
    """The request that the file belongs to: the bandwidth limit is shared equally between flows."""
    part: Path
    """The part file, on the file system of the final path; its folder exists."""
    size_bytes: int | None
    digest: Digest | None
    """None only where unverified files are allowed."""
    synced: list[Span]
    """The spans of the last checkpoint; no other bytes of the part file are trusted."""
    locate: Callable[[], Awaitable[Target]]
    """Asks the Hub for a fresh URL of the same file. May raise Failure."""
    checkpoint: Callable[[list[Span]], Awaitable[None]]
    """Called with all synced spans after a sync; with fewer or none before bytes are discarded."""
    mismatched: Callable[[], int]
    """Called when the hash is wrong, before the content is discarded; returns how often it was wrong so far, earlier
    attempts included."""
    meter: Meter = field(default_factory=Meter)
    xet: XetFile | None = None
    """None when the file is not in Xet."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """All bytes are in the part file and synced; their hash is `digest`, None when the job named none."""

    size_bytes: int
    digest: Digest | None
