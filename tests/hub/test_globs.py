"""Globs mean what `huggingface_hub` makes of them."""

from __future__ import annotations

import random

import pytest
from huggingface_hub.utils import filter_repo_objects

from hfdmd.hub.listing import matches

PATHS = [
    "a.json",
    "A.JSON",
    "data/x.csv",
    "data/sub/y.csv",
    "data",
    "datax/z",
    "w[1].bin",
    "w1.bin",
    ".git",
    "a\\b.txt",
]
PATTERNS = [
    "*.json",
    "*.JSON",
    "data/",
    "data/*",
    "*",
    "w[1].bin",
    "w[[]1].bin",
    "?.json",
    "a\\*",
    "a/*",
    "*/y.csv",
    "",
]


@pytest.mark.parametrize("include", [(), *((p,) for p in PATTERNS), ("*.json", "data/")])
@pytest.mark.parametrize("exclude", [(), *((p,) for p in PATTERNS), ("*.csv", "w*")])
def test_same_as_the_client(include: tuple[str, ...], exclude: tuple[str, ...]) -> None:
    expected = list(
        filter_repo_objects(PATHS, allow_patterns=list(include) or None, ignore_patterns=list(exclude) or None)
    )
    assert [path for path in PATHS if matches(path, include, exclude)] == expected


def test_same_as_the_client_for_anything() -> None:
    chance = random.Random(4)

    def text() -> str:
        return "".join(chance.choices("ab/*?[]!.-\\", k=chance.randint(0, 8)))

    for _ in range(5000):
        path, include, exclude = text(), [text() for _ in range(chance.randint(0, 3))], [text()][: chance.randint(0, 1)]
        expected = list(filter_repo_objects([path], allow_patterns=include or None, ignore_patterns=exclude or None))
        assert matches(path, include, exclude) == bool(expected), (path, include, exclude)
