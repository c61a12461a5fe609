"""Connections that are kept alive and reused across segments and files."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import aiohappyeyeballs

from hfdmd.net.origin import RedirectPolicy, bracketed, host_of, literal_address, origin, split_origin
from hfdmd.net.proxy import Proxy, login_wanted
from hfdmd.net.trust import certificate_failure, ssl_context
from hfdmd.transfer.http.connection import HEAD_BUFFER_BYTES, Connection, request_head
from hfdmd.transfer.http.http_errors import BadResponse, ConnectionFailed
from hfdmd.transfer.http.receive_window import ReceiveWindow, window_bytes
from hfdmd.transfer.http.response import ResponseParser
from hfdmd.transfer.http.tls import ENCRYPTED_BUFFER_BYTES, TlsTransport

IDLE_S = 20.0
"""Close a connection that is unused for this long: servers and firewalls drop them silently, often after 60 s."""
MAX_IDLE = 1024
"""Unused connections of all origins, at most: as many as there can be connections in use."""
ADDRESSES_CACHED_S = 30.0
MAX_NAMES = 1000
HAPPY_EYEBALLS_DELAY_S = 0.25  # RFC 8305, section 5
FIT_S = 0.05
"""The receive windows are sized again at most this often."""

AddrInfo = aiohappyeyeballs.AddrInfoType


class Pool:
    """Open connections, and those that are unused for a while, by (origin, proxy)."""

    def __init__(self, policy: RedirectPolicy) -> None:
        self._policy = policy
        self._idle: dict[Connection, float] = {}  # since when each is unused, the longest first
        self._open: set[Connection] = set()
        self._names: dict[tuple[str, int], tuple[float, asyncio.Task[list[AddrInfo]]]] = {}
        self._resolvers = ThreadPoolExecutor(4, thread_name_prefix="hfdmd-dns")
        self._closed = False
        self._head_buffer = memoryview(bytearray(HEAD_BUFFER_BYTES))
        self._encrypted_buffer = memoryview(bytearray(ENCRYPTED_BUFFER_BYTES))
        self._bytes_per_s = 0
        self._fitting: asyncio.TimerHandle | None = None

    async def acquire(
        self, url: str, proxy: Proxy | None, timeout_s: float, *, fresh: bool = False
    ) -> tuple[Connection, bool]:
        """A connection for `url`, and whether it was used before.

        ConnectionFailed when none can be opened. Failure for a rejected certificate, and a proxy that wants a login.
        """
        key = (origin(url), proxy.url if proxy else None)
        while not fresh and (idle := next((known for known in reversed(self._idle) if known.key == key), None)):
            since = self._idle.pop(idle)
            # unread bytes were sent before the request: they must not be parsed as its response
            if idle.is_open and time.monotonic() - since < IDLE_S and not idle.unread_bytes:
                self._fit_window(idle)
                return idle, True
            idle.abort()
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connect(url, proxy)
                connection.key = key
                self._fit_window(connection)
                return connection, False
        except TimeoutError:
            raise ConnectionFailed(f"cannot connect to {host_of(url)} within {timeout_s:.0f} s") from None

    def release(self, connection: Connection) -> None:
        """Keep the connection for the next request if it can be reused, else close it."""
        outdated = connection.window.size_bytes is not None and not self._bytes_per_s  # it would stay as small
        if not connection.reusable or not connection.is_open or self._closed or outdated:
            connection.abort()
            return
        if len(self._idle) >= MAX_IDLE:
            self._close_idle(next(iter(self._idle)))
        self._idle[connection] = time.monotonic()

    @property
    def has_idle(self) -> bool:
        """Whether unused connections are kept."""
        return bool(self._idle)

    def reap(self) -> None:
        """Close connections that are unused for too long. Call it periodically."""
        now = time.monotonic()
        for connection, since in list(self._idle.items()):
            if not connection.is_open or now - since >= IDLE_S:
                self._close_idle(connection)

    def set_bandwidth(self, bytes_per_s: int) -> None:
        """Size the receive windows for this bandwidth limit, so that little is received ahead of it. 0 is no limit."""
        if bytes_per_s != self._bytes_per_s:
            self._bytes_per_s = bytes_per_s
            self._fit_windows()
            for connection in list(self._idle):
                self._close_idle(connection)

    def _fit_window(self, connection: Connection) -> None:
        """Size the window of a connection before it is used, and a moment later those of the others."""
        if self._bytes_per_s:
            in_use = len(self._open) - len(self._idle)
            connection.window.resize(window_bytes(self._bytes_per_s, connection.rtt_s, in_use))
            if self._fitting is None:
                self._fitting = asyncio.get_running_loop().call_later(FIT_S, self._fit_windows)

    def _fit_windows(self) -> None:
        self._cancel_fitting()
        in_use = [connection for connection in self._open if connection not in self._idle and connection.is_open]
        for connection in in_use if self._bytes_per_s else ():
            connection.window.resize(window_bytes(self._bytes_per_s, connection.rtt_s, len(in_use)))

    def _cancel_fitting(self) -> None:
        if self._fitting is not None:
            self._fitting.cancel()
            self._fitting = None

    def _close_idle(self, connection: Connection) -> None:
        del self._idle[connection]
        connection.abort()

    async def close(self) -> None:
        """Close all connections and wait until they are closed."""
        self._closed = True
        self._cancel_fitting()
        self._idle.clear()
        lookups = [task for _, task in self._names.values()]
        for task in lookups:
            task.cancel()
        for connection in list(self._open):
            connection.abort()
        await asyncio.gather(*lookups, *(connection.closed for connection in self._open), return_exceptions=True)
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def _connect(self, url: str, proxy: Proxy | None) -> Connection:
        scheme, host, port = split_origin(url)
        dial_host, dial_port = split_origin(proxy.url)[1:] if proxy else (host, port)
        sock, rtt_s = await self._dial(dial_host, dial_port, checked=proxy is None)
        loop = asyncio.get_running_loop()
        try:
            connection = Connection(self._head_buffer, ReceiveWindow(sock), rtt_s)
            if scheme == "https":
                if proxy:
                    await _tunnel(sock, host, port, proxy)
                tls = TlsTransport(ssl_context(), host, self._encrypted_buffer)
                await loop.create_connection(lambda: tls, sock=sock)
                await tls.shake_hands(connection)
            else:
                await loop.create_connection(lambda: connection, sock=sock)
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise certificate_failure(host, error) from None
        except OSError as error:
            sock.close()
            raise ConnectionFailed(f"cannot connect to {host} over TLS: {error.strerror or error}") from None
        except BaseException:
            sock.close()
            raise
        self._open.add(connection)
        connection.closed.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    async def _dial(self, host: str, port: int, *, checked: bool) -> tuple[socket.socket, float]:
        """A connected socket, and how many seconds its connect took: one round trip."""
        begun: dict[socket.socket, float] = {}

        def make(info: AddrInfo) -> socket.socket:
            sock = socket.socket(*info[:3])
            sock.setblocking(False)
            begun[sock] = time.monotonic()
            return sock

        try:
            addresses = await self._lookup(host, port)
            if checked and literal_address(host) is None:
                addresses = [entry for entry in addresses if self._policy.may_connect(host, str(entry[4][0]))]
                if not addresses:
                    raise ConnectionFailed(f"{host} resolves only to addresses inside this machine")
            sock = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S, interleave=1, socket_factory=make
            )
            return sock, time.monotonic() - begun[sock]
        except socket.gaierror as error:
            raise ConnectionFailed(f"cannot resolve {host}: {error.strerror or error}") from None
        except OSError as error:
            self._names.pop((host, port), None)  # the address may have changed
            raise ConnectionFailed(f"cannot connect to {host}:{port}: {error.strerror or error}") from None

    async def _lookup(self, host: str, port: int) -> list[AddrInfo]:
        """Addresses of a host; resolved once for all callers at the time, and again after half a minute."""
        now = time.monotonic()
        known = self._names.get((host, port))
        if known is None or now - known[0] > ADDRESSES_CACHED_S or (known[1].done() and _failed(known[1])):
            self._names.pop((host, port), None)
            if len(self._names) >= MAX_NAMES:
                self._forget_name()
            known = self._names[host, port] = (now, asyncio.create_task(self._resolve(host, port)))
        return await asyncio.shield(known[1])

    def _forget_name(self) -> None:
        """Remove the oldest name that is not being resolved: `close` ends running lookups."""
        oldest = next((name for name, (_, lookup) in self._names.items() if lookup.done()), None)
        if oldest is None:
            raise ConnectionFailed("too many host names are being resolved")
        del self._names[oldest]

    async def _resolve(self, host: str, port: int) -> list[AddrInfo]:
        return await asyncio.get_running_loop().run_in_executor(self._resolvers, _addresses, host, port)


def _addresses(host: str, port: int) -> list[AddrInfo]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [info for info in found if info[0] in (socket.AF_INET, socket.AF_INET6)]


def _failed(task: asyncio.Task[list[AddrInfo]]) -> bool:
    return task.cancelled() or task.exception() is not None


async def _tunnel(sock: socket.socket, host: str, port: int, proxy: Proxy) -> None:
    """CONNECT through an HTTP proxy (RFC 9110, 9.3.6)."""
    loop = asyncio.get_running_loop()
    name = f"{bracketed(host)}:{port}"
    headers = [("Host", name)]
    if proxy.authorization:
        headers.append(("Proxy-Authorization", proxy.authorization))
    response = ResponseParser()
    try:
        await loop.sock_sendall(sock, request_head("CONNECT", name, headers))
        while response.head is None:
            received = await loop.sock_recv(sock, 16 * 1024)
            if not received:
                raise ConnectionFailed("the proxy closed the connection")
            response.feed(memoryview(received))
    except BadResponse as error:
        raise ConnectionFailed(f"proxy: {error.detail}") from None
    except OSError as error:
        raise ConnectionFailed(f"the connection to the proxy failed: {error.strerror or error}") from None
    if response.head.status == 407:
        raise login_wanted()
    if not 200 <= response.head.status < 300:
        raise ConnectionFailed(f"the proxy refused a connection to {name} with status {response.head.status}")
    if response.buffered_bytes or response.has_surplus:
        raise ConnectionFailed("the proxy sent data that was not requested")
