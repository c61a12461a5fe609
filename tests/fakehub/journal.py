"""The test Hub's request log, with the bytes that were really sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ServerName = Literal["hub", "cdn", "cas", "xorbs"]


@dataclass(slots=True, eq=False)
class Request:
    """One request. `status` is 0 and `done` False while it has not been answered; `sent_bytes` counts body bytes.

    When a connection breaks, `sent_bytes` leaves out what the client's machine never acknowledged (Linux only).
    """

    server: ServerName
    method: str
    path: str
    """The URL's path and query, not decoded."""
    time_s: float
    """Seconds on the monotonic clock."""
    connection: int
    """The connection's number: equal for requests on one kept-alive connection."""
    range: str | None
    authorization: bool
    headers: dict[str, str] = field(default_factory=dict)
    """All headers by lower-case name, except Authorization and cookies."""
    repo: str | None = None
    file: str | None = None
    """The requested file's path in the repo."""
    status: int = 0
    sent_bytes: int = 0
    done: bool = False
    """The whole answer was handed to the connection, as planned."""
    open: bool = True
    """The response is still being sent; afterwards `sent_bytes` no longer changes."""
    fault: str | None = None
    """The scripted fault that was applied."""
