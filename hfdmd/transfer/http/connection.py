"""One HTTP/1.1 connection: plain bodies are received straight into the buffers that are written to disk."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import re
import ssl
import termios
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from hfdmd.failure import Failure
from hfdmd.transfer.http.http_errors import BadResponse, ConnectionFailed, Stalled
from hfdmd.transfer.http.receive_window import ReceiveWindow
from hfdmd.transfer.http.response import HttpHead, ResponseParser
from hfdmd.transfer.http.tls import TlsTransport
from hfdmd.transfer.sinks import copy_ready
from hfdmd.transfer.transport import Sink, TransferError
from hfdmd.wire.types import Reason

HEAD_BUFFER_BYTES = 64 * 1024
DRAIN_S = 0.5
"""After a cancellation, spend at most this long on bytes that the kernel has received already: the disk may be slow."""
DRAIN_STEP_S = 0.002

Key = tuple[str, str | None]
"""Which requests a connection can serve: origin, and the URL of the proxy if there is one."""

_TARGET = re.compile(r"[!-~]+")  # RFC 9112, 3.2: visible ASCII
_FIELD = re.compile(r"[!-~](?:[\t -~]*[!-~])?|")  # RFC 9110, 5.5, ASCII only


def request_head(method: str, target: str, headers: list[tuple[str, str]]) -> bytes:
    """A request without a body. Failure(INTERNAL) for characters that HTTP forbids; the text does not contain them,
    because the header may be the token."""
    if not _TARGET.fullmatch(target) or not all(_FIELD.fullmatch(value) for _, value in headers):
        raise Failure(Reason.INTERNAL, "the URL or a header contains characters that HTTP forbids")
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode("ascii")


class Connection(asyncio.BufferedProtocol):
    """One connection, for one request at a time.

    Call `request`, then `receive` or `chunks`; then, if `reusable`, the next `request`. Reading is paused
    between head and body, and while a sink has no room.
    """

    def __init__(self, head_buffer: memoryview, window: ReceiveWindow, rtt_s: float) -> None:
        """`head_buffer`, of `HEAD_BUFFER_BYTES`, may be shared by all connections: it is emptied after every read.

        `rtt_s`: seconds of a round trip to the server, or to the proxy.
        """
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport  # set when asyncio has opened the connection, before it is used
        self._head_buffer = head_buffer
        self._response: ResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timed_waiter: asyncio.Future[None] | None = None
        self._window_s = 0.0
        self._lost: TransferError | None = None
        self._paused = False
        self._sink: Sink | None = None
        self._left = 0
        self._eof = False
        self._progress_at = time.monotonic()
        self.reusable = False
        self.key: Key = ("", None)
        self.window = window
        self.rtt_s = rtt_s
        self.has_response = False
        """Whether any byte of a response to the current request has arrived."""
        self.closed = self._loop.create_future()

    # called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_connection makes
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._head_buffer if self._sink is None else self._sink.buffer()[: self._left]

    def buffer_updated(self, nbytes: int) -> None:
        self._progress_at = time.monotonic()
        if self._sink is not None:
            self._sink.advance(nbytes)
            self._left -= nbytes
            self._continue()
            return
        self.has_response = True
        if self._response is None:
            self.abort(ConnectionFailed("the server sent data that was not requested"))
            return
        try:
            self._response.feed(self._head_buffer[:nbytes])
        except BadResponse as error:
            self.abort(error)
            return
        if self._response.buffered_bytes >= HEAD_BUFFER_BYTES:
            self._pause()
        self._wake()

    def eof_received(self) -> None:
        self._eof = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost is None:
            self._lost = ConnectionFailed(f"connection lost: {exc}" if exc else "the server closed the connection")
        self._sink = None
        self.reusable = False
        self._cancel_timer()
        self._wake()
        if not self.closed.done():
            self.closed.set_result(None)

    # called by the HTTP transport and the pool

    @property
    def is_open(self) -> bool:
        return self._lost is None and not self._transport.is_closing()

    @property
    def unread_bytes(self) -> int:
        """How many received bytes are in the kernel's buffer, or held by TLS; encrypted ones under TLS."""
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return 0
        count = array.array("i", [0])
        fcntl.ioctl(sock.fileno(), termios.FIONREAD, count)
        return count[0] + (self._transport.held_bytes if isinstance(self._transport, TlsTransport) else 0)

    def abort(self, error: TransferError | None = None) -> None:
        """Close at once: no more byte is read, and `error` is raised where a caller waits."""
        if self._lost is None:
            self._lost = error or ConnectionFailed("the connection was closed by this machine")
        self._sink = None
        self.reusable = False
        self._transport.abort()
        self._wake()

    async def request(self, method: str, target: str, headers: list[tuple[str, str]], window_s: float) -> HttpHead:
        """Send a request and wait for the head of the response.

        TransferError when the connection fails, or when the head is not complete after `window_s` seconds.
        """
        if not self.is_open:
            raise self._lost or ConnectionFailed("the connection is closed")
        head = request_head(method, target, headers)
        self._response = response = ResponseParser()
        self.has_response = self.reusable = False
        self._transport.write(head)
        self._progress_at = requested_at = time.monotonic()
        try:
            while response.head is None:
                await self._wait_for_bytes(window_s, since=requested_at)
        except BaseException:
            self.abort()
            raise
        return response.head

    async def receive(self, sink: Sink, length: int, window_s: float) -> None:
        """Receive a body of known length. Returns early, the connection closed, when the sink wants no more.

        After a cancellation, bytes that this machine has received already still reach the sink, if it can use them.
        """
        response = self._current_response
        self._response = None  # bytes that arrive from now on do not belong to it
        data = response.take_body()
        self._left = length
        try:
            sink.wake = self._wake
            while (data := self._copy(data, sink)) and sink.wanted_bytes:
                self._pause()
                await self._new_waiter()
                if self._lost is not None:
                    raise self._lost
            if self._left and sink.wanted_bytes:
                self._sink = sink
                sink.wake = self._continue
                self._continue()
                if self._sink is not None and self._lost is None:
                    await self._wait(window_s)
            if self._left and sink.wanted_bytes:
                raise self._lost or ConnectionFailed("the server closed the connection")
            if self._left:
                self.abort()
            else:
                self._end_response(response)
        except BaseException as error:
            try:
                if isinstance(error, asyncio.CancelledError):
                    await self._drain(sink, data)
            finally:
                self.abort()
            raise
        finally:
            self._sink = None
            sink.wake = None

    async def chunks(self, window_s: float) -> AsyncIterator[bytes]:
        """The body, piece by piece; TransferError when it ends before its proper end."""
        response = self._current_response
        received_at = time.monotonic()
        try:
            while not response.is_complete or response.buffered_bytes:
                if response.buffered_bytes:
                    yield response.take_body()
                    received_at = time.monotonic()
                elif self._eof and response.ends_with_connection:
                    break
                elif self._eof or self._lost:
                    raise self._lost or ConnectionFailed("the server closed the connection within the body")
                else:
                    self._progress_at = time.monotonic()
                    await self._wait_for_bytes(window_s, since=received_at)
            self._response = None
            self._end_response(response)
        except BaseException:
            self.abort()
            raise

    # internal

    @property
    def _current_response(self) -> ResponseParser:
        if self._response is None:
            raise self._lost or ConnectionFailed("the connection is closed")
        return self._response

    def _end_response(self, response: ResponseParser) -> None:
        """The body is complete. Bytes that arrive before the next request close the connection."""
        keep_alive = response.head is not None and response.head.keep_alive
        self.reusable = keep_alive and not response.has_surplus and self.is_open
        if self.reusable:
            self._resume()

    async def _wait_for_bytes(self, window_s: float, since: float) -> None:
        """Read until bytes arrive. Stalled `window_s` seconds after `since`, even if other bytes arrived meanwhile."""
        if time.monotonic() - since > window_s:
            raise Stalled(f"no usable data received for {window_s:.0f} s")
        if self._lost or self._eof:
            raise self._lost or ConnectionFailed("the server closed the connection")
        self._resume()
        await self._wait(window_s)

    def _new_waiter(self) -> asyncio.Future[None]:
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _continue(self) -> None:
        """After bytes arrived, or when the sink has room again: read on, pause, or end the body."""
        sink = self._sink
        if sink is None:
            return
        if not self._left or not sink.wanted_bytes:
            if self._left:
                self._pause()
            self._sink = None
            self._wake()
        elif sink.ready():
            self._resume()
        else:
            self._pause()

    def _copy(self, data: bytes, sink: Sink) -> bytes:
        """Copy what arrived with the head into the sink, as long as it is ready; returns the rest."""
        rest = copy_ready(sink, data)
        self._left -= len(data) - len(rest)
        return rest

    async def _drain(self, sink: Sink, data: bytes) -> None:
        """After a cancellation: receive what arrived with the head, and what the kernel and TLS hold.

        The latter is what the server sent ahead of a bandwidth limit, and would send again.
        """
        self._pause()
        self._sink = sink.wake = None  # from here on, only the loop below reads
        if self.is_open:
            self.window.close()  # a nearby server would send as much again meanwhile
        unread_bytes = self.unread_bytes
        if not (data or unread_bytes) or not sink.exempt(len(data) + unread_bytes):
            return
        until = time.monotonic() + DRAIN_S
        while (data or unread_bytes) and self._left and sink.wanted_bytes and time.monotonic() < until:
            if not sink.ready():
                await asyncio.sleep(DRAIN_STEP_S)
            elif data:
                data = self._copy(data, sink)
            elif count := self._read_now(sink.buffer()[: min(self._left, unread_bytes)]):
                sink.advance(count)
                self._left -= count
                unread_bytes -= count
            else:
                return

    def _read_now(self, view: memoryview) -> int:
        """Receive what is there without waiting; 0 for nothing."""
        with suppress(OSError, ssl.SSLError):
            if isinstance(self._transport, TlsTransport):
                return self._transport.read_now(view)
            return os.readv(self._transport.get_extra_info("socket").fileno(), [view])
        return 0

    async def _wait(self, window_s: float) -> None:
        """Wait for `_wake`. Stalled when no byte arrives for `window_s` seconds while reading is not paused."""
        if window_s < self._window_s:
            self._cancel_timer()
        self._timed_waiter, self._window_s = self._new_waiter(), window_s
        if self._timer is None:
            self._check_stalled()
        try:
            await self._timed_waiter
        finally:
            self._timed_waiter = None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_stalled(self) -> None:
        """Fail the waiter if no byte arrived for too long, else check again later.

        The timer outlives the waits, nearly all of which are short: it then finds no waiter, or a later deadline, so
        that a wait does not cost a timer of its own.
        """
        self._timer = None
        waiter = self._timed_waiter
        if waiter is None or waiter.done():
            return
        left_s = self._window_s if self._paused else self._progress_at + self._window_s - time.monotonic()
        if left_s <= 0:
            waiter.set_exception(Stalled(f"no data received for {self._window_s:.0f} s"))
        else:
            self._timer = self._loop.call_later(left_s, self._check_stalled)

    def _pause(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._progress_at = time.monotonic()
            self._transport.resume_reading()
