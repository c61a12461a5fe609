"""hfdmd as a service of systemd or launchd: what `hfdm service …` does, independent of the command line's library."""

from __future__ import annotations

from hfdmd_client.service.actions import installed_scope, logs_command, restart, start, status, stop
from hfdmd_client.service.errors import ServiceError
from hfdmd_client.service.installing import Options, install
from hfdmd_client.service.layout import Scope
from hfdmd_client.service.removing import uninstall

__all__ = [
    "Options",
    "Scope",
    "ServiceError",
    "install",
    "installed_scope",
    "logs_command",
    "restart",
    "start",
    "status",
    "stop",
    "uninstall",
]
