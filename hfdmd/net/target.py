"""Where a file's bytes are right now: what the hub tells and the engine fetches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """Where a file's bytes are now. `headers` (the Hub token) are sent to the URL's own origin only.

    Neither the URL (it may be signed) nor the headers show in its repr.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
