"""Where a file's bytes are: returned by the hub package, fetched by the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """The current URL of a file. `headers` (the Hub token) are sent to the URL's own origin only.

    The repr shows neither the URL, which may be signed, nor the headers.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
