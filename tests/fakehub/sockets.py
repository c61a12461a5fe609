"""Socket information from the kernel: bytes not yet acknowledged, bytes acknowledged; and a real TCP reset."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from array import array
from typing import cast

from aiohttp.web_request import BaseRequest

_SIOCOUTQ = 0x5411
_BYTES_ACKED_AT = 120  # offset of tcpi_bytes_acked in Linux's struct tcp_info
_LINUX = sys.platform == "linux"


def socket_of(request: BaseRequest) -> socket.socket | None:
    """The connection's socket while it is open."""
    transport = request.transport
    return None if transport is None else cast("socket.socket | None", transport.get_extra_info("socket"))


def own_socket(request: BaseRequest) -> socket.socket | None:
    """A duplicate of the connection's socket, to be closed by the caller; None when it is closed already."""
    sock = socket_of(request)
    with contextlib.suppress(OSError):
        return None if sock is None else sock.dup()
    return None


def unacknowledged_bytes(sock: socket.socket) -> int:
    """Bytes handed to the kernel and not yet acknowledged by the peer (0 where the system doesn't report it)."""
    if not _LINUX or sock.fileno() < 0:
        return 0
    import fcntl

    buffer = array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), _SIOCOUTQ, buffer)
    except OSError:
        return 0
    return buffer[0]


def acknowledged_bytes(sock: socket.socket | None) -> int | None:
    """Bytes that the peer has acknowledged since the connection began; None where the system doesn't report it."""
    if not _LINUX or sock is None or sock.fileno() < 0:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    except OSError:
        return None
    return int(struct.unpack_from("Q", info, _BYTES_ACKED_AT)[0]) if len(info) >= _BYTES_ACKED_AT + 8 else None


def send_buffer(sock: socket.socket | None, size_bytes: int) -> None:
    """A small send buffer, so that few of the "sent" bytes are still in the kernel."""
    if sock is not None:
        with contextlib.suppress(OSError):  # the client may have disconnected already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size_bytes)


async def delivered(request: BaseRequest) -> bool:
    """Returns when the peer has acknowledged all written bytes; False when the connection was closed before."""
    transport, sock = request.transport, socket_of(request)
    while transport is not None and sock is not None and not transport.is_closing():
        waiting = cast("asyncio.WriteTransport", transport).get_write_buffer_size() + unacknowledged_bytes(sock)
        if waiting == 0:
            return True
        await asyncio.sleep(0.002)
    return False


async def reset(request: BaseRequest, at_most_s: float = 2.0) -> None:
    """Resets the connection once the peer has acknowledged all written bytes (or after `at_most_s`)."""
    transport = request.transport
    if transport is None:
        return
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(delivered(request), at_most_s)
    linger_none(transport)
    transport.abort()


def linger_none(transport: asyncio.BaseTransport) -> None:
    """Makes the next close of the connection a reset, also when nothing is left to send."""
    sock = transport.get_extra_info("socket")
    if sock is None:  # a TLS transport that is being torn down
        return
    with contextlib.suppress(OSError):  # closed by the client meanwhile
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
