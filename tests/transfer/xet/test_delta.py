"""Content that is here already is copied; whatever the base turns out to be, the file is right."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfdmd.failure import Failure
from hfdmd.net.origin import Target
from hfdmd.transfer.job import Base, Job, XetFile
from hfdmd.transfer.spans import Spans
from hfdmd.transfer.xet.cas_client import Term
from hfdmd.transfer.xet.recipes import Lengths, Recipe, RecipeStore
from hfdmd.wire.types import Reason
from tests.transfer.scripted_server import an_engine
from tests.transfer.xet.terms import Store, TermSpec
from tests.transfer.xet.test_xet_transport import SIZES, a_store, job_of

OLD: list[TermSpec] = [(0, 0, 24), (1, 0, 24)]
NEW: list[TermSpec] = [(2, 0, 3), (0, 4, 20), (2, 3, 5), (1, 0, 24)]
FRESH: list[TermSpec] = [(2, 0, 5)]


def base_of(folder: Path, store: Store, name: str) -> Base:
    path = folder / f"base-{name[:8]}"
    path.write_bytes(store.content(name))
    return Base(path, path.stat().st_size, name, store.access)


def with_bases(job: Job, store: Store, name: str, *bases: Base) -> Job:
    async def of_repo() -> list[Base]:
        return list(bases)

    job.xet = XetFile(name, store.access, of_repo)
    return job


def packed_bytes(store: Store, terms: list[TermSpec]) -> int:
    return sum(
        len(store.xorbs[number].packed[index])
        for number, index in {(n, index) for n, first, last in terms for index in range(first, last)}
    )


@pytest.mark.parametrize("transport", ["auto", "xet"])
@pytest.mark.parametrize("has_recipe", [True, False])
async def test_only_the_difference_is_fetched(tmp_path: Path, has_recipe: bool, transport: str) -> None:
    store = a_store(repeat=3)
    old, new = store.add(OLD), store.add(NEW)
    recipes = RecipeStore(tmp_path / "recipes")
    async with store.running(), an_engine(transport=transport, recipes=recipes) as engine:  # type: ignore[arg-type]
        if has_recipe:
            (tmp_path / "first").mkdir()
            async with an_engine(transport="xet", recipes=recipes) as other:
                await other.fetch(job_of(tmp_path / "first", store, old))
        store.sent.clear()
        store.queries.clear()
        job = with_bases(job_of(tmp_path, store, new), store, new, base_of(tmp_path, store, old))
        await engine.fetch(job)
    assert job.part.read_bytes() == store.content(new)
    assert sum(count for _, count in store.sent) == packed_bytes(store, FRESH)
    assert job.meter.reused_bytes == len(store.content(new)) - len(store.content(store.add(FRESH)))
    assert job.meter.notice is not None
    assert job.meter.notice.endswith("were here already")
    about_base = [query for query in store.queries if query[0] == old]
    assert len(about_base) <= (0 if has_recipe else 8), about_base


def rotten(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :: 1000] = bytes(len(data[len(data) // 2 :: 1000]))
    path.write_bytes(data)


def vanished(path: Path) -> None:
    path.unlink()


def shorter(path: Path) -> None:
    os.truncate(path, 1000)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [rotten, vanished, shorter, a_folder])
async def test_a_base_that_is_not_what_it_was_costs_a_fetch(tmp_path: Path, harm: object) -> None:
    store = a_store(repeat=3)
    old, new = store.add(OLD), store.add(NEW)
    base = base_of(tmp_path, store, old)
    harm(base.path)  # type: ignore[operator]
    async with store.running(), an_engine(recipes=RecipeStore(tmp_path / "recipes")) as engine:
        job = with_bases(job_of(tmp_path, store, new), store, new, base)
        if harm is not rotten:
            job.locate = _no_http
        await engine.fetch(job)
    assert job.part.read_bytes() == store.content(new)
    assert job.meter.reused_bytes == 0
    assert sum(count for _, count in store.sent) <= packed_bytes(store, NEW) + 200_000


async def _no_http() -> Target:
    raise Failure(Reason.HUB_UNAVAILABLE, "no HTTP here")


async def test_any_file_that_shares_a_xorb_is_a_base_but_only_for_those_who_may_read_it(tmp_path: Path) -> None:
    store = a_store(repeat=3)
    old, new = store.add(OLD), store.add(NEW)
    recipes = RecipeStore(tmp_path / "recipes")
    allowed = True

    async def access(refused: Target | None) -> Target:
        if allowed:
            return await store.access(refused)
        raise Failure(Reason.GATED, "the other repo is gated")

    path = base_of(tmp_path, store, old).path
    other = Base(path, path.stat().st_size, old, access, is_of_same_repo=False)

    async def none() -> list[Base]:
        return []

    async with store.running(), an_engine(transport="xet", recipes=recipes) as engine:
        (tmp_path / "first").mkdir()
        await engine.fetch(job_of(tmp_path / "first", store, old))
        for allowed in (True, False):
            store.sent.clear()
            job = job_of(tmp_path, store, new)
            job.xet = XetFile(new, store.access, none, lambda name: other if name == old else None)
            await engine.fetch(job)
            assert job.part.read_bytes() == store.content(new)
            job.part.unlink()
            assert sum(count for _, count in store.sent) == packed_bytes(store, FRESH if allowed else NEW)


async def test_connections_of_a_question_about_reuse_are_closed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfdmd.transfer.http.pool.IDLE_S", 0.2)
    monkeypatch.setattr("hfdmd.transfer.engine.HOUSEKEEPING_S", 0.01)
    store = a_store(repeat=3)
    old, new = store.add(OLD), store.add(NEW)
    async with store.running(), an_engine(recipes=RecipeStore(tmp_path / "recipes")) as engine:
        xet = with_bases(job_of(tmp_path, store, new), store, new, base_of(tmp_path, store, old)).xet
        assert xet is not None
        assert await engine.reusable_bytes(xet, len(store.content(new)))
        assert engine._http.pool.has_idle
        assert engine._housekeeper is not None
        async with asyncio.timeout(5):
            await engine._housekeeper
        assert not engine._http.pool.has_idle


async def test_a_chunk_that_both_have_many_times_is_found_in_no_time(tmp_path: Path) -> None:
    """As in runs of zeros. All pairs would be 16 million."""
    count, size = 4_000, 65_536
    terms = [Term("ab" * 32, 0, 1, number * size, size) for number in range(count)]
    store = a_store(repeat=1)
    recipes = RecipeStore(tmp_path / "recipes")
    recipe = Recipe()
    recipe.add(terms)
    recipes.put("cd" * 32, recipe)
    async with an_engine(recipes=recipes) as engine:
        assert engine._delta is not None
        base = Base(tmp_path / "base", count * size, "cd" * 32, store.access)
        async with asyncio.timeout(5):
            found = await engine._delta._matches(XetFile("ef" * 32, store.access), terms, base, Lengths(), count * size)
    assert sorted(copy.start for copy in found) == [term.start for term in terms]


async def test_a_store_that_does_not_answer_delays_nothing_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfdmd.transfer.xet.delta.ASK_S", 0.2)
    store = a_store(repeat=3)
    old, new = store.add(OLD), store.add(NEW)

    async def no_bases() -> list[Base]:
        await asyncio.sleep(60)
        return []

    async def hangs(refused: Target | None) -> Target:
        await asyncio.sleep(60)
        return await store.access(refused)

    async with store.running(), an_engine(transport="xet", recipes=RecipeStore(tmp_path / "r")) as engine:
        job = with_bases(job_of(tmp_path, store, new), store, new, base_of(tmp_path, store, old))
        assert job.xet is not None
        assert engine._delta is not None
        for access, bases in ((hangs, job.xet.bases), (store.access, no_bases)):
            xet = XetFile(new, access, bases)
            assert not await engine._delta.reuse(job, xet, None, Spans(), Recipe())  # type: ignore[arg-type]  # not used


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), has_recipe=st.booleans())
async def test_delta_against_any_base_equals_the_whole(data: st.DataObject, has_recipe: bool) -> None:
    count = 2 * len(SIZES)

    def term(numbers: tuple[int, int, int]) -> TermSpec:
        number, one, other = numbers
        first, last = sorted((one, other))
        return number, first, max(last, first + 1)

    terms = st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, count - 1), st.integers(1, count)).map(term), min_size=1, max_size=6
    )
    store = a_store(repeat=2)
    old, new = store.add(data.draw(terms)), store.add([(2, 0, 16), *data.draw(terms)])
    folder = Path(tempfile.mkdtemp())
    try:
        recipes = RecipeStore(folder / "recipes")
        async with store.running(), an_engine(transport="xet", recipes=recipes) as engine:
            if has_recipe:
                (folder / "first").mkdir()
                await engine.fetch(job_of(folder / "first", store, old))
            job = with_bases(job_of(folder, store, new), store, new, base_of(folder, store, old))
            await engine.fetch(job)
        assert job.part.read_bytes() == store.content(new)
    finally:
        shutil.rmtree(folder)
