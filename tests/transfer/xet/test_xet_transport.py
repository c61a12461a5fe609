"""Whole transfers over Xet, from a store that serves any list of terms."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfdmd.failure import Failure
from hfdmd.record import Span
from hfdmd.transfer.engine import Engine
from hfdmd.transfer.job import Job, XetFile
from hfdmd.transfer.spans import Spans
from hfdmd.wire.types import Reason
from tests.transfer.scripted_server import a_job, an_engine
from tests.transfer.xet.terms import Store, TermSpec, Xorb, a_xorb

SIZES = [9_000, 131_072, 70_001, 8_192, 65_536, 1, 40_003, 120_000]


def a_store(xorbs: int = 3, repeat: int = 4) -> Store:
    return Store([a_xorb(seed, SIZES * repeat) for seed in range(xorbs)])


def job_of(folder: Path, store: Store, name: str, synced: list[Span] | None = None) -> Job:
    async def locate() -> None:
        raise Failure(Reason.HUB_UNAVAILABLE, "no HTTP here")

    content = store.content(name)
    job = a_job(folder, content, locate)  # type: ignore[arg-type]  # never returns
    job.xet = XetFile(name, store.access)
    if synced:
        job.synced = synced
        data = bytearray(len(content))
        for start, end in synced:
            data[start:end] = content[start:end]
        job.part.write_bytes(data)
    return job


async def fetch(engine: Engine, job: Job, store: Store, name: str) -> None:
    fetched = await engine.fetch(job)
    assert fetched.size_bytes == len(store.content(name))
    assert hashlib.sha256(job.part.read_bytes()).hexdigest() == hashlib.sha256(store.content(name)).hexdigest()
    assert job.meter.transport == "xet"
    assert job.meter.downloaded_bytes == fetched.size_bytes
    assert job.meter.received_bytes == sum(count for _, count in store.sent)


@pytest.mark.parametrize("version", [1, 2])
async def test_a_file_of_several_xorbs(tmp_path: Path, version: int) -> None:
    store = a_store()
    store.version = version
    name = store.add([(0, 0, 32), (1, 0, 32), (2, 0, 32)])
    async with store.running(), an_engine(transport="xet") as engine:
        await fetch(engine, job_of(tmp_path, store, name), store, name)
    assert sum(count for _, count in store.sent) == store.packed_bytes(name)


async def test_terms_in_any_order_and_chunks_in_several_places_are_received_once(tmp_path: Path) -> None:
    store = a_store(repeat=1)
    name = store.add([(0, 3, 6), (1, 0, 8), (0, 0, 3), (0, 4, 6), (0, 4, 5), (0, 4, 5), (1, 7, 8)])
    async with store.running(), an_engine(transport="xet") as engine:
        await fetch(engine, job_of(tmp_path, store, name), store, name)
    assert sum(count for _, count in store.sent) == store.packed_bytes(name)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), merges=st.booleans())
async def test_any_terms_and_any_present_spans_make_the_file(data: st.DataObject, merges: bool, tmp_path: Path) -> None:
    count = len(SIZES)

    def term(numbers: tuple[int, int, int]) -> TermSpec:
        number, one, other = numbers
        first, last = sorted((one, other))
        return number, first, max(last, first + 1)

    terms = st.tuples(st.integers(0, 2), st.integers(0, count - 1), st.integers(1, count)).map(term)
    store = a_store(repeat=1)
    store.merges = merges
    name = store.add(data.draw(st.lists(terms, min_size=1, max_size=12)))
    size = len(store.content(name))
    ends = st.integers(0, size)
    present = Spans(tuple(sorted(pair)) for pair in data.draw(st.lists(st.tuples(ends, ends), max_size=4)))  # type: ignore[misc]
    async with store.running(), an_engine(transport="xet") as engine:
        job = job_of(tmp_path, store, name, list(present))
        fetched = await engine.fetch(job)
    assert job.part.read_bytes() == store.content(name)
    assert fetched.digest == job.digest
    job.part.unlink()
    asked = Spans(span for _, span in store.queries)
    for start, end in present:  # nothing is asked for that is here
        asked.remove(start, end)
    assert sum(end - start for _, (start, end) in store.queries) - asked.total_bytes <= 2 * 131_072 * len(store.queries)


async def test_a_chunk_in_very_many_places_is_in_memory_once(tmp_path: Path) -> None:
    store = a_store(xorbs=1, repeat=1)
    largest = SIZES.index(131_072)
    name = store.add([(0, largest, largest + 1)] * 120)
    async with store.running(), an_engine(transport="xet") as engine:
        job = job_of(tmp_path, store, name)
        tracemalloc.start()
        try:
            await engine.fetch(job)
            _, most_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert job.part.read_bytes() == store.content(name)
    assert most_bytes < 4_000_000


@pytest.mark.slow
async def test_tiny_chunks_that_a_file_repeats_do_not_fill_the_memory(tmp_path: Path) -> None:
    count = 600
    store = Store([Xorb([bytes([index % 256]) for index in range(count)], [0] * count)])
    name = store.add([(0, 0, count)] * 100)
    async with store.running(), an_engine(transport="xet") as engine:
        job = job_of(tmp_path, store, name)
        tracemalloc.start()
        try:
            await engine.fetch(job)
            _, most_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert job.part.read_bytes() == store.content(name)
    assert most_bytes < 8_000_000


async def test_a_small_file_in_memory(tmp_path: Path) -> None:
    store = a_store(repeat=1)
    name = store.add([(0, 3, 4), (1, 4, 6), (0, 3, 4)])
    async with store.running(), an_engine(transport="xet") as engine:
        job = job_of(tmp_path, store, name)
        assert await engine.fetch_small(job) == store.content(name)
    assert job.meter.transport == "xet"
