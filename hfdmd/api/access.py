"""Access rules (docs/api.md, section 6): checked before any handler, on every path, known or not."""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from hfdmd.cache.folders import is_below
from hfdmd.durable import replace_file
from hfdmd.wire.errors import ForbiddenHost, ForbiddenOrigin, ForbiddenPath, Unauthorized

log = logging.getLogger("hfdmd.access")

_HEALTH = "/api/health"
_PORT = re.compile(r":[0-9]+$")
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1  # sys/un.h of macOS
_UNMAPPED_UID = 65534  # the kernel's overflow uid: a user of another namespace


@dataclass(frozen=True, slots=True)
class Peer:
    """`uid` and `pid` are known on a Unix socket only, `pid` on Linux only."""

    is_unix: bool
    uid: int | None = None
    pid: int | None = None


def peer_of(request: web.BaseRequest) -> Peer:
    """The peer of a request, as the kernel recorded it at connect(2). Source: unix(7), SO_PEERCRED."""
    transport = request.transport
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.family != socket.AF_UNIX:
        return Peer(is_unix=False)
    try:
        if sys.platform == "linux":
            pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return Peer(is_unix=True, uid=None if uid == _UNMAPPED_UID else uid, pid=pid)
        _, uid = struct.unpack_from("II", sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76))
        return Peer(is_unix=True, uid=uid)
    except OSError:
        return Peer(is_unix=True)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PEER: web.RequestKey[Peer] = web.RequestKey("peer", Peer)


class Access:
    """Rules for TCP: a token, exact Host names, listed origins. A Unix socket is protected by its file mode."""

    def __init__(self, token: str | None, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._token = token.encode() if token is not None else None
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origins)

    def check(self, request: web.Request) -> None:
        """Store the peer in the request and check its access.

        Raises `ForbiddenHost`, `ForbiddenOrigin`, `Unauthorized`.
        """
        peer = peer_of(request)
        request[PEER] = peer
        if peer.is_unix:
            log.debug("%s %s by uid %s, pid %s", request.method, request.rel_url.raw_path, peer.uid, peer.pid)
            return
        self._check_host(request)
        self._check_origin(request)
        self._check_token(request)

    def _check_host(self, request: web.Request) -> None:
        """Compare with an exact list, so that a name which an attacker's DNS points here is refused (CVE-2018-5702).

        The host of a target in absolute form is checked, too (RFC 9112, section 3.2.2).
        """
        names = request.headers.getall("Host", [])
        target = request.raw_path
        in_path = target.startswith("/") or target == "*"
        hosts = names if in_path else [*names, urlsplit(target).netloc if "//" in target else target]
        if len(names) != 1 or any(host.lower() not in self._hosts for host in hosts):
            raise ForbiddenHost("the Host header must be one of this daemon's names; see allowed_hosts")

    def _check_origin(self, request: web.Request) -> None:
        origins = request.headers.getall("Origin", [])
        if any(origin not in self._origins for origin in origins) or len(origins) > 1:
            raise ForbiddenOrigin("requests from web pages of this origin are refused; see allowed_origins")
        sites = request.headers.getall("Sec-Fetch-Site", [])
        if not origins and any(site not in ("none", "same-origin") for site in sites):
            raise ForbiddenOrigin("cross-site requests of a browser are refused")

    def _check_token(self, request: web.Request) -> None:
        if request.rel_url.raw_path == _HEALTH and request.method == "GET":
            return
        given = request.headers.getall("Authorization", [])
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        wrong = self._token is None or scheme.lower() != "bearer"
        if wrong or not hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token or b""):
            raise Unauthorized("send the token of the daemon's token file as Authorization: Bearer …")


def own_hosts(host: str, port: int, more: Iterable[str]) -> list[str]:
    """The Host values that name this daemon when it listens on `host` and `port`.

    Names in `more` also count without the port: a TLS proxy forwards no port, or its own.
    """
    names = [f"[{host}]" if ":" in host else host]
    if host in ("127.0.0.1", "::1", "localhost"):
        names += ["localhost", "127.0.0.1", "[::1]"]
    more = list(more)
    with_port = [f"{name}:{port}" for name in (*names, *more) if not _PORT.search(name)]
    return [*with_port, *more, *(names if port == 80 else ())]


def load_token(file: Path) -> str:
    """The token in `file`, created if missing. Raises OSError, and ValueError for a file that others can read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        token = secrets.token_urlsafe(32)
        replace_file(file, [f"{token}\n".encode()], mode=0o600)
        return token
    with open(descriptor, encoding="ascii") as stream:
        if os.fstat(stream.fileno()).st_mode & 0o077:
            raise ValueError(f"the token file {file} can be read by others: chmod 600 it, or delete it for a new token")
        token = stream.read().strip()
    if len(token) < 16:
        raise ValueError(f"the token in {file} is shorter than 16 characters: delete the file for a new one")
    return token


def is_confined(peer: Peer) -> bool:
    """Whether the peer is limited to folders below `allowed_dirs`: every peer but the daemon's own user."""
    return not peer.is_unix or peer.uid != os.getuid()


def check_local_dir(local_dir: str, peer: Peer, allowed_dirs: Iterable[str]) -> None:
    """Check that the peer may use the folder, symlinks resolved. Raises `ForbiddenPath`."""
    if is_confined(peer) and not is_below(os.path.realpath(local_dir), allowed_dirs):
        raise ForbiddenPath(f"localDir must be below one of the daemon's allowed_dirs; {local_dir} is not")
