"""Matches paths against the globs of a request, exactly as the Hub's own client does.

Source: `huggingface_hub.utils.filter_repo_objects`: case-sensitive `fnmatch` over the whole path (`*` crosses `/`),
a pattern that ends in `/` matches everything below that folder, a backslash is read as `/`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from functools import lru_cache


def matches(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether `path` matches any of `include` (or that is empty), and none of `exclude`."""
    path = path.replace("\\", "/")
    wanted = _any_of(tuple(include))
    if wanted is not None and wanted.match(path) is None:
        return False
    unwanted = _any_of(tuple(exclude))
    return unwanted is None or unwanted.match(path) is None


@lru_cache(maxsize=64)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    """One regular expression for all patterns, so that each of 100,000 paths takes one match. None for none."""
    if not patterns:
        return None
    return re.compile("|".join(f"(?:{fnmatch.translate(_whole(pattern))})" for pattern in patterns))


def _whole(pattern: str) -> str:
    pattern = pattern.replace("\\", "/")
    return pattern + "*" if pattern.endswith("/") else pattern
