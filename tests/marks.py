"""Marks that tests of several packages use."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow(*values: Any) -> Any:
    """A set of parameters that the README's test command leaves out: it shows the same as another one."""
    return pytest.param(*values, marks=pytest.mark.slow)


def some(names: Iterable[str], *, quick: Collection[str]) -> list[Any]:
    """The names of a table as parameters; all but those in `quick` are slow. Each of `quick` must be in the table."""
    listed = list(names)
    unknown = set(quick) - set(listed)
    if unknown:
        raise ValueError(f"not in the table: {unknown}")
    return [name if name in quick else slow(name) for name in listed]
