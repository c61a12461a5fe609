"""One HTTP/1.1 connection: plain bodies are received straight into the buffers they are written from."""

from __future__ import annotations

import array
import asyncio
import fcntl
import re
import socket
import termios
import time
from collections.abc import AsyncIterator

from hfdmd.failure import Failure
from hfdmd.transfer.http.http_errors import BadResponse, ConnectionFailed, Stalled
from hfdmd.transfer.http.response import HttpHead, ResponseParser
from hfdmd.transfer.sinks import DiscardSink
from hfdmd.transfer.transfer_errors import TransferError
from hfdmd.transfer.transport import Sink
from hfdmd.wire.types import Reason

HEAD_BUFFER_BYTES = 64 * 1024
DRAIN_S = 0.5
"""Nobody who stops a transfer waits longer for what has come already: the disk may be slow."""
DRAIN_STEP_S = 0.002

Key = tuple[str, str | None]
"""Whom a connection leads to: origin, and the proxy's URL if there is one."""

_TARGET = re.compile(r"[!-~]+")  # RFC 9112, 3.2: visible ASCII
_FIELD = re.compile(r"[!-~](?:[\t -~]*[!-~])?|")  # RFC 9110, 5.5, without what is not ASCII


def request_head(method: str, target: str, headers: list[tuple[str, str]]) -> bytes:
    """A request without a body. Failure(INTERNAL) for characters that HTTP forbids, which are not shown: the header
    may be the token."""
    if not _TARGET.fullmatch(target) or not all(_FIELD.fullmatch(value) for _, value in headers):
        raise Failure(Reason.INTERNAL, "the address or a header has characters that HTTP forbids")
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode("ascii")


class Connection(asyncio.BufferedProtocol):
    """One connection, for one request at a time.

    `request`, then `receive` or `chunks` or `skip`; then, if `reusable`, the next `request`. Between the head and
    the body little is read, and while a sink has no room, nothing.
    """

    def __init__(self, head_buffer: memoryview) -> None:
        """`head_buffer`, of `HEAD_BUFFER_BYTES`, may be shared by all connections: what comes is used up at once."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._head_buffer = head_buffer
        self._answer: ResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._listened: asyncio.Future[None] | None = None
        self._window_s = 0.0
        self._lost: TransferError | None = None
        self._paused = False
        self._sink: Sink | None = None
        self._left = 0
        self._eof = False
        self._progress_at = time.monotonic()
        self.reusable = False
        self.key: Key = ("", None)
        self.receive_buffer_bytes: int | None = None
        """What its kernel buffer was limited to."""
        self.has_response = False
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
        self.has_response = True
        if self._answer is None:
            self.abort(ConnectionFailed("the server sent something that was not asked for"))
            return
        try:
            self._answer.feed(self._head_buffer[:nbytes])
        except BadResponse as trouble:
            self.abort(trouble)
            return
        if self._answer.buffered_bytes >= HEAD_BUFFER_BYTES:
            self._pause()
        self._finish()

    def eof_received(self) -> bool | None:
        self._eof = True
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost is None:
            self._lost = ConnectionFailed(f"the connection broke: {exc}" if exc else "the server closed the connection")
        self._sink = None
        self.reusable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._finish()
        if not self.closed.done():
            self.closed.set_result(None)

    # what the transport calls

    @property
    def is_open(self) -> bool:
        return self._lost is None and self._transport is not None and not self._transport.is_closing()

    @property
    def unread_bytes(self) -> int:
        """How many have come that we have not read; under TLS, in their coded form."""
        of = None if self._transport is None else self._transport.get_extra_info("socket")
        if of is None or of.fileno() < 0:
            return 0
        count = array.array("i", [0])
        fcntl.ioctl(of.fileno(), termios.FIONREAD, count)
        return count[0]

    def abort(self, why: TransferError | None = None) -> None:
        """Stop at once: not a byte more is read, whoever waits gets `why`."""
        if self._lost is None:
            self._lost = why or ConnectionFailed("the connection was dropped")
        self._sink = None
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()
        self._finish()

    async def request(self, method: str, target: str, headers: list[tuple[str, str]], window_s: float) -> HttpHead:
        """Send a request and wait for the head of its answer.

        Trouble when it breaks, or when `window_s` pass in silence or with nothing but a part of the head.
        """
        if not self.is_open or self._transport is None:
            raise self._lost or ConnectionFailed("the connection is closed")
        head = request_head(method, target, headers)
        self._answer = answer = ResponseParser()
        self.has_response = self.reusable = False
        self._transport.write(head)
        self._progress_at = asked_at = time.monotonic()
        try:
            await self._more(window_s)
            while answer.head is None:
                _check_patience(asked_at, window_s)
                await self._more(window_s)
        except BaseException:
            self.abort()
            raise
        return answer.head

    async def receive(self, sink: Sink, length: int, window_s: float) -> None:
        """A body of known length into `sink`. Returns early, the connection closed, when the sink wants no more.

        When it is cancelled, what has come to this machine by then still reaches the sink, if that has a use for it.
        """
        answer = self._take_answer()
        data = answer.take()
        self._left = length
        try:
            while (data := self._put(data, sink)) and sink.wanted_bytes:
                self._pause()
                await self._until_ready(sink)
            if self._left and sink.wanted_bytes:
                self._sink = sink
                sink.wake = self._go_on
                self._go_on()
                await self._ended(window_s)
            if self._left and sink.wanted_bytes:
                raise self._lost or ConnectionFailed("the server closed the connection")
            if self._left:
                self.abort()
            else:
                self._rest(answer)
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
        """A body of unknown length, piece by piece, to its proper end; Trouble when it ends early."""
        answer = self._answer
        if answer is None:
            raise self._lost or ConnectionFailed("the connection is closed")
        heard_at = time.monotonic()
        try:
            while not answer.is_complete or answer.buffered_bytes:
                if answer.buffered_bytes:
                    yield answer.take()
                    heard_at = time.monotonic()
                elif self._eof and answer.ends_with_connection:
                    break
                elif self._eof or self._lost:
                    raise self._lost or ConnectionFailed("the server closed the connection within the body")
                else:
                    _check_patience(heard_at, window_s)
                    self._progress_at = time.monotonic()
                    await self._more(window_s)
            self._answer = None
            self._rest(answer)
        except BaseException:
            self.abort()
            raise

    async def skip(self, head: HttpHead, at_most: int, window_s: float) -> None:
        """Read past a body of no interest, so that the connection can be used again; a long one closes it."""
        if head.length is None or head.length > at_most or not head.keep_alive:
            self.abort()
            return
        await self.receive(DiscardSink(head.length), head.length, window_s)

    def limit_receive_buffer(self, size_bytes: int) -> None:
        """Let the kernel keep no more for us than that; what it has is not lost."""
        has_more = self.receive_buffer_bytes is None or self.receive_buffer_bytes > size_bytes
        if has_more and self._set_receive_buffer(size_bytes):
            self.receive_buffer_bytes = size_bytes

    # inside

    def _take_answer(self) -> ResponseParser:
        """The present answer: from now on what comes is not for it."""
        answer, self._answer = self._answer, None
        if answer is None:
            raise self._lost or ConnectionFailed("the connection is closed")
        return answer

    def _rest(self, answer: ResponseParser) -> None:
        """The body is there: what comes from now on was not asked for, and ends the connection."""
        keep_alive = answer.head is not None and answer.head.keep_alive
        self.reusable = keep_alive and not answer.has_surplus and self.is_open
        if self.reusable:
            self._resume()

    async def _more(self, window_s: float) -> None:
        """Wait until something has come."""
        if self._lost or self._eof:
            raise self._lost or ConnectionFailed("the server closed the connection")
        waiter = self._wait()
        self._resume()
        await self._wait_quietly(waiter, window_s)

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
            if self._left:
                self._pause()
            self._sink = None
            self._finish()
        elif sink.ready():
            self._resume()
        else:
            self._pause()

    def _put(self, data: bytes, sink: Sink) -> bytes:
        """Copy what came with the head into the sink, as far as it is ready for it; the rest."""
        while data and sink.wanted_bytes and sink.ready():
            view = sink.buffer()
            count = min(len(view), len(data))
            view[:count] = data[:count]
            sink.advance(count)
            self._left -= count
            data = data[count:]
        return data

    async def _drain(self, sink: Sink, data: bytes) -> None:
        """Bring what came with the head, and what lies in the kernel because we were not reading.

        The latter is up to several MiB, which would be sent again. While we do read, little lies there, and a near
        server would send as much again meanwhile.
        """
        unread_bytes = self.unread_bytes if self._paused else 0
        if not (data or unread_bytes) or not sink.exempt(len(data) + unread_bytes) or self._put(data, sink):
            return
        if not unread_bytes:
            return
        self._sink = sink
        self._close_window()
        self._go_on()
        goal = self._left - unread_bytes
        until = time.monotonic() + DRAIN_S
        while self._sink is sink and self._left > goal and time.monotonic() < until:  # noqa: ASYNC110 - seldom, and short
            await asyncio.sleep(DRAIN_STEP_S)

    def _close_window(self) -> None:
        """Let the kernel accept no more than it has already."""
        self._set_receive_buffer(1)  # the least that the system allows

    def _set_receive_buffer(self, size_bytes: int) -> bool:
        if not self.is_open or self._transport is None:
            return False
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)
        return True

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
        if self._timer is not None and window_s < self._window_s:
            self._timer.cancel()
            self._timer = None
        self._listened, self._window_s = waiter, window_s
        if self._timer is None:
            self._listen()
        try:
            await waiter
        finally:
            self._listened = None

    def _listen(self) -> None:
        """End the wait when nothing was heard for too long, else listen on.

        The timer outlives the waits, since nearly all are short: it finds nobody waiting, or a later end, and costs
        nothing before.
        """
        self._timer = None
        waiter = self._listened
        if waiter is None or waiter.done():
            return
        patience_s = self._window_s if self._paused else self._progress_at + self._window_s - time.monotonic()
        if patience_s <= 0:
            waiter.set_exception(Stalled(f"not a byte came for {self._window_s:.0f} s"))
        else:
            self._timer = self._loop.call_later(patience_s, self._listen)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._progress_at = time.monotonic()
            self._transport.resume_reading()


def _check_patience(since: float, window_s: float) -> None:
    """Trouble when what is waited for has not come within the window, whatever else trickled in."""
    if time.monotonic() - since > window_s:
        raise Stalled(f"nothing of use came for {window_s:.0f} s")
