# Generated from async_transport.py by client/make_sync.py. Do not edit.
"""Connects to a daemon, sends a call, reads the answer or the event stream."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Self, TypeVar

from hfdmd.wire.endpoint import DaemonAddress
from hfdmd_client import calls, locate
from hfdmd_client.connection import Connection
from hfdmd_client.errors import ProtocolError, WaitTimeout
from hfdmd_client.exchange import ConnectionLost, Exchange
from hfdmd_client.reconnect import Backoff
from hfdmd_client.sse import SseEvent, SseParser

T = TypeVar("T")

SILENCE_S = 45.0
"""A stream has a comment at least every 15 s (docs/api.md, section 5); after three missed ones it is dead."""


def connect(addresses: Sequence[DaemonAddress]) -> tuple[Connection, DaemonAddress]:
    """A connection to the first address that accepts one. Raises `DaemonUnreachable`, naming all, or `DaemonSilent`."""
    tried: list[tuple[DaemonAddress, OSError]] = []
    for address in addresses:
        try:
            return Connection.open(address), address
        except OSError as error:
            if locate.is_overloaded(address, error):
                raise locate.silent(address, locate.CONNECT_TIMEOUT_S) from error
            tried.append((address, error))
            if not locate.is_absent(error):
                break
    raise locate.unreachable(tried)


def send(addresses: Sequence[DaemonAddress], call: calls.Call[T], timeout_s: float) -> T:
    """The decoded answer. Raises `ApiError`, `DaemonUnreachable`, or `ConnectionLost` when the answer is incomplete."""
    connection, address = connect(addresses)
    try:
        exchange = Exchange(address, call)
        with closing(_body(connection, exchange, address, timeout_s)) as chunks:
            body = b"".join(list(chunks))
        return calls.answer(call, exchange.status, exchange.headers, body)
    finally:
        connection.close()


def _body(
    connection: Connection, exchange: Exchange, address: DaemonAddress, silence_s: float, backoff: Backoff | None = None
) -> Generator[bytes, None, None]:
    """Sends the request and yields the body as it arrives. The deadline of `backoff` may end a wait early."""
    try:
        connection.send(exchange.to_send, silence_s)
        while not exchange.done:
            wait_s = silence_s if backoff is None else backoff.limited(silence_s)
            yield from exchange.chunks(connection.receive(wait_s))
    except WaitTimeout:
        raise
    except TimeoutError as error:
        if backoff is not None:
            backoff.limited(silence_s)
        raise locate.silent(address, silence_s) from error
    except OSError as error:
        raise ConnectionLost(str(error)) from error


class Stream:
    """An open event stream. `ended` is True when the daemon answered 204: no event will follow."""

    def __init__(self, connection: Connection, exchange: Exchange, chunks: Generator[bytes, None, None]) -> None:
        self._connection, self._exchange, self._chunks = connection, exchange, chunks
        self._parser = SseParser()
        self._received = b""
        self.ended = False

    @classmethod
    def open(
        cls, addresses: Sequence[DaemonAddress], call: calls.Call[bytes], last_event_id: str, backoff: Backoff
    ) -> Self:
        """Connects and reads the head of the answer. Raises as `send`."""
        connection, address = connect(addresses)
        exchange = Exchange(address, call, last_event_id=last_event_id)
        stream = cls(connection, exchange, _body(connection, exchange, address, SILENCE_S, backoff))
        try:
            stream._read_head(call)
        except BaseException:
            stream.close()
            raise
        return stream

    def _read_head(self, call: calls.Call[bytes]) -> None:
        while not self._exchange.status:
            self._received += next(self._chunks, b"")
        status, headers = self._exchange.status, self._exchange.headers
        self.ended = status == 204
        if status != 200 and not self.ended:
            rest = b"".join(list(self._chunks))
            raise calls.failure(call, status, headers, self._received + rest)
        if not self.ended and not headers.get("content-type", "").startswith(calls.EVENT_STREAM):
            raise ProtocolError("expected an event stream, received something else; is this hfdmd?")

    def read(self) -> list[SseEvent]:
        """The events that arrive next, perhaps none. Raises `ConnectionLost` at the end of the stream."""
        received, self._received = self._received, b""
        if not received:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise ConnectionLost("the stream ended without an end event")
            received = chunk
        return self._parser.feed(received)

    def close(self) -> None:
        self._chunks.close()
        self._connection.close()
