"""The Python client of hfdmd, the Hugging Face Download Manager daemon.

    from hfdmd_client import Client

    with Client() as hfdmd:
        print(hfdmd.download("owner/name", "config.json").path)

Names are loaded when first used (PEP 562), so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hfdmd.wire.errors import (
        ApiError,
        FileNotFound,
        ForbiddenHost,
        ForbiddenOrigin,
        ForbiddenPath,
        Gated,
        HubRefused,
        HubUnauthorized,
        HubUnavailable,
        Internal,
        InvalidField,
        Loading,
        Malformed,
        MethodNotAllowed,
        NotAllowedNow,
        NotFound,
        QueueFull,
        RepoNotFound,
        RevisionNotFound,
        Tls,
        TooLarge,
        Unauthorized,
        UnknownDownload,
        UnsupportedMediaType,
    )
    from hfdmd.wire.types import (
        Affected,
        Download,
        Downloads,
        End,
        Health,
        Info,
        Phase,
        Reason,
        Removed,
        RepoDownload,
        RepoFile,
        RepoFiles,
        RepoType,
        ScheduleRule,
        Settings,
        SettingsPatch,
        Status,
    )
    from hfdmd_client.async_client import AsyncClient
    from hfdmd_client.client import Client
    from hfdmd_client.errors import (
        ClientError,
        DaemonMismatch,
        DaemonNotStarted,
        DaemonSilent,
        DaemonUnreachable,
        DownloadFailed,
        ProtocolError,
        UnsupportedByDaemon,
        VersionMismatch,
        WaitTimeout,
    )
    from hfdmd_client.event_state import Event, Ready
    from hfdmd_client.hf_api import hf_hub_download, snapshot_download
    from hfdmd_client.reference import Reference

_ERRORS = (
    "ApiError FileNotFound ForbiddenHost ForbiddenOrigin ForbiddenPath Gated HubRefused HubUnauthorized HubUnavailable"
    " Internal InvalidField Loading Malformed MethodNotAllowed NotAllowedNow NotFound QueueFull RepoNotFound"
    " RevisionNotFound Tls TooLarge Unauthorized UnknownDownload UnsupportedMediaType"
)
_TYPES = (
    "Affected Download Downloads End Health Info Phase Reason Removed RepoDownload RepoFile RepoFiles RepoType"
    " ScheduleRule Settings SettingsPatch Status"
)
_OWN_ERRORS = (
    "ClientError DaemonMismatch DaemonNotStarted DaemonSilent DaemonUnreachable DownloadFailed ProtocolError"
    " UnsupportedByDaemon VersionMismatch WaitTimeout"
)
_HOMES = {
    "hfdmd.wire.errors": _ERRORS,
    "hfdmd.wire.types": _TYPES,
    "hfdmd_client.async_client": "AsyncClient",
    "hfdmd_client.client": "Client",
    "hfdmd_client.errors": _OWN_ERRORS,
    "hfdmd_client.reference": "Reference",
    "hfdmd_client.hf_api": "hf_hub_download snapshot_download",
    "hfdmd_client.event_state": "Event Ready",
    "hfdmd": "__version__",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Affected",
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "DaemonMismatch",
    "DaemonNotStarted",
    "DaemonSilent",
    "DaemonUnreachable",
    "Download",
    "DownloadFailed",
    "Downloads",
    "End",
    "Event",
    "FileNotFound",
    "ForbiddenHost",
    "ForbiddenOrigin",
    "ForbiddenPath",
    "Gated",
    "Health",
    "HubRefused",
    "HubUnauthorized",
    "HubUnavailable",
    "Info",
    "Internal",
    "InvalidField",
    "Loading",
    "Malformed",
    "MethodNotAllowed",
    "NotAllowedNow",
    "NotFound",
    "Phase",
    "ProtocolError",
    "QueueFull",
    "Ready",
    "Reason",
    "Reference",
    "Removed",
    "RepoDownload",
    "RepoFile",
    "RepoFiles",
    "RepoNotFound",
    "RepoType",
    "RevisionNotFound",
    "ScheduleRule",
    "Settings",
    "SettingsPatch",
    "Status",
    "Tls",
    "TooLarge",
    "Unauthorized",
    "UnknownDownload",
    "UnsupportedByDaemon",
    "UnsupportedMediaType",
    "VersionMismatch",
    "WaitTimeout",
    "hf_hub_download",
    "snapshot_download",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
