"""hfdmd as a service of systemd or launchd: the work of `hfdm service …`, without its command line."""

from __future__ import annotations

from hfdmd_client.service.actions import installed_scope, logs_command, restart, start, status, stop
from hfdmd_client.service.command import ServiceError
from hfdmd_client.service.installer import Options, install, uninstall
from hfdmd_client.service.layout import Scope

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
