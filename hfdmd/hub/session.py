"""Requests to the Hub over one aiohttp session, with the rules for tokens, proxies, TLS and Retry-After."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from hfdmd.durable import disk_reason
from hfdmd.failure import Failure
from hfdmd.hub.refusals import RequestContext, response_failure
from hfdmd.hub.urls import next_page
from hfdmd.net.origin import MAX_REDIRECTS, RedirectPolicy, origin
from hfdmd.net.proxy import login_wanted, proxy_for
from hfdmd.net.retry_after import RetryAfter, backoff_s
from hfdmd.net.trust import certificate_failure, ssl_context
from hfdmd.wire.types import Reason

MAX_WAIT_S = 10.0
"""The longest Retry-After that a request waits for. After a longer one it fails, and its download is queued."""

MAX_BODY_BYTES = 64 * 1024 * 1024
_MAX_FIELD_BYTES = 64 * 1024  # signed URLs in Location are long
_HEAD_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10, sock_read=20)
_BODY_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=10, sock_read=30)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRIES = 4  # per request, since a list of files takes many
_PROXY_AUTH = "Proxy-Authorization"
_READ_BYTES = 256 * 1024

Headers = CIMultiDictProxy[str]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The response that describes a file. `location` is the URL of the bytes when the response is a redirect."""

    url: str
    status: int
    headers: Headers
    location: str | None


@dataclass(slots=True, eq=False)
class HubSession:
    """Requests to one Hub. The token is sent to the origin of `endpoint` only."""

    endpoint: str
    retry_after: RetryAfter
    policy: RedirectPolicy
    user_agent: str
    token: Callable[[], str | None]
    _parent: HubSession | None = None
    _session: aiohttp.ClientSession | None = None

    def as_caller(self, token: Callable[[], str | None]) -> HubSession:
        """The same connections with another token; with this session's own while `token` returns None."""
        return HubSession(self.endpoint, self.retry_after, self.policy, self.user_agent, token, self)

    def auth(self, url: str) -> dict[str, str]:
        """The header with the token; empty for other origins than the Hub's, and without a token.

        Raises `Failure`: unauthorized for a token that is not legal in a header or a token file that is unreadable,
        locked when no file can be opened now.
        """
        if origin(url) != origin(self.endpoint):
            return {}
        try:
            token = self.token()
        except OSError as error:
            reason = Reason.LOCKED if disk_reason(error) is Reason.LOCKED else Reason.UNAUTHORIZED
            raise Failure(reason, f"The Hub token's file cannot be read: {error.strerror}.") from None
        if token is None:
            return {} if self._parent is None else self._parent.auth(url)
        if not (token.isascii() and token.isprintable()):
            raise Failure(Reason.UNAUTHORIZED, "The Hub token has invalid characters: set it again.")
        return {"Authorization": f"Bearer {token}"}

    async def head(self, url: str, context: RequestContext) -> ResponseHead:
        """HEAD, following redirects until a response describes the file. Raises `Failure`.

        A redirect that has the file's digest, or that has a commit and leads to another origin, is the result, with its
        target as `location`: what follows it describes an object in a storage. Other redirects (of moved repos, of
        mirrors) are followed.
        """
        async with self._followed("HEAD", url, context, None) as (last_url, response, location):
            return ResponseHead(last_url, response.status, response.headers, location)

    async def body(
        self, method: str, url: str, context: RequestContext, form: Mapping[str, str] | None = None
    ) -> tuple[bytes, str | None]:
        """The body of a response and the URL of the next page, if there is one. Retries passing failures."""
        attempt = 0
        while True:
            try:
                return await self._body(method, url, context, form)
            except Failure as failure:
                attempt += 1
                if failure.is_final or failure.reason is Reason.RATE_LIMITED or attempt == _TRIES:
                    raise
            await asyncio.sleep(backoff_s(attempt, base_s=0.25, cap_s=4.0))

    async def probe(self, url: str, context: RequestContext) -> str:
        """The `Date` of any answer of the Hub, whatever its status; empty without one. Raises `Failure`: no answer."""
        async with self._request("HEAD", url, context, None, any_status=True) as response:
            return response.headers.get("Date", "")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _body(
        self, method: str, url: str, context: RequestContext, form: Mapping[str, str] | None
    ) -> tuple[bytes, str | None]:
        async with self._followed(method, url, context, form) as (last_url, response, _):
            link = _next_link(response)
            next_url = None if link is None else next_page(self.endpoint, last_url, link)
            return await self._read(response, context), next_url

    @asynccontextmanager
    async def _followed(
        self, method: str, url: str, context: RequestContext, form: Mapping[str, str] | None
    ) -> AsyncIterator[tuple[str, aiohttp.ClientResponse, str | None]]:
        """Follow redirects, off the Hub's own origin without the token.

        Gives the URL, the response, and the target of a redirect that is not followed.
        """
        for _ in range(MAX_REDIRECTS + 1):
            async with self._request(method, url, context, form) as response:
                location = None
                if response.status in _REDIRECTS and "Location" in response.headers:
                    location = self.policy.next_url(url, response.headers["Location"])
                    leaves = origin(location) not in (origin(self.endpoint), origin(url))
                    if method != "HEAD" or not _describes_a_file(response.headers, leaves):
                        url = location
                        continue
                yield url, response, location
                return
        raise Failure(Reason.HUB_UNAVAILABLE, f"Too many redirects of the Hub at {context.host} for {context.at}.")

    async def _read(self, response: aiohttp.ClientResponse, context: RequestContext) -> bytes:
        data = bytearray()
        async for chunk in response.content.iter_chunked(_READ_BYTES):
            data += chunk
            if len(data) > MAX_BODY_BYTES:
                raise Failure(
                    Reason.INTERNAL, f"The Hub's response for {context.at} is longer than {MAX_BODY_BYTES} bytes."
                )
        return bytes(data)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        url: str,
        context: RequestContext,
        form: Mapping[str, str] | None,
        *,
        any_status: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request. Gives a response with a status below 400; raises `Failure` for all else.

        `any_status`: gives every response of the Hub itself, and raises for those of a proxy only.
        """
        auth = self.auth(url)
        headers = {"Accept-Encoding": "identity"} if method == "HEAD" else {}
        await self.retry_after.wait(url, MAX_WAIT_S)
        try:
            proxy = proxy_for(url)
            proxy_auth = {} if proxy is None or proxy.authorization is None else {_PROXY_AUTH: proxy.authorization}
            tunnelled = url.startswith("https:")  # plain HTTP: the request itself is sent to the proxy
            async with self._client().request(
                method,
                URL(url, encoded=True),
                headers={**headers, **auth, **({} if tunnelled else proxy_auth)},
                data=form,
                allow_redirects=False,
                timeout=_HEAD_TIMEOUT if method == "HEAD" else _BODY_TIMEOUT,
                ssl=ssl_context(),
                proxy=None if proxy is None else proxy.url,
                proxy_headers=proxy_auth if tunnelled else None,
            ) as response:
                if response.status >= 400 and not (any_status and response.status != 407):
                    wait_s = self.retry_after.note(url, response.status, response.headers)
                    raise response_failure(
                        context, response.status, response.headers, token_sent=bool(auth), wait_s=wait_s
                    )
                yield response
        except aiohttp.ClientConnectorCertificateError as error:
            rejected = error.certificate_error
            if not isinstance(rejected, ssl.SSLCertVerificationError):
                raise Failure(Reason.TLS, f"The certificate of {_host(url)} is not trusted.") from None
            raise certificate_failure(_host(url), rejected) from None
        except ssl.SSLCertVerificationError as error:
            raise certificate_failure(_host(url), error) from None
        except TimeoutError:
            raise Failure(Reason.NETWORK, f"{_host(url)} did not answer in time.") from None
        except aiohttp.ClientProxyConnectionError as error:
            raise Failure(Reason.NETWORK, f"The proxy for {_host(url)} cannot be reached: {_cause(error)}.") from None
        except aiohttp.ClientHttpProxyError as error:
            if error.status == 407:
                raise login_wanted() from None
            detail = f"The proxy refused a connection to {_host(url)} with status {error.status}."
            raise Failure(Reason.NETWORK, detail) from None
        except (aiohttp.ClientError, ssl.SSLError, OSError) as error:
            raise Failure(Reason.NETWORK, f"{_host(url)} cannot be reached: {_cause(error)}.") from None

    def _client(self) -> aiohttp.ClientSession:
        if self._parent is not None:
            return self._parent._client()
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=32, ttl_dns_cache=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self.user_agent},
                max_line_size=_MAX_FIELD_BYTES,
                max_field_size=_MAX_FIELD_BYTES,
            )
        return self._session


def _describes_a_file(headers: Headers, leaves: bool) -> bool:
    """Whether a redirect has the metadata of the file that it leads to. `leaves`: it leads to another origin."""
    return "X-Linked-Etag" in headers or (leaves and "X-Repo-Commit" in headers)


def _next_link(response: aiohttp.ClientResponse) -> str | None:
    try:
        link = response.links.get("next")
    except ValueError:
        raise Failure(Reason.HUB_UNAVAILABLE, "The Hub's Link header is malformed.") from None
    return None if link is None else str(link["url"])


def _host(url: str) -> str:
    return origin(url).partition("://")[2]


def _cause(error: BaseException) -> str:
    """The cause of an error, without the URLs that its message may have."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "host name not found"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
