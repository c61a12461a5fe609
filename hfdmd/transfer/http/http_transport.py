"""Ranges over HTTP: requests, redirects, and which responses are accepted."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from hfdmd.digest import POINTER_LIMIT_BYTES, is_lfs_pointer, pointer_failure
from hfdmd.failure import Failure
from hfdmd.net.origin import (
    MAX_REDIRECTS,
    RedirectPolicy,
    Target,
    host_field,
    host_of,
    origin,
    request_target,
    split_origin,
)
from hfdmd.net.proxy import Proxy, login_wanted, proxy_for
from hfdmd.net.retry_after import RetryAfter
from hfdmd.transfer.http.coding import coding_of, decoded
from hfdmd.transfer.http.connection import Connection
from hfdmd.transfer.http.http_errors import (
    BadRange,
    BadRedirect,
    BadResponse,
    ConnectionFailed,
    RangeIgnored,
    RangeRefused,
    ServerBusy,
    UrlRefused,
)
from hfdmd.transfer.http.location import Location
from hfdmd.transfer.http.pool import Pool
from hfdmd.transfer.http.response import HttpHead
from hfdmd.transfer.sinks import copy_to
from hfdmd.transfer.slots import ConnectionSlots
from hfdmd.transfer.transport import ENDLESS, FileSink, TransferError
from hfdmd.wire.types import Reason, TransportName

FAR_S = 0.02
"""A server whose responses start later than this is far away."""

PROXY_CACHED_S = 1.0
MAX_ORIGINS = 1000
"""Origins that are remembered: a Hub chooses where its redirects lead."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
REFUSED = frozenset({401, 403, 404, 410})
MAX_SKIPPED_BYTES = 64 * 1024
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class HttpShared:
    """What all HTTP transports of the daemon share."""

    retry_after: RetryAfter
    policy: RedirectPolicy
    user_agent: str
    slots: ConnectionSlots
    pool: Pool = field(init=False)
    ranging: dict[str, float] = field(default_factory=dict)
    """Origins that answered 206, and how many seconds the response took to start. Several connections may be opened
    to them at once."""
    stall_timeout_s: float = 30.0
    _proxies: dict[str, tuple[float, Proxy | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pool = Pool(self.policy)

    def note_ranging(self, url: str, first_byte_s: float) -> None:
        """Remember that the origin of `url` sends ranges; the origin noted longest ago is forgotten when it is full."""
        key = origin(url)
        self.ranging.pop(key, None)
        if len(self.ranging) >= MAX_ORIGINS:
            del self.ranging[next(iter(self.ranging))]
        self.ranging[key] = first_byte_s

    def proxy_for(self, url: str) -> Proxy | None:
        """`net.proxy.proxy_for`, cached for a second per origin: thousands of small files have the same one."""
        key, now = origin(url), time.monotonic()
        known = self._proxies.get(key)
        if known is None or now - known[0] > PROXY_CACHED_S:
            if len(self._proxies) >= MAX_ORIGINS:
                self._proxies.clear()
            known = self._proxies[key] = (now, proxy_for(url))
        return known[1]

    @property
    def window_s(self) -> float:
        """How long one connection may be silent: half the stall timeout, so that the file gets a second attempt."""
        return self.stall_timeout_s / 2

    async def request(
        self, url: str, headers: list[tuple[str, str]], secret_headers: Mapping[str, str]
    ) -> tuple[Connection, HttpHead, float]:
        """Send a GET; the connection, the response's head, and how many seconds it took to start.

        A reused connection that was closed meanwhile is replaced by a new one. Follows no redirects. TransferError
        when there is no response; Failure when the server asked for a longer wait, or its certificate is not trusted.
        """
        await self.retry_after.wait(url, self.stall_timeout_s)
        proxy = self.proxy_for(url)
        name, path = host_field(url), request_target(url)
        full = [("Host", name), ("User-Agent", self.user_agent), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
        if proxy is not None and split_origin(url)[0] == "http":
            path = f"http://{name}{path}"
            if proxy.authorization:
                full.append(("Proxy-Authorization", proxy.authorization))
        full += [*headers, *secret_headers.items()]
        fresh = False
        while True:
            connection, reused = await self.pool.acquire(url, proxy, self.window_s, fresh=fresh)
            requested_at = time.monotonic()
            try:
                head = await connection.request("GET", path, full, self.window_s)
                return connection, head, time.monotonic() - requested_at
            except ConnectionFailed:
                if not reused or connection.has_response:
                    raise
                fresh = True

    async def skip_body(self, connection: Connection, head: HttpHead) -> None:
        """Discard a short body so that the connection can be reused. Errors are ignored: only the head is needed."""
        if head.keep_alive and head.length is not None and head.length <= MAX_SKIPPED_BYTES:
            with suppress(TransferError):
                async for _ in connection.chunks(self.window_s):
                    pass

    def check_status(self, url: str, head: HttpHead, *, decodes: bool = False) -> None:
        """Raise an error unless the response carries usable content. `decodes`: the caller decodes coded content."""
        status = head.status
        host = host_of(url)
        if status in (200, 206):
            if not decodes and (coding := coding_of(head.headers)) is not None:
                raise BadResponse(f"{host} sends content with Content-Encoding {coding!r}, which was not requested")
            return
        if status == 416:
            raise RangeRefused(f"{host} has a shorter file (416 Range Not Satisfiable)")
        if status in REFUSED:
            raise UrlRefused(f"{host} refused the file with status {status}")
        if status in (408, 429) or status >= 500:
            wait_s = self.retry_after.note(url, status, head.headers)
            raise ServerBusy(f"{host} answered with status {status}", status, wait_s)
        if status == 407:
            raise login_wanted()
        raise BadResponse(f"{host} answered with status {status}")


class HttpTransport(Location):
    """One file over HTTP; see `Transport`. Redirects are remembered until they are refused."""

    name: TransportName = "http"

    def __init__(
        self,
        shared: HttpShared,
        locate: Callable[[], Awaitable[Target]],
        size_bytes: int | None,
        *,
        has_digest: bool = True,
    ) -> None:
        super().__init__(locate, shared.slots)
        self._has_digest = has_digest
        self._content_version: tuple[str | None, str | None] | None = None
        self.first_byte_s = 0.05
        self._shared = shared
        self._size_bytes = size_bytes

    @property
    def is_proven(self) -> bool:
        return self._known_first_byte_s is not None

    @property
    def is_far(self) -> bool:
        return (self._known_first_byte_s or 0.0) >= FAR_S

    @property
    def _known_first_byte_s(self) -> float | None:
        return None if self.url is None else self._shared.ranging.get(origin(self.url))

    async def fetch(self, start: int, end: int | None, sink: FileSink) -> None:
        url, secret_headers = await self.get()
        generation = self.generation
        headers = [] if end is None else [("Range", f"bytes={start}-{end - 1}")]
        for _ in range(MAX_REDIRECTS + 1):
            with _naming_host(url):
                connection, head, self.first_byte_s = await self._shared.request(url, headers, secret_headers)
            try:
                if head.status not in REDIRECTS or "location" not in head.headers:
                    self.remember_direct(url, secret_headers, generation)
                    with _naming_host(url):
                        await self._receive(url, generation, connection, head, start, end, sink)
                    return
                try:
                    location = head.headers["location"].encode("latin-1").decode(errors="surrogateescape")
                    next_url = self._shared.policy.next_url(url, location)
                except Failure as failure:
                    raise BadRedirect(failure.detail) from None
                await self._shared.skip_body(connection, head)
                if origin(next_url) != origin(url):
                    secret_headers = {}
            finally:
                self._shared.pool.release(connection)
            url = next_url
        raise BadRedirect(f"more than {MAX_REDIRECTS} redirects, the last to {host_of(url)}")

    async def _receive(
        self,
        url: str,
        generation: int,
        connection: Connection,
        head: HttpHead,
        start: int,
        end: int | None,
        sink: FileSink,
    ) -> None:
        """Check the response and receive its body into `sink`. `end` None: the whole file was requested."""
        if head.status not in (200, 206):
            await self._shared.skip_body(connection, head)
        self._shared.check_status(url, head, decodes=True)
        if not self._has_digest:
            self._check_unchanged(url, head)
        coding = coding_of(head.headers)
        length = head.length if coding is None else None
        try:
            end = self._check_size(head, length, start, end)
        except BadResponse:
            await self._refuse_pointer(url, connection, head)
            raise
        if head.status == 206:
            self._shared.note_ranging(url, self.first_byte_s)
            self.has_ranged = True
        elif end is not None and (start != 0 or (end != self._size_bytes and not sink.accept_whole(length))):
            raise RangeIgnored(f"{host_of(url)} sends the whole file instead of a range")
        elif end is None and self._size_bytes is None:
            sink.accept_whole(length)
        self.served(generation)
        if length is not None:
            await connection.receive(sink, length, self._shared.window_s)
            return
        chunks = connection.chunks(self._shared.window_s)
        if coding is not None:
            chunks = decoded(chunks, coding)
        # the sink may want less of a range by now, as the rest was left to another connection
        sent_bytes = end - start if head.status == 206 and end is not None else sink.wanted_bytes
        try:
            await self._receive_chunks(url, chunks, sent_bytes, sink)
        except BadResponse as error:
            if head.status == 206:  # perhaps a range of the coded file, not the coded range of the file
                raise BadRange(error.detail) from None
            raise

    def _check_unchanged(self, url: str, head: HttpHead) -> None:
        """Without a digest nothing else notices that two responses are of two contents. Raises Failure."""
        version = head.headers.get("etag"), head.headers.get("last-modified")
        if self._content_version is None:
            self._content_version = version
        elif self._content_version != version:
            raise Failure(Reason.HASH_MISMATCH, f"{host_of(url)} has replaced the file while it was fetched")

    async def _refuse_pointer(self, url: str, connection: Connection, head: HttpHead) -> None:
        """Raise the final failure if a body of the wrong size is a Git LFS pointer. It is read only if it is short."""
        if head.length is None or head.length >= POINTER_LIMIT_BYTES:
            return
        body = bytearray()
        with suppress(TransferError):
            async for chunk in connection.chunks(self._shared.window_s):
                body += chunk
        if is_lfs_pointer(body):
            raise pointer_failure(host_of(url))

    def _check_size(self, head: HttpHead, length: int | None, start: int, end: int | None) -> int | None:
        """The end of the range that is sent, for a 206; else `end`. BadResponse for another size than requested."""
        if head.status != 206:
            if None not in (length, self._size_bytes) and length != self._size_bytes:
                raise BadResponse(f"the server's file has {length} bytes, expected {self._size_bytes}")
            return end
        if end is None:
            raise BadRange("a range was sent though the whole file was requested")
        end = self._check_range(head, start, end)
        if length is not None and length != end - start:
            raise BadRange(f"a response of {length} bytes for a range of {end - start}")
        return end

    def _check_range(self, head: HttpHead, start: int, end: int) -> int:
        """The end of the range that is sent, at most `end`. BadRange unless it starts at `start` and ends by `end`."""
        match = CONTENT_RANGE.fullmatch(head.headers.get("content-range", "").strip())
        if match is None:
            raise BadRange("a range without a valid Content-Range header")
        first, last, total = match.groups()
        if int(first) != start or not start < int(last) + 1 <= end:
            raise BadRange(f"bytes {first}-{last} were sent, but {start}-{end - 1} were requested")
        if total != "*" and self._size_bytes is not None and int(total) != self._size_bytes:
            raise BadRange(f"the server's file has {total} bytes, expected {self._size_bytes}")
        return int(last) + 1

    async def _receive_chunks(
        self, url: str, chunks: AsyncIterator[bytes], requested_bytes: int, sink: FileSink
    ) -> None:
        """Receive a body of unknown length. BadResponse for too many bytes, or too few while all are still wanted."""
        received_bytes = 0
        first = bytearray()
        async for chunk in chunks:
            if received_bytes < POINTER_LIMIT_BYTES:
                first += chunk
            received_bytes += len(chunk)
            if received_bytes > requested_bytes:
                raise BadResponse(f"more than the requested {requested_bytes} bytes were sent")
            await copy_to(sink, chunk)
            if not sink.wanted_bytes and received_bytes < requested_bytes:
                return
        if sink.wanted_bytes and sink.wanted_bytes < ENDLESS:
            if is_lfs_pointer(first):
                raise pointer_failure(host_of(url))
            raise BadResponse(f"only {received_bytes} of the requested {requested_bytes} bytes were sent")


@contextmanager
def _naming_host(url: str) -> Iterator[None]:
    """The detail of an error names the server."""
    try:
        yield
    except TransferError as error:
        if (host := host_of(url)) not in error.detail:
            error.detail = f"{host}: {error.detail}"
        raise
