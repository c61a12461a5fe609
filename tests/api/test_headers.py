"""Headers of responses, and content negotiation."""

from __future__ import annotations

import pytest

from hfdmd.wire.routes import ROUTES
from tests.daemon_process import Daemon

ASKS = sorted({(route.method, route.path) for route in ROUTES} | {("HEAD", "/api/info"), ("GET", "/nothing")})


@pytest.mark.parametrize(("method", "path"), ASKS, ids=[" ".join(pair) for pair in ASKS])
def test_no_answer_is_kept_or_tells_what_it_is_made_with(shared: Daemon, method: str, path: str) -> None:
    headers = shared.call(method, path).headers
    assert (headers["cache-control"], headers["server"]) == ("no-store", "hfdmd")


def head_of(daemon: Daemon, request: str) -> dict[str, str]:
    """The status line (as "") and the headers of the answer."""
    with daemon.connect() as raw:
        raw.sendall(request.replace("\n", "\r\n").encode())
        received = raw.makefile("rb")
        head = {"": received.readline().decode()}
        while line := received.readline().strip():
            name, _, value = line.decode().partition(": ")
            head[name.lower()] = value
    return head


@pytest.mark.parametrize(
    ("version", "asked", "told"),
    [
        ("1.1", "", None),
        ("1.1", "Connection: close\n", "close"),
        ("1.0", "", None),
        ("1.0", "Connection: keep-alive\n", None),
    ],
)
def test_a_stream_says_truly_whether_its_connection_goes_on(
    shared: Daemon, version: str, asked: str, told: str | None
) -> None:
    """Over HTTP/1.0 a stream ends with its connection, whatever the client requested."""
    request = f"GET /api/progress HTTP/{version}\nHost: x\nAccept: text/event-stream\n{asked}\n"
    assert head_of(shared, request).get("connection") == told


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("text/event-stream", True),
        ("TEXT/Event-Stream ; charset=utf-8", True),
        ("application/json, text/event-stream;q=0.9", True),
        ("text/event-stream;q=1.0", True),
        ("text/event-stream;q=0, application/json", False),
        ("application/json, text/event-stream; q=0.000", False),
        ("text/event-streams", False),
        ("application/x;note=text/event-stream", False),
        ("text/*", False),
        ("*/*", False),
    ],
)
def test_only_who_names_the_stream_gets_it(shared: Daemon, accept: str, streams: bool) -> None:
    head = head_of(shared, f"GET /api/progress HTTP/1.1\nHost: x\nAccept: {accept}\n\n")
    assert head["content-type"] == ("text/event-stream" if streams else "application/json")
