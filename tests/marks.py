"""Marks that tests of several packages use."""

from __future__ import annotations

from typing import Any

import pytest


def slow(*values: Any) -> Any:
    """A set of parameters that the README's test command leaves out: it shows the same as another one."""
    return pytest.param(*values, marks=pytest.mark.slow)
