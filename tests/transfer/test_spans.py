"""Sets of bytes against a set of integers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hfdmd.transfer.spans import Spans

steps = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), max_size=30)


@given(steps)
def test_behaves_as_a_set_of_bytes(steps: list[tuple[bool, int, int]]) -> None:
    spans, model = Spans(), set[int]()
    for adding, start, end in steps:
        if adding:
            spans.add(start, end)
            model |= set(range(start, end))
        else:
            spans.remove(start, end)
            model -= set(range(start, end))
        listed = list(spans)
        assert {byte for left, right in listed for byte in range(left, right)} == model
        assert all(left < right for left, right in listed)
        assert all(one[1] < two[0] for one, two in pairwise(listed)), "touching spans are one"
        assert spans.total_bytes == len(model)
        assert bool(spans) == bool(model)
        missing = {byte for left, right in spans.missing(30) for byte in range(left, right)}
        assert missing == set(range(30)) - model
        within = {byte for left, right in spans.missing(30, start) for byte in range(left, right)}
        assert within == set(range(start, 30)) - model
        assert set(range(spans.frontier())) <= model
        assert spans.frontier() not in model
