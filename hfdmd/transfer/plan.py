"""Who fetches which bytes of a file next: pure arithmetic, no I/O, no clock.

The bytes still to come lie in `todo` or in exactly one lease; what a lease has received is no longer in it.
"""

from __future__ import annotations

from collections.abc import Iterable

from hfdmd.record import Span
from hfdmd.transfer.spans import Spans

MiB = 1 << 20

MAX_SEGMENT_BYTES = 16 * MiB
MIDDLE_SEGMENT_BYTES = 8 * MiB  # for files under 1 GiB: the hash follows only the slowest segment
MIN_SEGMENT_BYTES = MiB
MIDDLE_FILE_BYTES = 1 << 30
LEAST_STEALABLE_BYTES = MiB // 2
STEALABLE = 1 / 32
"""What share of a file may be taken from connections that have asked for it: it may be on its way, and come twice."""
_GRAIN_BYTES = 64 * 1024  # segments begin and end at multiples of it, so that writes stay aligned


class Lease:
    """The bytes [at, end) that one connection is to fetch. `at` moves as they arrive; `end` may come nearer."""

    __slots__ = ("at", "end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.at = start
        self.end = end

    @property
    def left_bytes(self) -> int:
        return self.end - self.at

    def __repr__(self) -> str:
        return f"Lease({self.start}, {self.end}, at={self.at})"


class Plan:
    """The missing bytes of a file of known size, handed out as leases in file order."""

    def __init__(self, size_bytes: int, have: Iterable[Span] = ()) -> None:
        """`have`: what is there already; what lies outside the file counts for nothing."""
        self.size_bytes = size_bytes
        known = Spans((max(0, start), min(end, size_bytes)) for start, end in have)
        self._todo = Spans(known.missing(size_bytes))
        self._leases: list[Lease] = []
        self._stealable_bytes = max(LEAST_STEALABLE_BYTES, int(size_bytes * STEALABLE))

    @property
    def left_bytes(self) -> int:
        """Bytes not received yet."""
        return self._todo.total_bytes + sum(lease.left_bytes for lease in self._leases)

    @property
    def is_complete(self) -> bool:
        return not self._todo and not any(lease.left_bytes for lease in self._leases)

    @property
    def leases(self) -> list[Lease]:
        return list(self._leases)

    @property
    def todo(self) -> list[Span]:
        """What nobody fetches yet."""
        return list(self._todo)

    def segments_left(self, connections: int) -> int:
        """About how many more leases `take` has to give to so many connections."""
        segment = segment_bytes(self.size_bytes, self._todo.total_bytes, connections)
        return sum(-(-(end - start) // segment) for start, end in self._todo)

    def take(self, connections: int, least_bytes: int = MIN_SEGMENT_BYTES) -> Lease | None:
        """A lease on the first segment that nobody fetches, of at least `least_bytes` if there are so many.

        It leaves something for each of so many `connections`. None when all is leased or there.
        """
        first = next(iter(self._todo), None)
        if first is None:
            return None
        start, end = first
        segment = segment_bytes(self.size_bytes, self._todo.total_bytes, connections, least_bytes)
        aligned = (start + segment) // _GRAIN_BYTES * _GRAIN_BYTES
        if end - aligned >= segment // 4:
            end = min(end, aligned)  # a short rest is taken along, not left as a segment of its own
        self._todo.remove(start, end)
        return self._lease(start, end)

    def take_all(self) -> Lease | None:
        """A lease on all of the first gap, for one connection alone; None when nothing is missing."""
        first = next(iter(self._todo), None)
        if first is None:
            return None
        self._todo.remove(*first)
        return self._lease(*first)

    def extend_to_all(self, lease: Lease) -> bool:
        """The lease's request is answered with the whole file: it takes all. False when others have begun."""
        if lease.start != 0 or self._leases != [lease] or list(self._todo) not in ([], [(lease.end, self.size_bytes)]):
            return False
        self._todo = Spans()
        lease.end = self.size_bytes
        return True

    def steal(self, victim: Lease, share: float) -> Lease | None:
        """A lease on the end of the victim's rest, which keeps `share` (0 to 1) of it and at least one grain.

        None when there is nothing worth taking, or `STEALABLE` is used up. Who loses it stops at his new, nearer end.
        """
        kept = max(int(victim.left_bytes * share), victim.left_bytes - self._stealable_bytes, 1)
        middle = -(-(victim.at + kept) // _GRAIN_BYTES) * _GRAIN_BYTES
        end = victim.end
        if not victim.at < middle < end:
            return None
        victim.end = middle
        self._stealable_bytes -= end - middle
        return self._lease(middle, end)

    def give_back(self, lease: Lease) -> None:
        """The lease is over; what it did not receive is for others."""
        self._leases.remove(lease)
        self._todo.add(lease.at, lease.end)

    def _lease(self, start: int, end: int) -> Lease:
        lease = Lease(start, end)
        self._leases.append(lease)
        return lease


def segment_bytes(size_bytes: int, todo_bytes: int, connections: int, least_bytes: int = MIN_SEGMENT_BYTES) -> int:
    """How much the next lease should hold.

    Large enough to be worth a request, small enough for every connection to have two of what is to do: so
    segments get smaller towards the end, and all connections finish at about the same time.
    """
    most = MAX_SEGMENT_BYTES if size_bytes >= MIDDLE_FILE_BYTES else MIDDLE_SEGMENT_BYTES
    share = todo_bytes // (2 * max(1, connections))
    return max(MIN_SEGMENT_BYTES, min(most, max(least_bytes, share) // _GRAIN_BYTES * _GRAIN_BYTES))
