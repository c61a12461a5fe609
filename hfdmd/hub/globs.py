"""Which files of a repo a request's globs name, with exactly the meaning of the Hub's own client.

Source: `huggingface_hub.utils.filter_repo_objects`: case-sensitive `fnmatch` over the whole path (`*` crosses `/`),
a pattern that ends in `/` means everything below that folder, a backslash counts as `/`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from functools import lru_cache


def matches(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether `path` is asked for: named by some `include` (or there is none), and by no `exclude`."""
    path = path.replace("\\", "/")
    wanted = _any_of(tuple(include))
    if wanted is not None and wanted.match(path) is None:
        return False
    unwanted = _any_of(tuple(exclude))
    return unwanted is None or unwanted.match(path) is None


@lru_cache(maxsize=64)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    """One expression for all patterns, so that 100,000 paths cost one match each."""
    if not patterns:
        return None
    return re.compile("|".join(f"(?:{fnmatch.translate(_whole(pattern))})" for pattern in patterns))


def _whole(pattern: str) -> str:
    pattern = pattern.replace("\\", "/")
    return pattern + "*" if pattern.endswith("/") else pattern
