"""Heads and framings of responses, whole and byte by byte, valid and invalid."""

from __future__ import annotations

import pytest

from hfdmd.failure import Failure
from hfdmd.transfer.http.connection import request_head
from hfdmd.transfer.http.http_errors import BadResponse
from hfdmd.transfer.http.response import MAX_HEAD_BYTES, HttpHead, ResponseParser

EARLY = b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


def fed(data: bytes, step: int) -> ResponseParser:
    answer = ResponseParser()
    for at in range(0, len(data), step):
        answer.feed(memoryview(data)[at : at + step])
    return answer


@pytest.fixture(params=[1, 7, 1 << 20])
def step(request: pytest.FixtureRequest) -> int:
    """How many bytes come at a time."""
    value: int = request.param
    return value


@pytest.mark.parametrize(
    ("data", "status", "length", "keep_alive", "body"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", 200, 5, True, b"hello"),
        (OK + b"Content-Length: 0\r\n\r\n", 200, 0, True, b""),
        (OK + b"Content-Length: 5\r\nConnection: Close\r\n\r\nhello", 200, 5, False, b"hello"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 200, None, True, b"hello!"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;x=y\r\n!\r\n0\r\nTrailer: t\r\n\r\n", 200, None, True, b"!"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, 5, False, b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, 0, True, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, 0, True, b""),
        (EARLY + OK + b"Content-Length: 1\r\n\r\n!", 200, 1, True, b"!"),
    ],
)
def test_what_is_complete(
    data: bytes, status: int, length: int | None, keep_alive: bool, body: bytes, step: int
) -> None:
    answer = fed(data, step)
    assert answer.head is not None
    assert (answer.head.status, answer.head.length, answer.head.keep_alive) == (status, length, keep_alive)
    assert "x" not in answer.head.headers, "the header of an informational answer"
    assert answer.take_body() == body
    assert answer.buffered_bytes == 0
    assert answer.is_complete
    assert not answer.has_surplus


def test_repeated_headers_are_joined_and_names_are_lower_case() -> None:
    answer = fed(OK + b"X-A: one\r\nx-a: two\r\nContent-Length: 0\r\n\r\n", 1 << 20)
    assert answer.head == HttpHead(200, {"x-a": "one, two", "content-length": "0"}, 0, True)


@pytest.mark.parametrize(
    "surplus", [b"!", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200", b"\x00\xff"]
)
def test_what_comes_after_the_end_is_told_and_does_not_count(surplus: bytes) -> None:
    answer = fed(OK + b"Content-Length: 5\r\nX: a\r\n\r\nhello" + surplus, 1 << 20)
    assert answer.has_surplus
    assert answer.take_body() == b"hello"
    assert answer.head is not None
    assert answer.head.headers == {"content-length": "5", "x": "a"}


def test_a_body_without_length_or_chunks_ends_with_the_connection(step: int) -> None:
    answer = fed(OK + b"\r\nhello", step)
    assert answer.ends_with_connection
    assert not answer.is_complete
    assert answer.take_body() == b"hello"
    answer.feed(memoryview(b" you"))
    assert answer.take_body() == b" you"
    assert not fed(OK + b"Transfer-Encoding: chunked\r\n\r\n", step).ends_with_connection


@pytest.mark.parametrize(
    "data",
    [
        b"220 ftp.example.org ready\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\n!",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 0x10\r\n\r\n",
        OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
        OK + b"Folded: a\r\n b\r\n\r\n",
        OK + b"Bad Name: a\r\n\r\n",
        OK + b"Nul: \x00\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloHELLO\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        OK + b"X: " + b"a" * 2 * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 20),
    ],
)
@pytest.mark.parametrize("step", [7, 1024])
def test_what_is_malformed_or_endless_is_refused(data: bytes, step: int) -> None:
    with pytest.raises(BadResponse):
        fed(data, step)


def test_a_request_as_it_goes_over_the_line() -> None:
    head = request_head("GET", "/a?b=c", [("Host", "example.org"), ("Range", "bytes=0-1"), ("Empty", "")])
    assert head == b"GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nRange: bytes=0-1\r\nEmpty: \r\n\r\n"


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("/a b", "x"),
        ("/a\r\nX: y", "x"),
        ("/ä", "x"),
        ("", "x"),
        ("/", "hf_secret\r\nX: y"),
        ("/", "hf_secret\n"),
        ("/", "hf_secret\x00"),
        ("/", " hf_secret"),
        ("/", "hf_secretä"),
    ],
)
def test_a_request_with_characters_that_http_forbids_is_not_sent_and_not_shown(target: str, value: str) -> None:
    with pytest.raises(Failure) as caught:
        request_head("GET", target, [("Authorization", value)])
    assert "hf_secret" not in str(caught.value)
