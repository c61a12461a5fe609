"""A set of bytes of a file, as sorted, disjoint, non-touching half-open spans."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from hfdmd.record import Span


class Spans:
    """A set of byte offsets. Adding and removing cost O(log n) of the number of spans, plus the merged ones."""

    __slots__ = ("_ends", "_starts", "total_bytes")

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total_bytes = 0
        for start, end in spans:
            self.add(start, end)

    def __iter__(self) -> Iterator[Span]:
        return zip(self._starts, self._ends, strict=True)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"Spans({list(self)})"

    def add(self, start: int, end: int) -> None:
        """Add [start, end); touching and overlapping spans become one. An empty range adds nothing."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
            self.total_bytes -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        self.total_bytes += end - start

    def remove(self, start: int, end: int) -> None:
        """Remove [start, end)."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if start >= end or first >= last:
            return
        left, right = self._starts[first], self._ends[last - 1]
        self.total_bytes -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        del self._starts[first:last], self._ends[first:last]
        self.add(left, start)
        self.add(end, right)

    def frontier(self) -> int:
        """The end of the span that starts at 0; 0 if there is none."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0

    def missing(self, end: int, start: int = 0) -> list[Span]:
        """The spans of [start, end) that are not in the set."""
        gaps: list[Span] = []
        at = start
        for index in range(bisect_right(self._ends, start), len(self._starts)):
            if self._starts[index] >= end:
                break
            if at < self._starts[index]:
                gaps.append((at, self._starts[index]))
            at = self._ends[index]
        if at < end:
            gaps.append((at, end))
        return gaps
