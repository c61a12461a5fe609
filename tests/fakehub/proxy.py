"""A forward proxy for tests of HTTP_PROXY and HTTPS_PROXY: absolute-form requests and CONNECT tunnels."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

HEAD_BYTES = 64 * 1024
START_S = 10.0


class ForwardProxy:
    """A proxy on loopback in a thread of its own. `credentials`: "user:password" that it requires (407)."""

    def __init__(self, credentials: str | None = None) -> None:
        self.credentials = credentials
        self.asked: list[tuple[str, str, bool]] = []
        """Method, target and whether Proxy-Authorization was right, of every request."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The value for HTTP_PROXY, with credentials."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"http://{self.credentials + '@' if self.credentials else ''}127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(START_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._request(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            await _shut(writer)

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, _, rest = head.partition("\r\n")
        method, target, _ = line.split(" ", 2)
        headers = [header for header in rest.split("\r\n") if header]
        allowed = self._allowed(headers)
        self.asked.append((method, target, allowed and self.credentials is not None))
        if not allowed:
            refusal = 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test"'
            writer.write(f"{refusal}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return True
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            parts = urlsplit(target)
            far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            path = target.split(parts.netloc, 1)[1] or "/"
            kept = [h for h in headers if not h.lower().startswith(("proxy-", "connection:"))]
            far_writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]).encode())
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer, close=True))
        finally:
            await _shut(far_writer)
        return False

    def _allowed(self, headers: list[str]) -> bool:
        if self.credentials is None:
            return True
        expected = base64.b64encode(self.credentials.encode()).decode()
        return any(h.lower().startswith("proxy-authorization:") and h.endswith(expected) for h in headers)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, close: bool = False) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(HEAD_BYTES):
            writer.write(data)
            await writer.drain()
    if close:
        writer.close()


async def _shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
