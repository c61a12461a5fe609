"""Finds the quantisation that a tag such as `Q4_K_M` names among those that the daemon found in a repo."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hfdmd.wire.errors import FileNotFound
from hfdmd.wire.repo_content import Quantisation
from hfdmd_client.reference import LATEST

_SPECIAL = re.compile(r"([*?\[])")


def chosen(quantisations: Sequence[Quantisation], tag: str) -> Quantisation:
    """The one whose name is `tag`, in upper or lower case; the recommended one for `latest`. Raises `FileNotFound`."""
    for one in quantisations:
        if one.name.lower() == tag.lower() or (tag.lower() == LATEST and one.recommended):
            return one
    if not quantisations:
        raise FileNotFound(f"the repo has no GGUF files, so no quantisation {tag}")
    names = ", ".join(one.name for one in quantisations)
    raise FileNotFound(f"the repo has no quantisation {tag}; it has {names}")


def globs(quantisation: Quantisation) -> list[str]:
    """Globs that match exactly the files of the quantisation."""
    return [_SPECIAL.sub(r"[\1]", path) for path in quantisation.files]
