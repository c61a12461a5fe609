"""Scripted faults of the test Hub: kind, requests that they apply to, and how often."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Literal

On = Literal["body", "xorb", "head", "resolve", "api", "any"]
"""Requests that a fault applies to: `body` the GET of the file's bytes (on the CDN for LFS files, on the Hub for git
files, on the storage of xorbs for Xet), `xorb` the GET of a xorb only, `head` the HEAD on the Hub, `resolve` HEAD and
GET on the Hub's resolve route, `api` the JSON routes of Hub and CAS."""


@dataclass(frozen=True)
class Fault:
    """One fault, made by the functions below.

    It occurs `times` times (None: always), after `skip` requests without it.

    `on` may be changed afterwards: `Fault.status(503).at("head")`.
    """

    kind: str
    on: On = "body"
    times: int | None = 1
    skip: int = 0
    after: int | None = None
    seconds: float = 0.0
    code: int = 0
    headers: Mapping[str, str | None] = field(default_factory=dict)
    text: str | None = None
    body: bytes = b""
    offset: int = 0
    count: int = 0
    change: Callable[[Any], Any] | None = None

    def at(self, on: On) -> Fault:
        """The same fault for other requests."""
        return replace(self, on=on)

    def passing(self, skip: int) -> Fault:
        """The same fault, but not for the first `skip` requests."""
        return replace(self, skip=skip)

    # ---- the connection

    @classmethod
    def reset(cls, after: int = 0, times: int | None = 1) -> Fault:
        """A TCP reset once `after` body bytes of the answer have reached the client."""
        return cls("reset", after=after, times=times)

    @classmethod
    def hangup(cls, times: int | None = 1) -> Fault:
        """The connection is reset instead of any answer."""
        return cls("hangup", times=times)

    @classmethod
    def fin(cls, after: int = 0, times: int | None = 1) -> Fault:
        """A FIN after `after` body bytes, although Content-Length is larger."""
        return cls("fin", after=after, times=times)

    @classmethod
    def stall(cls, after: int | None = None, seconds: float = math.inf, times: int | None = 1) -> Fault:
        """A pause: before the headers (None), before the first byte (0) or within the body."""
        return cls("stall", after=after, seconds=seconds, times=times)

    @classmethod
    def delay(cls, seconds: float, times: int | None = None) -> Fault:
        """The response is delayed."""
        return cls("stall", after=None, seconds=seconds, times=times)

    @classmethod
    def slow(cls, bytes_per_s: float, times: int | None = None) -> Fault:
        """This response's body is sent at `bytes_per_s`."""
        return cls("slow", seconds=bytes_per_s, times=times)

    # ---- the status

    @classmethod
    def status(
        cls,
        code: int,
        *,
        retry_after: str | int | None = None,
        reset_s: int | None = None,
        error_code: str | None = None,
        message: str = "",
        times: int | None = 1,
        on: On = "body",
    ) -> Fault:
        """Another status. `retry_after`: that header; `reset_s`: RateLimit with no requests left for that time."""
        headers: dict[str, str | None] = {}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        if reset_s is not None:
            headers["RateLimit"] = f'"resolvers";r=0;t={reset_s}'
            headers["RateLimit-Policy"] = '"fixed window";"resolvers";q=3000;w=300'
        if error_code:
            headers["X-Error-Code"] = error_code
        if message:
            headers["X-Error-Message"] = message
        return cls("status", on=on, code=code, headers=headers, text=message, times=times)

    @classmethod
    def busy(cls, reset_s: int = 1, times: int | None = 1, on: On = "resolve") -> Fault:
        """429 with the Hub's RateLimit header and no Retry-After."""
        return cls.status(429, reset_s=reset_s, message="We had to rate limit your IP", times=times, on=on)

    @classmethod
    def gated(cls, times: int | None = None, code: int = 403) -> Fault:
        """The repo wants its conditions accepted first (403; 401 for an unknown caller)."""
        message = "Access to this repo is restricted and you are not in the authorized list."
        return cls.status(code, error_code="GatedRepo", message=message, times=times, on="resolve")

    @classmethod
    def missing(cls, what: Literal["Repo", "Revision", "Entry"] = "Entry", times: int | None = None) -> Fault:
        """404 with that error code, in the Hub's form."""
        message = {"Repo": "Repository not found", "Revision": "Invalid rev id: main", "Entry": "Entry not found"}[what]
        return cls.status(404, error_code=f"{what}NotFound", message=message, times=times, on="any")

    @classmethod
    def expired(cls, times: int | None = 1) -> Fault:
        """The CDN says that the signed URL is too old (403)."""
        return cls("expired", times=times)

    @classmethod
    def close(cls, times: int | None = 1) -> Fault:
        """A good response with `Connection: close`: the connection can't be reused."""
        return cls("close", times=times)

    # ---- redirects

    @classmethod
    def redirect(cls, to: str, code: int = 302, times: int | None = None, on: On = "resolve") -> Fault:
        """A redirect to `to`; with a foreign origin a client must not take its token there."""
        return cls("redirect", on=on, code=code, text=to, times=times)

    @classmethod
    def loop(cls, times: int | None = None, on: On = "resolve") -> Fault:
        """A redirect to the very same URL."""
        return cls("redirect", on=on, code=302, times=times)

    @classmethod
    def onward(cls, to: str, code: int = 308, times: int | None = None, on: On = "any") -> Fault:
        """A mirror that sends on: a redirect to the same path and query on the origin `to`."""
        return cls("onward", on=on, code=code, text=to, times=times)

    # ---- ranges, lengths, codings

    @classmethod
    def whole(cls, times: int | None = None) -> Fault:
        """200 with the whole file; Range is ignored."""
        return cls("whole", times=times)

    @classmethod
    def content_range(cls, value: str | None = None, *, shift: int = 0, times: int | None = 1) -> Fault:
        """206 with a wrong Content-Range: `value`, or the right one moved by `shift` bytes; "" leaves it out."""
        return cls("content_range", text=value, offset=shift, times=times)

    @classmethod
    def range_refused(cls, times: int | None = 1) -> Fault:
        """416, though the range is good."""
        return cls("range_refused", times=times)

    @classmethod
    def gzip(cls, times: int | None = None, coding: Literal["gzip", "deflate"] = "gzip") -> Fault:
        """Content-Encoding: gzip (or deflate), chunked; Accept-Encoding is ignored."""
        return cls("gzip", text=coding, times=times)

    @classmethod
    def chunked(cls, times: int | None = None) -> Fault:
        """Transfer-Encoding: chunked instead of a Content-Length."""
        return cls("chunked", times=times)

    # ---- the content and its headers

    @classmethod
    def corrupt(cls, offset: int = 0, count: int = 4, times: int | None = 1) -> Fault:
        """`count` bytes from `offset` of the file are wrong; counted once for each such response."""
        return cls("corrupt", offset=offset, count=count, times=times)

    @classmethod
    def say(cls, headers: Mapping[str, str | None], times: int | None = None, on: On = "resolve") -> Fault:
        """Other headers (None: that one is left out), as when the commit or etag changes between two requests."""
        return cls("say", on=on, headers=dict(headers), times=times)

    @classmethod
    def instead(cls, body: bytes, times: int | None = None, on: On = "api") -> Fault:
        """200 with this body instead, without Content-Type: a wrong listing, invalid JSON."""
        return cls("instead", on=on, body=body, times=times)

    @classmethod
    def edit(cls, change: Callable[[Any], Any], times: int | None = None, on: On = "api") -> Fault:
        """A JSON answer with 200 says what `change` makes of it, in the body (bytes are sent as they are)."""
        return cls("edit", on=on, change=change, times=times)

    @classmethod
    def pointer(cls, times: int | None = None) -> Fault:
        """As a mirror without the LFS files: the Hub itself sends the pointer, with its headers, as a git file."""
        return cls("pointer", on="resolve", times=times)

    @classmethod
    def no_query(cls, name: str, times: int | None = None) -> Fault:
        """404 without an error code whenever the query has `name`, as from an Artifactory."""
        return cls("no_query", on="api", text=name, times=times)

    @classmethod
    def plain(cls, times: int | None = None) -> Fault:
        """As a plain mirror: the Hub itself sends the bytes, without headers for digest and linked size."""
        return cls("plain", on="resolve", times=times)


class Faults:
    """All scripted faults, and how often each has occurred."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: list[_Entry] = []

    def add(self, repo: str | None, file: str | None, faults: Iterable[Fault]) -> None:
        """Scripts `faults` for a file of a repo (None: for any)."""
        with self._lock:
            self._entries.extend(_Entry(repo, file, fault) for fault in faults)

    def clear(self) -> None:
        """Removes all faults."""
        with self._lock:
            self._entries.clear()

    def strike(self, repo: str | None, file: str | None, on: Iterable[On], span: tuple[int, int] | None) -> list[Fault]:
        """The faults for this request, counted as used. `span`: the response's range of the file, end exclusive."""
        met: list[Fault] = []
        kinds: set[str] = set()
        with self._lock:
            for entry in self._entries:
                fault = entry.fault
                if fault.on not in (*on, "any") or fault.kind in kinds or not entry.fits(repo, file, span):
                    continue
                if entry.passed < fault.skip:
                    entry.passed += 1
                elif fault.times is None or entry.struck < fault.times:
                    entry.struck += 1
                    kinds.add(fault.kind)
                    met.append(fault)
        return met


@dataclass
class _Entry:
    repo: str | None
    file: str | None
    fault: Fault
    struck: int = 0
    passed: int = 0

    def fits(self, repo: str | None, file: str | None, span: tuple[int, int] | None) -> bool:
        if self.repo not in (None, repo) or self.file not in (None, file):
            return False
        if self.fault.kind == "corrupt" and span is not None:
            return span[0] < self.fault.offset + self.fault.count and self.fault.offset < span[1]
        return True
