"""How many files, sockets and locks this process may have open, and whose share is how large."""

from __future__ import annotations

import logging
import resource

_ENOUGH = 65_536

log = logging.getLogger("hfdmd")


def raise_limit() -> None:
    """As many as the system lets us have: shells allow 1,024 or 256, the daemon's hundreds of locks not counted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    for limit in (wanted, 10_240):  # macOS gives no more than the latter, whatever it says
        if limit <= soft:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return
        except (OSError, ValueError) as error:
            log.debug("%d open files are not to be had: %s", limit, error)


def share(part: int) -> int:
    """A part of them: `share(2)` is half."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // part
