"""Do daemon and client speak the same language, and do they mean the same cache and Hub? Pure."""

from __future__ import annotations

from hfdmd import __version__
from hfdmd.wire.types import API_VERSION, Info
from hfdmd_client.errors import VersionMismatch


def check(info: Info) -> None:
    """Raises `VersionMismatch`, with what to do, when the daemon speaks another version of the API."""
    if info.api_version == API_VERSION:
        return
    daemon = f"The daemon (hfdmd {info.version}, pid {info.pid}) speaks version {info.api_version} of the API"
    client = f"this client (hfdmd {__version__}) version {API_VERSION}"
    if _number(info.api_version) > _number(API_VERSION):
        raise VersionMismatch(f"{daemon}, {client}. Upgrade the client: pip install --upgrade hfdmd")
    raise VersionMismatch(f"{daemon}, {client}. Start the newer daemon with `hfdm restart`.")


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdecimal() else 0
