"""A blocking connection to a daemon. `async_connection` is the same for asyncio."""

from __future__ import annotations

import socket
from typing import Self

from hfdmd.wire.endpoint import DaemonAddress
from hfdmd_client import locate
from hfdmd_client.locate import CONNECT_TIMEOUT_S

_READ_BYTES = 64 * 1024


class Connection:
    """A socket, with a time limit for each operation. Every method may raise `OSError`, `TimeoutError` among them."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    @classmethod
    def open(cls, address: DaemonAddress) -> Self:
        if address.socket is not None:
            return cls(_open_unix(str(address.socket)))
        host, port, secure = locate.tcp_address(address)
        plain = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
        if not secure:
            return cls(plain)
        import ssl  # only here: loading it takes longer than everything else, and most daemons listen on a socket

        try:
            return cls(ssl.create_default_context().wrap_socket(plain, server_hostname=host))
        except BaseException:
            plain.close()
            raise

    def send(self, data: bytes, timeout_s: float) -> None:
        self._socket.settimeout(timeout_s)
        self._socket.sendall(data)

    def receive(self, timeout_s: float) -> bytes:
        """The next bytes; empty when the daemon closed the connection."""
        self._socket.settimeout(timeout_s)
        return self._socket.recv(_READ_BYTES)

    def close(self) -> None:
        self._socket.close()


def _open_unix(path: str) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(CONNECT_TIMEOUT_S)
        connected.connect(path)
    except BaseException:
        connected.close()
        raise
    return connected
