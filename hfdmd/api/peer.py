"""The peer of a connection: its user and process on a Unix socket."""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass

from aiohttp import web

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
