"""Which bytes of a file are fetched next, and over which connection: pure arithmetic, no I/O, no clock.

Every missing byte is either in `todo` or in exactly one lease; received bytes are in neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hfdmd.record import Span
from hfdmd.transfer.spans import Spans

MiB = 1 << 20

MAX_SEGMENT_BYTES = 16 * MiB
MIDDLE_SEGMENT_BYTES = 8 * MiB  # for files under 1 GiB: the hash follows only the slowest segment
MIN_SEGMENT_BYTES = MiB
MIDDLE_FILE_BYTES = 1 << 30
MIN_STEALABLE_BYTES = MiB // 2
STEALABLE_SHARE = 1 / 32
"""The share of a file that may be stolen from running requests: bytes in flight are received twice."""
_GRAIN_BYTES = 64 * 1024  # segments start and end at multiples of this, so that writes stay aligned


@dataclass(slots=True, eq=False)
class Lease:
    """The bytes [at, end) that one connection fetches. `at` rises as they arrive; `end` falls when some are stolen."""

    start: int
    end: int
    at: int = field(init=False)
    ahead: Spans = field(default_factory=Spans)
    """Bytes beyond `at` that arrived out of order."""
    is_aligned: bool = False
    """Whether its ends are those of a response, so that they do not move any more."""

    def __post_init__(self) -> None:
        self.at = self.start

    @property
    def left_bytes(self) -> int:
        return self.end - self.at - self.ahead.total_bytes

    @property
    def gap_bytes(self) -> int:
        """How many bytes are missing in a row at `at`."""
        return next(iter(self.ahead), (self.end, self.end))[0] - self.at

    def advance(self, count: int) -> bool:
        """`count` bytes arrived in order; whether `at` skipped bytes that had arrived before."""
        self.at += count
        first = next(iter(self.ahead), None)
        if first is None or first[0] > self.at:
            return False
        self.at = first[1]
        self.ahead.remove(*first)
        return True


class Plan:
    """The missing bytes of a file of known size, leased in file order."""

    def __init__(self, size_bytes: int, have: Iterable[Span] = ()) -> None:
        """`have`: the spans that are on disk already; parts beyond the file's size are ignored."""
        self.size_bytes = size_bytes
        known = Spans((max(0, start), min(end, size_bytes)) for start, end in have)
        self.todo = Spans(known.missing(size_bytes))
        """The missing spans that are not leased."""
        self.leases: list[Lease] = []
        self._stealable_bytes = max(MIN_STEALABLE_BYTES, int(size_bytes * STEALABLE_SHARE))

    @property
    def left_bytes(self) -> int:
        """Bytes not received yet."""
        return self.todo.total_bytes + sum(lease.left_bytes for lease in self.leases)

    @property
    def is_complete(self) -> bool:
        return not self.left_bytes

    def segments_left(self, connections: int) -> int:
        """About how many more leases there will be with that many connections."""
        segment = segment_bytes(self.size_bytes, self.todo.total_bytes, connections)
        return sum(-(-(end - start) // segment) for start, end in self.todo)

    def lease(self, connections: int, min_bytes: int = MIN_SEGMENT_BYTES) -> Lease | None:
        """Lease the first segment that is not leased, of at least `min_bytes` if the gap is that large.

        Leaves something for each of the `connections`. None when nothing is left.
        """
        first = next(iter(self.todo), None)
        if first is None:
            return None
        start, end = first
        segment = segment_bytes(self.size_bytes, self.todo.total_bytes, connections, min_bytes)
        aligned = (start + segment) // _GRAIN_BYTES * _GRAIN_BYTES
        if end - aligned >= segment // 4:
            end = min(end, aligned)  # else the short rest is included, not left as a segment of its own
        return self._add_lease(start, end)

    def lease_all(self) -> Lease | None:
        """Lease the whole first gap, for a single connection; None when nothing is missing."""
        first = next(iter(self.todo), None)
        return None if first is None else self._add_lease(*first)

    def extend_to_all(self, lease: Lease) -> bool:
        """Extend the lease to the whole file, which the server sends. False when other leases exist."""
        if lease.start != 0 or self.leases != [lease] or list(self.todo) not in ([], [(lease.end, self.size_bytes)]):
            return False
        self.todo = Spans()
        lease.end = self.size_bytes
        return True

    def steal(self, victim: Lease, share: float) -> Lease | None:
        """Lease the end of the victim's rest; the victim keeps `share` (0 to 1) of it and at least one grain.

        None when nothing is worth stealing, or `STEALABLE_SHARE` is used up. The victim stops at its new end.
        """
        kept = max(int(victim.left_bytes * share), victim.left_bytes - self._stealable_bytes, 1)
        middle = max(-(-(victim.at + kept) // _GRAIN_BYTES) * _GRAIN_BYTES, *(end for _, end in victim.ahead), 0)
        end = victim.end
        if not victim.at < middle < end:
            return None
        victim.end = middle
        self._stealable_bytes -= end - middle
        return self._add_lease(middle, end)

    def give_back(self, lease: Lease) -> None:
        """End the lease; what it did not receive can be leased again."""
        self.leases.remove(lease)
        self.todo.add(lease.at, lease.end)
        for span in lease.ahead:
            self.todo.remove(*span)

    def before(self, lease: Lease) -> Lease | None:
        """The lease of the bytes up to where this one begins, if they are leased."""
        return next((other for other in self.leases if other is not lease and other.end == lease.at), None)

    def begin_at(self, lease: Lease, offset: int) -> None:
        """Leave the bytes up to `offset` to the lease before; no effect when that has ended, or its ends are fixed."""
        before = self.before(lease)
        if before is not None and not before.is_aligned:
            before.end = lease.start = lease.at = min(offset, lease.end)

    def align(self, lease: Lease, start: int, end: int) -> None:
        """A response with whole chunks will bring [start, end) for `lease`, which has not received anything yet.

        Chunks cannot be divided. So the lease takes the rest of its first chunk from the one that ends there and is not
        that far, and the rest of its last chunk from what is not requested.
        """
        lease.is_aligned = True
        before = self.before(lease)
        if before is not None and not before.ahead and before.at <= start < lease.at:
            before.end = lease.start = lease.at = start
        after = next((other for other in self.leases if other.at == lease.end and not other.is_aligned), None)
        if after is not None and end > lease.end:
            lease.end = after.start = after.at = min(end, after.end)
        free = next((span for span in self.todo if span[0] == lease.end), None)
        if free is not None and end > lease.end:
            self.todo.remove(lease.end, min(end, free[1]))
            lease.end = min(end, free[1])

    def _add_lease(self, start: int, end: int) -> Lease:
        lease = Lease(start, end)
        self.todo.remove(start, end)
        self.leases.append(lease)
        return lease


def segment_bytes(size_bytes: int, todo_bytes: int, connections: int, min_bytes: int = MIN_SEGMENT_BYTES) -> int:
    """The size of the next lease.

    Large enough to be worth a request, small enough for every connection to have two of what is left: segments get
    smaller towards the end, and all connections finish at about the same time.
    """
    limit = MAX_SEGMENT_BYTES if size_bytes >= MIDDLE_FILE_BYTES else MIDDLE_SEGMENT_BYTES
    share = todo_bytes // (2 * max(1, connections))
    return max(MIN_SEGMENT_BYTES, min(limit, max(min_bytes, share) // _GRAIN_BYTES * _GRAIN_BYTES))
