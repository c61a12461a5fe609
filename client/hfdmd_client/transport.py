"""The blocking side: finds a daemon, sends a call, reads the answer or the stream."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from typing import TypeVar

from hfdmd.wire.endpoint import DaemonAddress
from hfdmd_client import calls, locate
from hfdmd_client.errors import ProtocolError, WaitTimeout
from hfdmd_client.exchange import SOCKET_READ_BYTES, ConnectionLost, Exchange
from hfdmd_client.reconnect import Backoff
from hfdmd_client.sse import SseEvent, SseParser

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
SILENCE_S = 45.0
"""A stream has a comment at least every 15 s (docs/api.md, section 5); three missed ones mean that it is dead."""


def connect(addresses: Sequence[DaemonAddress]) -> tuple[socket.socket, DaemonAddress]:
    """A connection to the first place that answers. Raises `DaemonUnreachable`, naming them all, `DaemonSilent`."""
    tried: list[tuple[DaemonAddress, OSError]] = []
    for address in addresses:
        try:
            return _open(address), address
        except OSError as error:
            if locate.is_silence(address, error):
                raise locate.silent(address, CONNECT_TIMEOUT_S) from error
            tried.append((address, error))
            if not locate.may_be_elsewhere(error):
                break
    raise locate.unreachable(tried)


def _open(address: DaemonAddress) -> socket.socket:
    if address.socket is not None:
        return _open_unix(address)
    host, port, secure = locate.tcp_address(address)
    plain = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
    if not secure:
        return plain
    import ssl  # only here: most daemons are behind a socket, and it takes longer to load than all else

    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _open_unix(address: DaemonAddress) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_TIMEOUT_S)
        connection.connect(str(address.socket))
    except BaseException:
        connection.close()
        raise
    return connection


def send(addresses: Sequence[DaemonAddress], call: calls.Call[T], timeout_s: float) -> T:
    """The decoded answer. Raises `ApiError`, `DaemonUnreachable`; `ConnectionLost` when it breaks off."""
    connection, address = connect(addresses)
    with connection:
        exchange = Exchange(address, call)
        body = b"".join(_body(connection, exchange, address, timeout_s))
    return calls.answer(call, exchange.status, exchange.headers, body)


def _body(
    connection: socket.socket,
    exchange: Exchange,
    address: DaemonAddress,
    silence_s: float,
    backoff: Backoff | None = None,
) -> Iterator[bytes]:
    """The parts of the body as they come. `backoff` may end the wait for one before `silence_s` is over."""
    try:
        connection.settimeout(silence_s)
        connection.sendall(exchange.to_send)
        while not exchange.done:
            if backoff is not None:
                connection.settimeout(backoff.cut(silence_s))
            yield from exchange.chunks(connection.recv(SOCKET_READ_BYTES))
    except WaitTimeout:
        raise
    except TimeoutError as error:
        if backoff is not None:
            backoff.cut(silence_s)
        raise locate.silent(address, silence_s) from error
    except OSError as error:
        raise ConnectionLost(str(error)) from error


class Stream:
    """An open event stream. `ended` is True when the daemon answered 204: there is nothing more to come."""

    def __init__(
        self, addresses: Sequence[DaemonAddress], call: calls.Call[bytes], last_event_id: str, backoff: Backoff
    ) -> None:
        self._connection, self._place = connect(addresses)
        try:
            self._exchange = Exchange(self._place, call, last_event_id=last_event_id)
            self._chunks = _body(self._connection, self._exchange, self._place, SILENCE_S, backoff)
            self._first = b""
            while not self._exchange.status:
                self._first += next(self._chunks, b"")
            self.ended = self._exchange.status == 204
            if self._exchange.status != 200 and not self.ended:
                rest = b"".join(self._chunks)
                raise calls.failure(call, self._exchange.status, self._exchange.headers, self._first + rest)
            if not self.ended and not self._exchange.headers.get("content-type", "").startswith(calls.EVENT_STREAM):
                raise ProtocolError("asked for an event stream and got something else; is this hfdmd?")
        except BaseException:
            self._connection.close()
            raise

    def __iter__(self) -> Iterator[SseEvent]:
        parser = SseParser()
        yield from parser.feed(self._first)
        for chunk in self._chunks:
            yield from parser.feed(chunk)
        raise ConnectionLost("the stream ended without a word")

    def close(self) -> None:
        self._connection.close()

    def interrupt(self) -> None:
        """Ends the stream from another thread: a blocked read returns at once."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # already gone, which is what was asked for
