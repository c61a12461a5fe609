"""Recipes stay small, whatever a file looks like."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfdmd.transfer.xet.cas_client import Term
from hfdmd.transfer.xet.recipes import MAX_LENGTHS_BYTES, Lengths, Recipe, RecipeStore
from hfdmd.transfer.xet.xet_format import MAX_CHUNKS

XORB, OTHER = "ab" * 32, "cd" * 32


def a_recipe(terms: int, chunks: int = MAX_CHUNKS) -> Recipe:
    """Terms that all name the same chunks of one byte each."""
    recipe = Recipe()
    for index in range(chunks):
        recipe.lengths.add(XORB, index, 1)
    recipe.add(Term(XORB, 0, chunks, number * chunks, chunks) for number in range(terms))
    return recipe


def test_lengths_of_chunks_that_a_file_repeats_are_kept_within_the_limit() -> None:
    recipe = a_recipe(2_000)
    data = recipe.encode()
    assert len(data) < MAX_LENGTHS_BYTES + 2_000 * 100
    again = Recipe.decode(data)
    assert again.terms == recipe.terms
    assert again.lengths.sum(XORB, 0, MAX_CHUNKS) == MAX_CHUNKS


def test_a_recipe_that_would_take_the_place_of_all_others_is_not_kept(tmp_path: Path) -> None:
    store = RecipeStore(tmp_path / "recipes", max_bytes=10_000)
    store.put("cd" * 32, a_recipe(1, 8))
    store.put("ef" * 32, a_recipe(1_000, 8))
    assert store.get("cd" * 32) is not None
    assert store.get("ef" * 32) is None


def test_the_oldest_are_deleted_and_not_found_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_bytes = len(a_recipe(1, 8).encode())
    store = RecipeStore(tmp_path / "recipes", max_bytes=20 * one_bytes)
    assert store.sharing([XORB]) == []
    scans: list[None] = []
    real = store._paths

    def counted() -> Iterator[Path]:
        scans.append(None)
        return real()

    monkeypatch.setattr(store, "_paths", counted)
    names = [f"{number:064x}" for number in range(20)]
    for age, name in enumerate(names):
        store.put(name, a_recipe(1, 8))
        os.utime(tmp_path / "recipes" / name, (age, age))
    assert len(scans) == 1, "not with every one"
    store.put("f" * 64, a_recipe(1, 8))
    left = store.sharing([XORB])
    assert left == sorted(path.name for path in (tmp_path / "recipes").iterdir())
    assert left == [*names[3:], "f" * 64]


def test_merged_lengths_are_those_of_both_and_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, others = Lengths(), Lengths()
    mine.add(XORB, 0, 10)
    others.add(XORB, 1, 20)
    others.add(OTHER, 0, 30)
    mine.merge(others)
    assert mine.sum(XORB, 0, 2) == 30
    assert mine.sum(OTHER, 0, 1) == 30
    others.add(OTHER, 0, 40)
    assert mine.sum(OTHER, 0, 1) == 30, "not shared"
    monkeypatch.setattr("hfdmd.transfer.xet.recipes.MAX_LENGTHS_BYTES", 9)
    others.add("ef" * 32, 0, 50)
    mine.merge(others)
    assert mine.sum("ef" * 32, 0, 1) is None
