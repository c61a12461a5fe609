"""hfdmd as a service of systemd or launchd: what `hfdm service …` does, independent of the command line's library."""

from __future__ import annotations

from hfdmd_client.service.actions import (
    Options,
    install,
    installed_scope,
    logs_command,
    start,
    status,
    stop,
    uninstall,
)
from hfdmd_client.service.errors import ServiceError
from hfdmd_client.service.layout import Scope

__all__ = [
    "Options",
    "Scope",
    "ServiceError",
    "install",
    "installed_scope",
    "logs_command",
    "start",
    "status",
    "stop",
    "uninstall",
]
