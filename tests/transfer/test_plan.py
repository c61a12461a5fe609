"""The plan: segments tile the file, never overlap, and cover exactly what is missing, whatever the history."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hfdmd.transfer.plan import MIN_SEGMENT_BYTES, MIN_STEALABLE_BYTES, STEALABLE_SHARE, Lease, Plan, segment_bytes
from hfdmd.transfer.spans import Spans

MiB = 1 << 20
sizes = st.one_of(st.integers(0, 5 * MiB), st.integers(0, 200 * MiB), st.integers(1 << 30, 1 << 40))
span_lists = st.lists(st.tuples(st.integers(0, 200 * MiB), st.integers(0, 200 * MiB)), max_size=8)


class Histories(RuleBasedStateMachine):
    """Any order of taking, receiving, stealing, giving back and starting anew from what was received."""

    @initialize(size=sizes, have=span_lists, connections=st.integers(1, 64))
    def begin(self, size: int, have: list[tuple[int, int]], connections: int) -> None:
        self.size = size
        self.connections = connections
        self.received = Spans((start, min(end, size)) for start, end in have)
        self.plan = Plan(size, have)
        self.leases: list[Lease] = []
        self.asked = 0
        self.stolen = 0
        self.first_missing = size - self.received.total_bytes

    @rule(connections=st.integers(1, 64))
    def grow(self, connections: int) -> None:
        self.connections = connections

    @rule(least=st.integers(0, 20 * MiB))
    def take(self, least: int) -> None:
        lease = self.plan.lease(self.connections, least)
        if lease is None:
            assert not self.plan.todo
        else:
            assert lease.left_bytes > 0
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), share=st.floats(0, 1))
    def steal(self, data: st.DataObject, share: float) -> None:
        victim = data.draw(st.sampled_from(self.leases))
        before = victim.left_bytes
        stolen = self.plan.steal(victim, share)
        if stolen is not None:
            assert stolen.left_bytes > 0
            assert victim.left_bytes > 0
            assert victim.end == stolen.start
            assert victim.left_bytes + stolen.left_bytes == before
            self.stolen += stolen.left_bytes
            assert self.stolen <= max(MIN_STEALABLE_BYTES, self.size * STEALABLE_SHARE)
            self.leases.append(stolen)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), part=st.floats(0, 1))
    def receive(self, data: st.DataObject, part: float) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        count = min(lease.left_bytes, int(lease.left_bytes * part) + 1)
        before = self.received.total_bytes
        self.received.add(lease.at, lease.at + count)
        assert self.received.total_bytes == before + count, "a byte was asked for twice"
        lease.at += count
        self.asked += count

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        self.leases.remove(lease)
        self.plan.give_back(lease)

    @rule()
    def restart(self) -> None:
        """As after a kill: only the received (and checkpointed) bytes are known."""
        self.plan = Plan(self.size, list(self.received))
        self.stolen = 0
        self.leases = []

    @invariant()
    def tiles(self) -> None:
        pieces = sorted([*self.received, *self.plan.todo, *((lease.at, lease.end) for lease in self.leases)])
        at = 0
        for start, end in pieces:
            if start == end:
                continue
            assert start == at, "a gap or an overlap"
            at = end
        assert at == self.size
        assert self.plan.left_bytes == self.size - self.received.total_bytes
        assert self.plan.is_complete == (self.received.total_bytes == self.size)

    def teardown(self) -> None:
        if not hasattr(self, "plan"):
            return
        for lease in self.leases:
            self.plan.give_back(lease)
        while (last := self.plan.lease(self.connections)) is not None:
            self.asked += last.left_bytes
            last.at = last.end
            self.plan.give_back(last)
        assert self.plan.is_complete
        assert self.asked == self.first_missing


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_segments_shrink_towards_the_end() -> None:
    plan = Plan(512 * MiB)
    sizes: list[int] = []
    while (lease := plan.lease(16)) is not None:
        sizes.append(lease.left_bytes)
    assert sizes[0] == 8 * MiB
    assert max(sizes[-16:]) <= 2 * MIN_SEGMENT_BYTES
    assert sum(sizes) == 512 * MiB


def test_segment_sizes() -> None:
    assert segment_bytes(2 << 30, 2 << 30, 16) == 16 * MiB
    assert segment_bytes(512 * MiB, 512 * MiB, 16) == 8 * MiB
    assert segment_bytes(10 * MiB, 10 * MiB, 16) == MIN_SEGMENT_BYTES
    assert segment_bytes(512 * MiB, 64 * MiB, 16, min_bytes=4 * MiB) == 4 * MiB


def test_take_all_and_extend() -> None:
    plan = Plan(10 * MiB)
    lease = plan.lease(16)
    assert lease is not None
    assert plan.extend_to_all(lease)
    assert (lease.start, lease.end) == (0, 10 * MiB)
    assert plan.lease(16) is None
    lease.at = 3 * MiB
    plan.give_back(lease)
    other = Plan(10 * MiB)
    first, second = other.lease(16), other.lease(16)
    assert first is not None
    assert second is not None
    assert not other.extend_to_all(first)


def test_ends_move_to_whole_chunks_as_far_as_the_bytes_are_not_requested() -> None:
    plan = Plan(1000)
    plan.todo = Spans([(200, 1000)])
    first, second = plan._add_lease(200, 400), plan._add_lease(400, 600)
    assert plan.before(second) is first
    plan.align(first, 200, 430)  # its last chunk ends within the lease that follows, which has not begun
    assert (first.end, second.start, second.at) == (430, 430, 430)
    plan.align(second, 430, 650)  # and the last one takes from what is not leased
    assert (second.end, list(plan.todo)) == (650, [(650, 1000)])
    thief = plan.steal(first, 0.0)
    assert thief is None or thief.start >= first.end
    assert plan.left_bytes == 800


def test_a_lease_that_begins_within_a_chunk_takes_it_over_or_leaves_it() -> None:
    plan = Plan(1000)
    first, second = plan._add_lease(0, 400), plan._add_lease(400, 600)
    plan.begin_at(second, 450)
    assert (first.end, second.at) == (450, 450)
    plan.align(first, 0, 450)
    plan.begin_at(second, 500)
    assert (first.end, second.at) == (450, 450), "its ends are fixed"
    first.end = 300  # as after a steal
    plan.todo.remove(0, 1000)
    third = plan._add_lease(300, 450)
    plan.align(third, 250, 450)
    assert (first.end, third.at) == (250, 250)
    plan.give_back(first)
    assert list(plan.todo) == [(0, 250)]


def test_bytes_that_arrive_out_of_order_are_not_leased_again() -> None:
    plan = Plan(1000)
    lease = plan._add_lease(0, 1000)
    lease.ahead.add(300, 400)
    assert (lease.left_bytes, lease.gap_bytes) == (900, 300)
    assert not lease.advance(100)
    assert lease.advance(200)
    assert (lease.at, lease.left_bytes) == (400, 600)
    lease.ahead.add(500, 600)
    plan.give_back(lease)
    assert list(plan.todo) == [(400, 500), (600, 1000)]
