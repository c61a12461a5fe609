"""A minimal HTTP client for tests of the test Hub's raw responses."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT_S = 10.0


@dataclass
class Got:
    """The response: the body as far as it arrived, and the exception that ended it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: Exception | None = None

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.headers["location"]


def ask(
    url: str, method: str = "GET", *, timeout_s: float = TIMEOUT_S, ca_path: str | None = None, **headers: str
) -> Got:
    """One request, no redirect followed, nothing decoded. Header names are given with _ for -."""
    parts = urlsplit(url)
    assert parts.hostname
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ca_path)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=timeout_s, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    got, body = Got(), bytearray()
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        got.status, got.headers = response.status, {k.lower(): v for k, v in response.getheaders()}
        while data := response.read1(65_536):
            body += data
        if response.length:  # read1 reports no error at an early end
            raise http.client.IncompleteRead(b"", response.length)
    except (OSError, http.client.HTTPException) as problem:
        got.problem = problem
    finally:
        connection.close()
        got.body = bytes(body)
    return got


def fetch(url: str, *, ca_path: str | None = None, **headers: str) -> Got:
    """GET with one redirect followed, as from the Hub to its CDN."""
    got = ask(url, "GET", timeout_s=TIMEOUT_S, ca_path=ca_path, **headers)
    if got.status != 302:
        return got
    return ask(got.location, "GET", timeout_s=TIMEOUT_S, ca_path=ca_path, **headers)


@contextmanager
def begin(url: str) -> Iterator[http.client.HTTPResponse]:
    """A GET whose body is read by the caller; the connection is closed at exit."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def until(holds: Callable[[], bool], at_most_s: float = 5.0) -> None:
    """Waits for `holds`; raises AssertionError when it takes longer than `at_most_s`."""
    deadline_s = time.monotonic() + at_most_s
    while not holds():
        assert time.monotonic() < deadline_s, "it did not come true in time"
        time.sleep(0.005)
