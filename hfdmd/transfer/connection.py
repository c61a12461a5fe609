"""One HTTP/1.1 connection: heads by h11, plain bodies received straight into the buffers they are written from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import h11

from hfdmd.failure import Failure
from hfdmd.transfer.transport import Sink
from hfdmd.transfer.trouble import BadAnswer, Broken, Quiet, Trouble
from hfdmd.wire.types import Reason

HEAD_BUFFER_BYTES = 64 * 1024
MAX_HEAD_BYTES = 64 * 1024

Key = tuple[str, str | None]
"""Whom a connection leads to: origin, and the proxy's URL if there is one."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer. `length` is the body's, None when it is chunked or ends with the connection."""

    status: int
    headers: Mapping[str, str]  # names in lower case; of repeated ones, the values joined with ", "
    length: int | None
    keep_alive: bool


class Connection(asyncio.BufferedProtocol):
    """One connection, for one request at a time.

    `request`, then `receive` or `chunks` or `skip`; then, if `reusable`, the next `request`. Between the head and
    the body, and while a sink has no room, nothing is read.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._head_buffer = memoryview(bytearray(HEAD_BUFFER_BYTES))
        self._parser: h11.Connection | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._lost: Trouble | None = None
        self._paused = False
        self._sink: Sink | None = None
        self._left = 0
        self._rest = b""
        self._eof = False
        self._progress_at = time.monotonic()
        self.reusable = False
        self.key: Key = ("", None)
        self.receive_buffer_bytes: int | None = None
        """What its kernel buffer was limited to."""
        self.answered = False
        """Whether any byte of an answer to the present request has come."""
        self.closed = self._loop.create_future()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_connection makes
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._sink is not None:
            view = self._sink.buffer()
            return view if len(view) <= self._left else view[: self._left]
        return self._head_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._progress_at = time.monotonic()
        if self._sink is not None:
            self._sink.advance(nbytes)
            self._left -= nbytes
            self._go_on()
            return
        self.answered = True
        if self._parser is None:
            self.abort(Broken("the server sent something that was not asked for"))
            return
        try:
            self._parser.receive_data(bytes(self._head_buffer[:nbytes]))
        except h11.RemoteProtocolError as error:
            self.abort(BadAnswer(f"the server's answer is not HTTP/1.1: {error}"))
            return
        self._pause()
        self._finish()

    def eof_received(self) -> bool | None:
        self._eof = True
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost is None:
            self._lost = Broken(f"the connection broke: {exc}" if exc else "the server closed the connection")
        self._sink = None
        self.reusable = False
        self._finish()
        if not self.closed.done():
            self.closed.set_result(None)

    # what the transport calls

    @property
    def is_open(self) -> bool:
        return self._lost is None and self._transport is not None and not self._transport.is_closing()

    def abort(self, why: Trouble | None = None) -> None:
        """Stop at once: not a byte more is read, whoever waits gets `why`."""
        if self._lost is None:
            self._lost = why or Broken("the connection was dropped")
        self._sink = None
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()
        self._finish()

    async def request(self, method: str, target: str, headers: list[tuple[str, str]], window_s: float) -> Head:
        """Send a request and wait for the head of its answer: Trouble when it breaks or `window_s` pass in silence."""
        if not self.is_open or self._transport is None:
            raise self._lost or Broken("the connection is closed")
        self._parser = parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.answered = self.reusable = False
        self._rest = b""
        try:
            head = parser.send(h11.Request(method=method, target=target, headers=headers)) or b""
        except h11.LocalProtocolError:  # its text would show the header, which may be the token
            self.abort()
            raise Failure(Reason.INTERNAL, "the address or a header has characters that HTTP forbids") from None
        self._transport.write(head + (parser.send(h11.EndOfMessage()) or b""))
        self._progress_at = time.monotonic()
        try:
            while True:
                event = self._next_event()
                if isinstance(event, h11.Response):
                    return self._head(event)
                if event is h11.NEED_DATA:
                    await self._more(window_s)
                elif not isinstance(event, h11.InformationalResponse):
                    raise BadAnswer("the server's answer has no head")
        except BaseException:
            self.abort()
            raise

    async def receive(self, sink: Sink, length: int, window_s: float) -> None:
        """A body of known length into `sink`. Returns early, the connection closed, when the sink wants no more."""
        data, surplus = self._rest[:length], self._rest[length:]
        self._rest = b""
        self._parser = None
        self._left = length
        try:
            while data:
                if not sink.ready():
                    await self._until_ready(sink)
                view = sink.buffer()
                count = min(len(view), len(data))
                view[:count] = data[:count]
                sink.advance(count)
                self._left -= count
                data = data[count:]
                if not sink.wanted_bytes:
                    break
            if self._left and sink.wanted_bytes:
                self._sink = sink
                sink.wake = self._go_on
                self._go_on()
                await self._ended(window_s)
            if self._left and sink.wanted_bytes:
                raise self._lost or Broken("the server closed the connection")
            if self._left:
                self.abort()
            else:
                self.reusable = self._keep_alive and not surplus
        except BaseException:
            self.abort()
            raise
        finally:
            self._sink = None
            sink.wake = None

    async def chunks(self, window_s: float) -> AsyncIterator[bytes]:
        """A body of unknown length, piece by piece, to its proper end; Trouble when it ends early."""
        try:
            while True:
                event = self._next_event()
                if isinstance(event, h11.Data):
                    yield bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
                elif event is h11.NEED_DATA:
                    self._progress_at = time.monotonic()
                    await self._more(window_s, end_is_news=True)
                else:
                    raise Broken("the server closed the connection within the body")
            trailing, closed = self._parser.trailing_data if self._parser else (b"", True)
            self.reusable = self._keep_alive and not trailing and not closed and self.is_open
            self._parser = None
        except BaseException:
            self.abort()
            raise

    async def skip(self, head: Head, at_most: int, window_s: float) -> None:
        """Read past a body of no interest, so that the connection can be used again; a long one closes it."""
        if head.length is None or head.length > at_most or not head.keep_alive:
            self.abort()
            return
        await self.receive(_Nowhere(head.length), head.length, window_s)

    # inside

    def _head(self, event: h11.Response) -> Head:
        headers: dict[str, str] = {}
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        bodiless = event.status_code in (204, 304)
        chunked = "transfer-encoding" in headers
        length: int | None = None
        if bodiless:
            length = 0
        elif not chunked and "content-length" in headers:
            length = int(headers["content-length"].partition(",")[0])  # h11 has checked that it is a number, and one
        tokens = {token.strip().lower() for token in headers.get("connection", "").split(",")}
        self._keep_alive = event.http_version == b"1.1" and "close" not in tokens and (length is not None or chunked)
        if length is not None and self._parser is not None:
            self._rest = bytes(self._parser.trailing_data[0])
        return Head(event.status_code, headers, length, self._keep_alive)

    def _next_event(self) -> object:
        if self._parser is None:
            raise self._lost or Broken("the connection is closed")
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError as error:
            if self._eof or self._lost is not None:
                raise Broken(f"the answer ended early: {error}") from None
            raise BadAnswer(f"the server's answer is not HTTP/1.1: {error}") from None

    async def _more(self, window_s: float, *, end_is_news: bool = False) -> None:
        """Wait for more data for the parser; with `end_is_news` the end of the connection is given to it too."""
        if not self._lost and not self._eof:
            waiter = self._wait()
            self._resume()
            await self._wait_quietly(waiter, window_s)
            return
        if end_is_news and self._eof and self._parser is not None:
            self._parser.receive_data(b"")
            return
        raise self._lost or Broken("the server closed the connection")

    def _wait(self) -> asyncio.Future[None]:
        self._waiter = self._loop.create_future()
        return self._waiter

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _go_on(self) -> None:
        """After bytes, or when the sink has room again: read on, hold, or end."""
        sink = self._sink
        if sink is None:
            return
        if not self._left or not sink.wanted_bytes:
            self._pause()
            self._sink = None
            self._finish()
        elif sink.ready():
            self._resume()
        else:
            self._pause()

    async def _until_ready(self, sink: Sink) -> None:
        while not sink.ready():
            waiter = self._wait()
            sink.wake = self._finish
            await waiter
            if self._lost is not None:
                raise self._lost

    async def _ended(self, window_s: float) -> None:
        """Wait until the body is there, or wanted no more, or the connection lost."""
        if self._sink is not None and self._lost is None:
            await self._wait_quietly(self._wait(), window_s)

    async def _wait_quietly(self, waiter: asyncio.Future[None], window_s: float) -> None:
        """Wait, at most `window_s` in a row without a byte while we do read."""
        while not waiter.done():
            patience_s = window_s if self._paused else self._progress_at + window_s - time.monotonic()
            if patience_s <= 0:
                raise Quiet(f"not a byte came for {window_s:.0f} s")
            await asyncio.wait((waiter,), timeout=patience_s)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._progress_at = time.monotonic()
            self._transport.resume_reading()

    _keep_alive = False


class _Nowhere:
    """A sink for bytes that nobody wants."""

    def __init__(self, length: int) -> None:
        self.wake: Callable[[], None] | None = None
        self.wanted_bytes = length
        self._view = memoryview(bytearray(min(length, 16 * 1024)))

    def ready(self) -> bool:
        return True

    def buffer(self) -> memoryview:
        return self._view[: self.wanted_bytes]

    def advance(self, count: int) -> None:
        self.wanted_bytes -= count

    def accept_whole(self, size_bytes: int | None) -> bool:
        return False
