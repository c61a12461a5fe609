"""The addresses at which a daemon may listen, and the error when none answers."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from hfdmd.wire.endpoint import MAX_SOCKET_PATH_BYTES, SYSTEM_SOCKET, DaemonAddress, daemon_addresses
from hfdmd_client.errors import DaemonSilent, DaemonUnreachable

CONNECT_TIMEOUT_S = 5.0


def candidates(
    socket: str | os.PathLike[str] | None, url: str | None, token: str | None, env: Mapping[str, str]
) -> list[DaemonAddress]:
    """The addresses to try, in this order, without duplicates; only the given one if `socket` or `url` is given."""
    if socket is not None and url is not None:
        raise ValueError("give a socket or a url, not both")
    if socket is not None:
        return [DaemonAddress("the given socket", socket=Path(socket).expanduser().absolute())]
    if url is not None:
        return [DaemonAddress("the given URL", url=checked_url(url), token=token or env.get("HFDMD_TOKEN"))]
    found: list[DaemonAddress] = []
    for address in daemon_addresses(env):
        if address.url is not None:
            checked_url(address.url)
        if all((address.socket, address.url) != (other.socket, other.url) for other in found):
            found.append(address)
    return found


def checked_url(url: str) -> str:
    """`url` without blanks around it, if it can be the URL of a daemon. Raises `DaemonUnreachable`."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        usable = usable and url.isprintable() and " " not in url
    except ValueError:
        usable = False
    if not usable:
        raise DaemonUnreachable(f"{url!r} is not a URL of a daemon; write it like http://127.0.0.1:7878")
    return url


def tcp_address(address: DaemonAddress) -> tuple[str, int, bool]:
    """Host, port and whether to use TLS."""
    parts = urlsplit(address.url or "")
    secure = parts.scheme == "https"
    return parts.hostname or "", parts.port or (443 if secure else 80), secure


def is_absent(error: OSError) -> bool:
    """True when no daemon listens there, or not for this user, so that the next address should be tried."""
    return error.errno in (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTSOCK, errno.EACCES, errno.ENOTDIR)


def is_overloaded(address: DaemonAddress, error: OSError) -> bool:
    """True when a daemon listens but does not accept the connection: its queue of connections is full."""
    return address.socket is not None and isinstance(error, (BlockingIOError, TimeoutError))


def silent(address: DaemonAddress, within_s: float) -> DaemonSilent:
    """The error for a daemon that listens but has not answered for `within_s` seconds."""
    return DaemonSilent(
        f"The daemon at {name(address)} did not answer within {within_s:g} s: it waits for the Hub, or hangs."
        " `hfdm doctor` checks both."
    )


def unreachable(tried: Sequence[tuple[DaemonAddress, OSError]]) -> DaemonUnreachable:
    """The error that lists each address, why it failed, and what to do next."""
    lines = [f"  {name(address)}: {_why(address, error)}" for address, error in tried]
    return DaemonUnreachable("No daemon answers. Tried:\n" + "\n".join(lines) + "\n" + _advice(tried))


def name(address: DaemonAddress) -> str:
    return str(address.socket or address.url)


def _why(address: DaemonAddress, error: OSError) -> str:
    if address.socket is not None:
        if len(os.fsencode(address.socket)) > MAX_SOCKET_PATH_BYTES:
            return f"the path is longer than {MAX_SOCKET_PATH_BYTES} bytes, the limit for sockets"
        if error.errno == errno.EACCES:
            return "no permission to connect"
        if error.errno == errno.ENOENT:
            return "no such socket"
        if error.errno == errno.ECONNREFUSED:
            return "no process listens there"
    return error.strerror or str(error) or type(error).__name__


def _advice(tried: Sequence[tuple[DaemonAddress, OSError]]) -> str:
    for address, error in tried:
        if address.socket == SYSTEM_SOCKET and error.errno == errno.EACCES:
            return "To use the system daemon, join its group: sudo usermod -aG hfdmd $USER, then log in again."
    return "Start one with `hfdmd`, or check with `hfdm doctor`."
