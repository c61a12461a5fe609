"""Ranges over HTTP: redirects, what an answer means, and where its body goes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from hfdmd.failure import Failure
from hfdmd.net.origin import MAX_REDIRECTS, RedirectPolicy, host_field, origin, request_target, split_origin
from hfdmd.net.proxy import Proxy, proxy_for
from hfdmd.net.retry_after import RetryAfter
from hfdmd.net.target import Target
from hfdmd.transfer.http.connection import Connection
from hfdmd.transfer.http.pool import Pool
from hfdmd.transfer.http.response import HttpHead
from hfdmd.transfer.transfer_errors import (
    BadRange,
    BadRedirect,
    BadResponse,
    ConnectionFailed,
    RangeIgnored,
    RangeRefused,
    ServerBusy,
    TransferError,
    UrlRefused,
)
from hfdmd.transfer.transport import Sink

ENDLESS = 1 << 50
"""A sink that wants at least so much takes whatever there is: nobody knows the size."""

FAR_S = 0.02
"""A server whose answers begin later than this is far away."""

PROXY_KEPT_S = 1.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DENIED = frozenset({401, 403, 404, 410})
_SKIPPED_BODY_BYTES = 64 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)


class HttpShared:
    """What all HTTP transports of the daemon share."""

    def __init__(self, retry_after: RetryAfter, policy: RedirectPolicy, user_agent: str) -> None:
        self.retry_after = retry_after
        self.policy = policy
        self.user_agent = user_agent
        self.pool = Pool(policy)
        self.ranging: dict[str, float] = {}
        """Origins that have answered 206, so that several connections may ask them at once; and after how many seconds
        that answer began."""
        self.stall_timeout_s = 30.0
        self._proxies: dict[str, tuple[float, Proxy | None]] = {}

    def proxy_for(self, url: str) -> Proxy | None:
        """`net.proxy.proxy_for`, asked once a second for each origin: thousands of small files come from one."""
        key, now = origin(url), time.monotonic()
        known = self._proxies.get(key)
        if known is None or now - known[0] > PROXY_KEPT_S:
            if len(self._proxies) > 1000:
                self._proxies.clear()
            known = self._proxies[key] = (now, proxy_for(url))
        return known[1]

    @property
    def window_s(self) -> float:
        """How long one connection may be silent: half of what the file may, so that it gets a second chance."""
        return self.stall_timeout_s / 2


class HttpTransport:
    """One file over HTTP. `locate` gives fresh URLs; where redirects led is remembered until it is refused."""

    def __init__(self, shared: HttpShared, locate: Callable[[], Awaitable[Target]], size_bytes: int | None) -> None:
        self._shared = shared
        self._locate = locate
        self._size_bytes = size_bytes
        self._target: Target | None = None
        self._direct: tuple[str, Mapping[str, str]] | None = None  # where the redirects led, and what headers go there
        self._locating = asyncio.Lock()
        self.on_located: Callable[[], None] | None = None
        """Called when a new address is there."""
        self.generation = 0
        """Rises whenever an address is given up."""
        self.ranged = True
        """False: the file is to come in one piece, as far as possible."""
        self.has_ranged = False
        """Whether this file was ever served in parts."""
        self.first_byte_s = 0.05
        """How long the last answer took to begin."""

    @property
    def is_proven(self) -> bool:
        """Whether the server is known to honour ranges, so that several connections may ask it at once."""
        return self._known_first_byte_s is not None

    @property
    def is_far(self) -> bool:
        """Whether the server is known to be so far away, or so slow to answer, that one connection is never enough."""
        return (self._known_first_byte_s or 0.0) >= FAR_S

    @property
    def _known_first_byte_s(self) -> float | None:
        url = self._direct[0] if self._direct else self._target.url if self._target else None
        return None if url is None else self._shared.ranging.get(origin(url))

    async def target(self) -> Target:
        """Where the file is; the Hub is asked once for all who want to know."""
        async with self._locating:
            if self._target is None:
                self._target = await self._locate()
                if self.on_located is not None:
                    self.on_located()
            return self._target

    def forget_target(self, *, redirect_only: bool = False) -> None:
        """The present URL is no good: ask for a new one at the next fetch, or only where it redirects to."""
        self.generation += 1
        self._direct = None
        if not redirect_only:
            self._target = None

    @property
    def was_redirected(self) -> bool:
        return self._direct is not None and self._target is not None and self._direct[0] != self._target.url

    async def fetch(self, start: int, end: int | None, sink: Sink) -> None:
        target = await self.target()
        generation = self.generation
        url, secret = self._direct or (target.url, target.headers)
        headers = [] if end is None else [("Range", f"bytes={start}-{end - 1}")]
        for _ in range(MAX_REDIRECTS + 1):
            connection, head = await self._ask(url, headers, secret)
            try:
                if head.status not in _REDIRECTS or "location" not in head.headers:
                    if generation == self.generation:  # else it was given up while this answer was under way
                        self._direct = (url, secret)
                    await self._take(url, connection, head, start, end, sink)
                    return
                try:
                    location = head.headers["location"].encode("latin-1").decode(errors="surrogateescape")
                    next_url = self._shared.policy.next_url(url, location)
                except Failure as failure:
                    raise BadRedirect(failure.detail) from None
                await self._skip(connection, head)
                if origin(next_url) != origin(url):
                    secret = {}
            finally:
                self._shared.pool.release(connection)
            url = next_url
        raise BadRedirect(f"more than {MAX_REDIRECTS} redirects, the last to {_host(url)}")

    async def _ask(
        self, url: str, headers: list[tuple[str, str]], secret: Mapping[str, str]
    ) -> tuple[Connection, HttpHead]:
        """Send a GET and wait for the head of the answer; a reused connection that had died is replaced in silence."""
        shared = self._shared
        await shared.retry_after.wait(url, shared.stall_timeout_s)
        proxy = shared.proxy_for(url)
        full, path = self._request_head(url, proxy)
        full += [*headers, *secret.items()]
        fresh = False
        while True:
            connection, reused = await shared.pool.acquire(url, proxy, shared.window_s, fresh=fresh)
            asked_at = time.monotonic()
            try:
                head = await connection.request("GET", path, full, shared.window_s)
                self.first_byte_s = time.monotonic() - asked_at
                return connection, head
            except ConnectionFailed:
                if not reused or connection.answered:
                    raise
                fresh = True

    def _request_head(self, url: str, proxy: Proxy | None) -> tuple[list[tuple[str, str]], str]:
        name, path = host_field(url), request_target(url)
        headers = [
            ("Host", name),
            ("User-Agent", self._shared.user_agent),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
        ]
        if proxy is not None and split_origin(url)[0] == "http":
            path = f"http://{name}{path}"
            if proxy.authorization:
                headers.append(("Proxy-Authorization", proxy.authorization))
        return headers, path

    async def _take(
        self, url: str, connection: Connection, head: HttpHead, start: int, end: int | None, sink: Sink
    ) -> None:
        """Judge the answer; its body goes into `sink` if it is what was asked for. `end` None: all was asked for."""
        if head.status not in (200, 206):
            await self._skip(connection, head)
        self._refuse(url, head)
        length = head.length
        if head.status == 206:
            if end is None:
                raise BadRange("a part of the file where all of it was asked for")
            end = self._check_range(head, start, end)
            if length is not None and length != end - start:
                raise BadRange(f"a body of {length} bytes for a range of {end - start}")
            self._shared.ranging[origin(url)] = self.first_byte_s
            self.has_ranged = True
        else:
            if None not in (length, self._size_bytes) and length != self._size_bytes:
                raise BadResponse(f"a file of {length} bytes, not of {self._size_bytes}")
            if end is not None and (start != 0 or (end != self._size_bytes and not sink.accept_whole(length))):
                raise RangeIgnored(f"{_host(url)} sends the whole file instead of a part")
            if end is None and self._size_bytes is None:
                sink.accept_whole(length)
        if length is not None:
            await connection.receive(sink, length, self._shared.window_s)
        else:
            await self._take_chunks(connection, sink)

    async def _skip(self, connection: Connection, head: HttpHead) -> None:
        """Read past a body of no interest; when that breaks, the head still says all there is to know."""
        with suppress(TransferError):
            await connection.skip(head, _SKIPPED_BODY_BYTES, self._shared.window_s)

    def _refuse(self, url: str, head: HttpHead) -> None:
        """Trouble for every answer that carries no content we can use."""
        status = head.status
        coding = head.headers.get("content-encoding", "identity").strip().lower()
        if status in (200, 206) and coding in ("", "identity"):
            return
        host = _host(url)
        if status == 416:
            raise RangeRefused(f"{host} says that the file is shorter (416)")
        if status in _DENIED:
            raise UrlRefused(f"{host} refuses the file with {status}")
        if status in (408, 429) or status >= 500:
            wait_s = self._shared.retry_after.note(url, status, head.headers)
            raise ServerBusy(f"{host} answers {status}", status, wait_s)
        if status not in (200, 206):
            raise BadResponse(f"{host} answers {status}")
        raise BadResponse(f"{host} sends the file coded ({coding[:20]}) though it was asked not to")

    def _check_range(self, head: HttpHead, start: int, end: int) -> int:
        """The end of the range that is sent, at most `end`; BadRange when it is not (a part of) what was asked for."""
        match = _CONTENT_RANGE.fullmatch(head.headers.get("content-range", "").strip())
        if match is None:
            raise BadRange("a part of the file without a proper Content-Range")
        first, last, total = match.groups()
        if int(first) != start or not start < int(last) + 1 <= end:
            raise BadRange(f"bytes {first}-{last} where {start}-{end - 1} were asked for")
        if total != "*" and self._size_bytes is not None and int(total) != self._size_bytes:
            raise BadRange(f"a file of {total} bytes, not of {self._size_bytes}")
        return int(last) + 1

    async def _take_chunks(self, connection: Connection, sink: Sink) -> None:
        """A body of unknown length; more than is wanted is an error, unless somebody else fetches the rest."""
        asked = sink.wanted_bytes
        got = 0
        async for chunk in connection.chunks(self._shared.window_s):
            got += len(chunk)
            if got > asked:
                raise BadResponse(f"more than the {asked} bytes that were asked for")
            await put(sink, chunk)
            if not sink.wanted_bytes and got < asked:
                return
        if sink.wanted_bytes and sink.wanted_bytes < ENDLESS:
            raise BadResponse(f"only {got} of the {asked} bytes that were asked for")


async def put(sink: Sink, data: bytes) -> None:
    """Copy `data` into the sink, as far as it is wanted, waiting for room."""
    while data and sink.wanted_bytes:
        while not sink.ready():
            room = asyncio.Event()
            sink.wake = room.set
            await room.wait()
            sink.wake = None
        view = sink.buffer()
        count = min(len(view), len(data))
        view[:count] = data[:count]
        sink.advance(count)
        data = data[count:]


def _host(url: str) -> str:
    return split_origin(url)[1]
