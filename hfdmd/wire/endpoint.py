"""Addresses of the daemon: folders, socket paths, and the order in which clients try them (docs/api.md, section 6)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hfdmd.wire import environment
from hfdmd.wire.types import MALFORMED, Endpoint

MAX_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107  # sun_path without the final NUL
SYSTEM_SOCKET = Path("/var/run/hfdmd.sock" if sys.platform == "darwin" else "/run/hfdmd.sock")
ENDPOINT_FILE = "endpoint.json"


@dataclass(frozen=True, slots=True)
class DaemonAddress:
    """One address where a daemon may listen: a socket, or a URL with its token. `why` says where it was found."""

    why: str
    socket: Path | None = None
    url: str | None = None
    token: str | None = None


def default_socket(env: Mapping[str, str] = os.environ) -> Path:
    """The socket of a daemon that is started in this environment. Raises `EnvironmentProblem`."""
    if configured := env.get("HFDMD_SOCKET"):
        return environment.path(env, configured, "HFDMD_SOCKET")
    if (runtime := env.get("XDG_RUNTIME_DIR")) and unusable_runtime_dir(env) is None:
        return Path(runtime) / "hfdmd.sock"
    return environment.state_dir(env) / "hfdmd.sock"


def unusable_runtime_dir(env: Mapping[str, str] = os.environ) -> str | None:
    """Why the default socket is not in `$XDG_RUNTIME_DIR`, as after `su` or `sudo -E`; None if it is, or is not needed.

    The specification of that variable wants another folder then, and a warning
    (https://specifications.freedesktop.org/basedir-spec/).
    """
    runtime = env.get("XDG_RUNTIME_DIR")
    if not runtime or env.get("HFDMD_SOCKET"):
        return None
    folder = Path(runtime)
    existing = next(place for place in (folder, *folder.absolute().parents) if os.path.exists(place))
    owner = os.stat(existing).st_uid
    if existing == folder and owner != os.geteuid():
        return f"XDG_RUNTIME_DIR={runtime} belongs to the user with uid {owner}, not to {os.geteuid()}"
    if not os.access(existing, os.W_OK | os.X_OK):
        missing = "" if existing == folder else "is missing, and "
        return f"XDG_RUNTIME_DIR={runtime} {missing}cannot be written"
    return None


def read_endpoint(folder: Path) -> Endpoint | None:
    """The `endpoint.json` of this state folder; None if there is no readable one."""
    try:
        return msgspec.json.decode((folder / ENDPOINT_FILE).read_bytes(), type=Endpoint)
    except (OSError, *MALFORMED):
        return None


def daemon_addresses(env: Mapping[str, str] = os.environ) -> Iterator[DaemonAddress]:
    """The addresses that a client tries, in order. With `HFDMD_URL` set it is the only one.

    A user without a home folder has no state folder to look in.
    """
    if url := env.get("HFDMD_URL", "").strip():
        yield DaemonAddress("HFDMD_URL", url=url, token=env.get("HFDMD_TOKEN"))
        return
    if configured := env.get("HFDMD_SOCKET"):
        yield DaemonAddress("HFDMD_SOCKET", socket=environment.path(env, configured, "HFDMD_SOCKET"))
        return
    if runtime := env.get("XDG_RUNTIME_DIR"):
        yield DaemonAddress("$XDG_RUNTIME_DIR", socket=Path(runtime) / "hfdmd.sock")
    with contextlib.suppress(environment.EnvironmentProblem):
        folder = environment.state_dir(env)
        known = read_endpoint(folder)
        if known is not None and known.socket:
            yield DaemonAddress(str(folder / ENDPOINT_FILE), socket=Path(known.socket))
        yield DaemonAddress("the state folder", socket=folder / "hfdmd.sock")
    yield DaemonAddress("the system service", socket=SYSTEM_SOCKET)
