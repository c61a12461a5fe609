"""The limit of open files, sockets and locks of this process, and shares of it."""

from __future__ import annotations

import logging
import resource

_ENOUGH = 65_536

log = logging.getLogger("hfdmd")


def raise_limit() -> None:
    """Raise the soft limit as far as the system allows: shells set 1,024 or 256, too few for the daemon."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    for limit in (wanted, 10_240):  # macOS refuses more than the latter, whatever its hard limit says
        if limit <= soft:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return
        except (OSError, ValueError) as error:
            log.debug("cannot raise the limit of open files to %d: %s", limit, error)


def share(part: int) -> int:
    """A share of the limit: `share(2)` is half."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // part
