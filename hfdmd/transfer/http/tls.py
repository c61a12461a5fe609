"""TLS between a socket and a connection that takes decrypted bytes only when it has room for them.

asyncio's own TLS keeps up to 512 KiB per connection beyond what its user wants. Under a bandwidth limit these are
received ahead of the limit, and lost by a pause or a kill. Here it is at most an incomplete record, 16 KiB.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Any

from hfdmd.transfer.http.http_errors import ConnectionFailed

ENCRYPTED_BUFFER_BYTES = 256 * 1024


class TlsTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """The protocol of a socket's transport, and after `shake_hands` the transport of another protocol."""

    def __init__(self, context: ssl.SSLContext, server_hostname: str, buffer: memoryview) -> None:
        """`buffer` receives encrypted bytes; it may be shared by all connections: it is emptied after every read."""
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._buffer = buffer
        self._socket: asyncio.Transport
        self._protocol: asyncio.BufferedProtocol | None = None
        self._paused = False
        self._decrypting = False
        self._waiter: asyncio.Future[None] | None = None

    async def shake_hands(self, protocol: asyncio.BufferedProtocol) -> None:
        """The handshake; from then on, `protocol` receives. ssl.SSLError or ConnectionFailed when it fails."""
        try:
            while not self._shaken():
                self._waiter = self._loop.create_future()
                await self._waiter
                if self.is_closing():
                    raise ConnectionFailed("the server closed the connection within the TLS handshake")
        except BaseException:
            self._socket.abort()  # TLS has sent an alert with the reason
            raise
        self._protocol = protocol
        protocol.connection_made(self)

    def _shaken(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        return True

    # called by the socket's transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_connection makes
        self._socket = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """No more than the protocol has room for, so that what it has not asked for stays in the kernel."""
        if self._protocol is None:
            return self._buffer
        return self._buffer[: len(memoryview(self._protocol.get_buffer(sizehint)))]

    def buffer_updated(self, nbytes: int) -> None:
        self._incoming.write(self._buffer[:nbytes])
        if self._protocol is None:
            self._wake()
        else:
            self._decrypt(self._protocol)

    def eof_received(self) -> None:
        """Nothing: only TLS itself says where the stream ends, or anyone on the way could shorten it."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._wake()
        if self._protocol is not None:
            self._protocol.connection_lost(exc)

    # called by the protocol

    @property
    def held_bytes(self) -> int:
        """How many received bytes were not passed on."""
        return self._incoming.pending + self._tls.pending()

    def read_now(self, view: memoryview) -> int:
        """Decrypt into `view` without waiting; reading must be paused. 0 at the end, BlockingIOError for nothing."""
        while (count := self._read(view)) is None:
            received = os.readv(self.get_extra_info("socket").fileno(), [self._buffer])
            if not received:
                return 0
            self._incoming.write(self._buffer[:received])
        return count

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._tls.write(data)
        self._flush()

    def pause_reading(self) -> None:
        self._paused = True
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        self._socket.resume_reading()
        if self.held_bytes and self._protocol is not None:
            self._loop.call_soon(self._decrypt, self._protocol)

    def is_closing(self) -> bool:
        return self._socket.is_closing()

    def close(self) -> None:
        self._socket.close()

    def abort(self) -> None:
        self._socket.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket.get_extra_info(name, default)

    # internal

    def _decrypt(self, protocol: asyncio.BufferedProtocol) -> None:
        """Pass on what can be decrypted, until the protocol pauses or more bytes are needed."""
        if self._decrypting:
            return
        self._decrypting = True
        try:
            while not (self._paused or self.is_closing()):
                count, is_end = self._fill(memoryview(protocol.get_buffer(-1)))
                if count:
                    protocol.buffer_updated(count)
                if is_end:
                    protocol.eof_received()
                    self.close()
                elif not count:
                    break
        except ssl.SSLError as error:
            self._socket.abort()
            protocol.connection_lost(ConnectionFailed(f"TLS: {error.reason}"))
        finally:
            self._decrypting = False
        self._flush()

    def _fill(self, view: memoryview) -> tuple[int, bool]:
        """How many bytes were decrypted into `view`, and whether the stream has ended: many records, one call."""
        filled = 0
        while filled < len(view):
            count = self._read(view[filled:])
            if not count:
                return filled, count == 0
            filled += count
        return filled, False

    def _read(self, view: memoryview) -> int | None:
        """How many bytes were decrypted into `view`, 0 at the end of the stream, None when more must be received."""
        try:
            return self._tls.read(len(view), view)  # type: ignore[return-value]  # a number, as there is a buffer
        except ssl.SSLWantReadError:
            return None

    def _flush(self) -> None:
        """Send what TLS has to send."""
        if data := self._outgoing.read():
            self._socket.write(data)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
