"""Checks that daemon and client have the same API version. Pure."""

from __future__ import annotations

from hfdmd import __version__
from hfdmd.wire.types import API_VERSION, Info
from hfdmd_client.errors import VersionMismatch


def check(info: Info) -> None:
    """Raises `VersionMismatch`, with advice, when the daemon has another API version."""
    if info.api_version == API_VERSION:
        return
    daemon = f"The daemon (hfdmd {info.version}, pid {info.pid}) has API version {info.api_version}"
    client = f"this client (hfdmd {__version__}) has version {API_VERSION}"
    if _number(info.api_version) > _number(API_VERSION):
        raise VersionMismatch(f"{daemon}, {client}. Install hfdmd {info.version} for the client too.")
    raise VersionMismatch(f"{daemon}, {client}. Start the newer daemon with `hfdm restart`.")


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdecimal() else 0
