"""One HTTP request and its answer, without I/O, with h11.

h11 is the lightest HTTP library among hfdmd's dependencies (figures in docs/client.md). It does no I/O itself, so the
blocking and the asyncio client share everything but the socket.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import h11

from hfdmd import __version__
from hfdmd.wire.endpoint import DaemonAddress
from hfdmd.wire.errors import InvalidField
from hfdmd.wire.types import HUB_TOKEN_HEADER
from hfdmd_client.calls import Call
from hfdmd_client.errors import ProtocolError

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TOKEN = re.compile(r"[!-~]{1,4096}")


class ConnectionLost(Exception):
    """The connection ended before the answer was complete."""


class Exchange:
    """One request and its answer, on a connection of its own.

    `to_send` is the request. Pass received bytes to `chunks`, which yields the body. `status` and `headers` are set
    when the head is complete, `done` when the body is.
    """

    def __init__(self, address: DaemonAddress, call: Call[Any], *, last_event_id: str = "") -> None:
        self._h11 = h11.Connection(h11.CLIENT)
        headers = [
            ("Host", host_header(address)),
            ("Accept", call.accept),
            ("User-Agent", f"hfdmd-client/{__version__}"),
            ("Connection", "close"),
        ]
        if address.token:
            headers.append(("Authorization", f"Bearer {address.token}"))
        if call.hub_token and _is_private(address):
            headers.append((HUB_TOKEN_HEADER, _checked(call.hub_token)))
        if last_event_id:
            headers.append(("Last-Event-ID", last_event_id))
        if call.body is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(call.body)))]
        target = _base_path(address) + call.target
        try:
            self.to_send = self._h11.send(h11.Request(method=call.method, target=target, headers=headers)) or b""
        except h11.LocalProtocolError:
            # h11's own text has the value, which may be a token
            raise ProtocolError("this request cannot be sent: HFDMD_TOKEN or HFDMD_URL is invalid") from None
        if call.body is not None:
            self.to_send += self._h11.send(h11.Data(call.body)) or b""
        self.to_send += self._h11.send(h11.EndOfMessage()) or b""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False

    def chunks(self, received: bytes) -> Iterator[bytes]:
        """The body bytes in `received` (empty: end of connection). Raises `ConnectionLost`, `ProtocolError`."""
        try:
            self._h11.receive_data(received)
            while not self.done:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    return
                if isinstance(event, h11.Response):
                    self.status = event.status_code
                    self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                    yield b""  # a caller that waits for the head continues before the body arrives
                elif isinstance(event, h11.Data):
                    yield bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self.done = True
                elif isinstance(event, h11.ConnectionClosed):
                    raise ConnectionLost("the daemon closed the connection")
        except h11.RemoteProtocolError as error:
            if not received:
                raise ConnectionLost("the daemon closed the connection before the answer was complete") from error
            raise ProtocolError(f"the answer is not valid HTTP: {error}") from error


def _is_private(address: DaemonAddress) -> bool:
    """Whether only the daemon reads what is sent: on a socket, on this machine, or with TLS."""
    parts = urlsplit(address.url or "")
    return address.socket is not None or parts.scheme == "https" or parts.hostname in _LOOPBACK


def _checked(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise InvalidField("the Hub token has characters that no token has; set HF_TOKEN anew, or `hfdm login`")
    return token


def host_header(address: DaemonAddress) -> str:
    """The `Host` header for `address`; any name serves on a socket."""
    return urlsplit(address.url).netloc.rpartition("@")[2] if address.url else "localhost"


def _base_path(address: DaemonAddress) -> str:
    return urlsplit(address.url).path.rstrip("/") if address.url else ""
