"""Parses responses as they arrive: heads, and bodies in any framing, strictly, with llhttp."""

from __future__ import annotations

from dataclasses import dataclass

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from hfdmd.transfer.http.http_errors import BadResponse

MAX_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpHead:
    """The head of a response. `length` is the body's, None when it is chunked or ends with the connection."""

    status: int
    headers: dict[str, str]  # names in lower case; of repeated ones, the values joined with ", "
    length: int | None
    keep_alive: bool


class ResponseParser:
    """One response while it arrives. Informational responses (1xx) before it are skipped."""

    def __init__(self) -> None:
        self.head: HttpHead | None = None
        self.is_complete = False
        """Whether the body has reached its proper end."""
        self.has_surplus = False
        """Whether bytes arrived after that end."""
        self._parser = HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._bodiless_bytes = 0  # how many arrived since the last byte of the body

    def feed(self, data: memoryview) -> None:
        """Parse received bytes. BadResponse when they are not HTTP/1.1, or the head or trailer is too long."""
        had = len(self._body)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.is_complete:
                raise BadResponse(f"the server's response is not HTTP/1.1: {error}") from None
            self.has_surplus = True
        self._bodiless_bytes = 0 if len(self._body) > had else self._bodiless_bytes + len(data)
        if self._bodiless_bytes > MAX_HEAD_BYTES:
            what = "head" if self.head is None else "trailer"
            raise BadResponse(f"the {what} of the server's response is longer than {MAX_HEAD_BYTES} bytes")

    @property
    def buffered_bytes(self) -> int:
        """How many bytes of the body `take_body` would return."""
        return len(self._body)

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body ends where the connection ends (RFC 9112, 6.3)."""
        return self.head is not None and self.head.length is None and "transfer-encoding" not in self.head.headers

    def take_body(self) -> bytes:
        """Return and remove the buffered bytes of the body."""
        data = bytes(self._body)
        self._body.clear()
        return data

    # called by the parser

    def on_message_begin(self) -> None:
        self.has_surplus = self.is_complete

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        if self.head is None:  # else a trailer: ignored
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            known = self._headers.get(name)
            self._headers[name] = value if known is None else f"{known}, {value}"

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        status, headers = self._parser.get_status_code(), self._headers
        if status < 200:
            headers.clear()
            return
        chunked = "transfer-encoding" in headers
        length: int | None = None
        if status in (204, 304):
            length = 0
        elif not chunked and "content-length" in headers:
            length = int(headers["content-length"])  # llhttp has checked that it is one number
        tokens = {token.strip().lower() for token in headers.get("connection", "").split(",")}
        is_current = self._parser.get_http_version() == "1.1"
        keep_alive = is_current and "close" not in tokens and (length is not None or chunked)
        self.head = HttpHead(status, headers, length, keep_alive)

    def on_body(self, data: bytes) -> None:
        if not self.is_complete:
            self._body += data

    def on_message_complete(self) -> None:
        self.is_complete = self.head is not None
