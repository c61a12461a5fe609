"""The asyncio side: finds a daemon, sends a call, reads the answer or the stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any, TypeVar

from hfdmd.wire.endpoint import DaemonAddress
from hfdmd_client import calls, locate
from hfdmd_client.errors import ProtocolError, WaitTimeout
from hfdmd_client.exchange import SOCKET_READ_BYTES, ConnectionLost, Exchange
from hfdmd_client.reconnect import Backoff
from hfdmd_client.sse import SseEvent, SseParser
from hfdmd_client.transport import CONNECT_TIMEOUT_S, SILENCE_S

T = TypeVar("T")


class Connection:
    """A connection to the first place that answers, for one exchange."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: DaemonAddress) -> None:
        self._reader, self._writer, self._place = reader, writer, address

    @classmethod
    async def open(cls, addresses: Sequence[DaemonAddress]) -> Connection:
        """Raises `DaemonUnreachable`, naming every place, `DaemonSilent`."""
        tried: list[tuple[DaemonAddress, OSError]] = []
        for address in addresses:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    return cls(*await _open(address), address)
            except OSError as error:
                if locate.is_silence(address, error):
                    raise locate.silent(address, CONNECT_TIMEOUT_S) from error
                tried.append((address, error))
                if not locate.may_be_elsewhere(error):
                    break
        raise locate.unreachable(tried)

    def begin(self, call: calls.Call[Any], last_event_id: str = "") -> Exchange:
        return Exchange(self._place, call, last_event_id=last_event_id)

    async def body(
        self, exchange: Exchange, silence_s: float, backoff: Backoff | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The parts of the body as they come. `backoff` may end the wait for one before `silence_s` is over."""
        try:
            self._writer.write(exchange.to_send)
            await self._writer.drain()
            while not exchange.done:
                wait_s = silence_s if backoff is None else backoff.cut(silence_s)
                async with asyncio.timeout(wait_s):
                    received = await self._reader.read(SOCKET_READ_BYTES)
                for chunk in exchange.chunks(received):
                    yield chunk
        except WaitTimeout:
            raise
        except TimeoutError as error:
            if backoff is not None:
                backoff.cut(silence_s)
            raise locate.silent(self._place, silence_s) from error
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):  # it may be broken already; nothing is lost
            await self._writer.wait_closed()


async def _open(address: DaemonAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.socket is not None:
        return await asyncio.open_unix_connection(str(address.socket))
    host, port, secure = locate.tcp_address(address)
    return await asyncio.open_connection(host, port, ssl=secure or None)


async def send(addresses: Sequence[DaemonAddress], call: calls.Call[T], timeout_s: float) -> T:
    """The decoded answer. Raises `ApiError`, `DaemonUnreachable`; `ConnectionLost` when it breaks off."""
    connection = await Connection.open(addresses)
    try:
        exchange = connection.begin(call)
        body = b"".join([chunk async for chunk in connection.body(exchange, timeout_s)])
        return calls.answer(call, exchange.status, exchange.headers, body)
    finally:
        await connection.close()


async def stream(
    addresses: Sequence[DaemonAddress], call: calls.Call[bytes], last_event_id: str, backoff: Backoff
) -> AsyncGenerator[SseEvent | None, None]:
    """The events of a stream; the first item is None and says that it is open. Nothing at all: the daemon said 204."""
    connection = await Connection.open(addresses)
    try:
        exchange = connection.begin(call, last_event_id)
        parser = SseParser()
        refused = b""
        opened = False
        async for chunk in connection.body(exchange, SILENCE_S, backoff):
            if exchange.status != 200:
                refused += chunk
                continue
            if not opened:
                if not exchange.headers.get("content-type", "").startswith(calls.EVENT_STREAM):
                    raise ProtocolError("asked for an event stream and got something else; is this hfdmd?")
                opened = True
                yield None
            for event in parser.feed(chunk):
                yield event
        if exchange.status == 204:
            return
        if exchange.status != 200:
            raise calls.failure(call, exchange.status, exchange.headers, refused)
        raise ConnectionLost("the stream ended without a word")
    finally:
        await connection.close()
