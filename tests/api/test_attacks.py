"""The table of attacks, each with the incident that it comes from; all over TCP, which untrusted clients can reach."""

from __future__ import annotations

import json
import re
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hfdmd.api.open_connections import REQUEST_S
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer

JSON = "Content-Type: application/json"


def head(daemon: Daemon, *lines: str) -> bytes:
    """The head of a request with the headers of an authorized client, and `lines` (the first is the request line)."""
    own = [f"Host: 127.0.0.1:{daemon.port}", f"Authorization: Bearer {daemon.token}"]
    return "\r\n".join([lines[0], *own, *lines[1:], "", ""]).encode("latin-1")


def talk(daemon: Daemon, data: bytes) -> bytes:
    """The whole response until the daemon closes the connection, which `data` must cause."""
    with daemon.connect(tcp=True) as raw:
        raw.sendall(data)
        received = b""
        try:
            while part := raw.recv(65536):
                received += part
        except ConnectionResetError:
            pass
    return received


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def is_whole(daemon: Daemon) -> bool:
    return daemon.get("/api/health").status == 200


FORM_TYPES = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "text/plain;charset=UTF-8",
    "text/plain; application/json",
    "application/x-www-form-urlencoded, application/json",
    "",
]


@pytest.mark.parametrize("path", ["/api/download", "/api/pause", "/api/cancel", "/api/retry", "/api/resume"])
@pytest.mark.parametrize("content_type", FORM_TYPES)
def test_a_form_of_a_foreign_page_does_nothing(shared: Daemon, path: str, content_type: str) -> None:
    """Jan and Cortex accepted cross-site posts (CVE-2025-2446, CVE-2025-2447): a form needs no preflight.

    Refused three times over: for its origin, for its missing token, and, with both right, for its type.
    """
    body = b'{"all":true,"x":"="}'
    data = {"Content-Type": content_type, "Origin": "http://evil.example"}
    assert shared.call("POST", path, body, headers=data, tcp=True, token=shared.token).status == 403
    data = {"Content-Type": content_type}
    assert shared.call("POST", path, body, headers=data, tcp=True).status == 401
    assert shared.call("POST", path, body, headers=data, tcp=True, token=shared.token).status == 415


@pytest.mark.parametrize(
    "lines",
    [
        ["X-HTTP-Method-Override: DELETE"],
        ["X-HTTP-Method: DELETE"],
        ["X-Method-Override: DELETE"],
        ["X-Original-URL: /api/settings", "X-Rewrite-URL: /api/settings"],
        ["X-Forwarded-Host: 127.0.0.1", "X-Forwarded-For: 127.0.0.1", "Forwarded: host=localhost"],
    ],
)
def test_headers_change_neither_method_nor_path_nor_host(shared: Daemon, lines: list[str]) -> None:
    """pyLoad (CVE-2026-40071) and others had ways around their access check; headers of proxies are such ways."""
    received = talk(shared, head(shared, "GET /api/info HTTP/1.1", "Connection: close", *lines))
    assert statuses(received) == [200]
    assert b'"apiVersion"' in received
    evil = b"GET /api/health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\nX-Forwarded-Host: localhost\r\n\r\n"
    assert statuses(talk(shared, evil)) == [403]


@pytest.mark.parametrize(
    "upgrade",
    [
        ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA=="],
        ["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"],
        ["Upgrade: TLS/1.0", "Connection: Upgrade"],
    ],
)
def test_no_upgrade_leaves_http(shared: Daemon, upgrade: list[str]) -> None:
    """WebSockets have no same-origin rule, and h2c tunnels past a proxy; neither is supported."""
    for path in ("/api/info", "/api/progress"):
        again = head(shared, "GET /api/health HTTP/1.1", "Connection: close")
        received = talk(shared, head(shared, f"GET {path} HTTP/1.1", *upgrade) + again)
        assert 101 not in statuses(received)
        assert statuses(received)[0] == 200
    foreign = [*upgrade, "Origin: http://evil.example"]
    closing = head(shared, "GET /api/health HTTP/1.1", "Connection: close")
    assert statuses(talk(shared, head(shared, "GET /api/progress HTTP/1.1", *foreign) + closing))[0] == 403


@pytest.mark.parametrize("line", ["CONNECT 127.0.0.1:22 HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1"])
def test_no_tunnel_is_opened(shared: Daemon, line: str) -> None:
    received = talk(shared, head(shared, line, "Connection: close"))
    assert statuses(received)
    assert all(status in (400, 403, 404, 405) for status in statuses(received))


HOSTILE_PATHS = [
    "../x", "a/../../x", "..", ".", "a/.", "./a", "a//b", "/etc/passwd", "//host/share", "a\\..\\x", "\\x",
    "\\\\host\\share", "C:\\x", "C:x", "c:/x", "a\x00b", "a\nb", "a\x7f", "a\u2028b", "a/", "x" * 256,
    "a/" * 2100 + "a", "\u0085",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=[ascii(path)[:30] for path in HOSTILE_PATHS])
def test_no_file_path_leaves_its_folder(shared: Daemon, path: str) -> None:
    """huggingface_hub's local_dir was left by `C:\\x`, `D:x`, `\\x` and `\\\\host\\share` (CVE-2026-15717)."""
    body = {"modelRepo": "own/small", "filePath": path}
    for method, call in (("POST", "/api/download"), ("POST", "/api/pause"), ("DELETE", "/api/download")):
        answer = shared.call(method, call, body, tcp=True, token=shared.token)
        assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid_field", "filePath")
    query = {"modelRepo": "own/small", "filePath": path}
    if len(path) < 1000:
        answer = shared.call("GET", "/api/progress", query=query, tcp=True, token=shared.token)
        assert (answer.status, answer.code) == (422, "invalid_field")


HOSTILE_REPOS = [
    "../x", "a/..", "..", ".", "a/b/c", "/a/b", "a//b", "a/b/", "a\\b", "C:x", "a\x00/b", "a b/c", "", "/", "--",
    "a--b", "a/b.git", "x" * 97, "x/" + "y" * 97, "-a/b", "a/b-", ".a/b", "a%2fb", "a?b", "a#b", "a/b@main",
    "models--a--b",
]  # fmt: skip


@pytest.mark.parametrize("repo", HOSTILE_REPOS, ids=[ascii(repo)[:30] for repo in HOSTILE_REPOS])
def test_no_repo_name_is_a_path(shared: Daemon, repo: str) -> None:
    """ollama built paths from input of a registry (CVE-2024-37032, CVE-2026-7020)."""
    for method, path in (("POST", "/api/download"), ("POST", "/api/cancel"), ("DELETE", "/api/download")):
        answer = shared.call(method, path, {"modelRepo": repo}, tcp=True, token=shared.token)
        assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid_field", "modelRepo")
    answer = shared.call("GET", "/api/files", query={"modelRepo": repo}, tcp=True, token=shared.token)
    assert (answer.status, answer.code) == (422, "invalid_field")


@pytest.mark.parametrize(
    "revision",
    ["../x", "a/../b", "/a", "a/", "a//b", "a\\b", "a\x00", "", "..", ".a", "a.lock", "a~1", "a^", "x" * 300],
)
def test_no_revision_is_a_path(shared: Daemon, revision: str) -> None:
    body = {"modelRepo": "own/small", "filePath": "b.txt", "revision": revision}
    answer = shared.call("POST", "/api/download", body, tcp=True, token=shared.token)
    assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid_field", "revision")


def test_delete_file_removes_only_what_was_placed(daemon: Daemon) -> None:
    """LocalAI's delete by name removed any file (CVE-2024-5182): here also after the folder became a symlink."""
    target, other = daemon.home / "target", daemon.home / "other"
    view = daemon.ask("own/small", "b.txt", localDir=str(target))
    done = daemon.wait(view["id"], "done")
    other.mkdir()
    (other / "b.txt").write_bytes(b"text\n")
    Path(done["path"]).unlink()
    for left in target.iterdir():
        left.rename(other / left.name)
    target.rmdir()
    target.symlink_to(other)
    assert daemon.call("DELETE", "/api/download", query={"id": view["id"], "deleteFile": "true"}).status == 200
    assert (other / "b.txt").read_bytes() == b"text\n"


def test_delete_file_spares_a_file_that_somebody_changed(daemon: Daemon) -> None:
    view = daemon.ask("own/small", "b.txt", localDir=str(daemon.home / "target"))
    path = Path(daemon.wait(view["id"], "done")["path"])
    path.write_bytes(b"precious work of somebody")
    assert daemon.call("DELETE", "/api/download", query={"id": view["id"], "deleteFile": "true"}).status == 200
    assert path.read_bytes() == b"precious work of somebody"


def test_no_call_serves_the_content_of_a_file(daemon: Daemon) -> None:
    """Jan read files over HTTP (CVE-2024-36857)."""
    view = daemon.wait(daemon.ask("own/small", "sub/a.bin")["id"], "done")
    for target in (view["path"], "/sub/a.bin", "/static/a.bin", "/api/files/" + view["id"], "/..%2f..%2fetc/passwd"):
        answer = daemon.call("GET", target)
        assert answer.status == 404
        assert b"aaaa" not in answer.body


SMUGGLED = b"GET /api/info HTTP/1.1\r\n\r\n"
FRAMINGS: list[tuple[str, list[str], bytes]] = [
    ("length and chunks", ["Content-Length: 4", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    ("chunks and length", ["Transfer-Encoding: chunked", "Content-Length: 4"], b"0\r\n\r\n"),
    ("two lengths", ["Content-Length: 2", "Content-Length: 40"], b"{}"),
    ("a list of lengths", ["Content-Length: 2, 2"], b"{}"),
    ("length +2", ["Content-Length: +2"], b"{}"),
    ("length -2", ["Content-Length: -2"], b"{}"),
    ("length 0x2", ["Content-Length: 0x2"], b"{}"),
    ("length 2^64", ["Content-Length: 18446744073709551618"], b"{}"),
    ("length space", ["Content-Length : 2"], b"{}"),
    ("chunked twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    ("chunked, identity", ["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n"),
    ("gzip, chunked", ["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n"),
    ("xchunked", ["Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
    ("tab before chunked", ["Transfer-Encoding:\x0bchunked"], b"0\r\n\r\n"),
    ("folded header", ["X-A: b", " Transfer-Encoding: chunked", "Content-Length: 2"], b"{}"),
    ("folded framing", ["Transfer-Encoding:", " chunked"], b"0\r\n\r\n"),
    ("NUL in a header", ["X-A: a\x00b", "Content-Length: 2"], b"{}"),
    ("CR in a header", ["X-A: a\rContent-Length: 40", "Content-Length: 2"], b"{}"),
    ("a name with space", ["X A: b", "Content-Length: 2"], b"{}"),
    ("no name", [": b", "Content-Length: 2"], b"{}"),
    ("a bad chunk size", ["Transfer-Encoding: chunked"], b"2z\r\n{}\r\n0\r\n\r\n"),
    ("a negative chunk", ["Transfer-Encoding: chunked"], b"-2\r\n{}\r\n0\r\n\r\n"),
    ("a chunk with 0x", ["Transfer-Encoding: chunked"], b"0x2\r\n{}\r\n0\r\n\r\n"),
    ("a huge chunk", ["Transfer-Encoding: chunked"], b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
    ("chunk ends in LF", ["Transfer-Encoding: chunked"], b"2\n{}\n0\n\n"),
    ("chunk longer than said", ["Transfer-Encoding: chunked"], b"1\r\n{}\r\n0\r\n\r\n"),
    ("LF in an extension", ["Transfer-Encoding: chunked"], b"2;a\nx\r\n{}\r\n0\r\n\r\n"),
]


@pytest.mark.parametrize(("lines", "body"), [row[1:] for row in FRAMINGS], ids=[row[0] for row in FRAMINGS])
def test_a_request_of_two_lengths_is_none(shared: Daemon, lines: list[str], body: bytes) -> None:
    """Request smuggling, as in aiohttp CVE-2026-22815 and similar: refused, and nothing after it is read."""
    begin = head(shared, "POST /api/pause HTTP/1.1", JSON, *lines)
    received = talk(shared, begin + body + SMUGGLED)
    assert statuses(received)[0] == 400, received
    assert 200 not in statuses(received), received
    assert b'"apiVersion"' not in received


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /api/health HTTP/1.1\nHost: 127.0.0.1\n\n",
        b"GET /api/health HTTP/1.1\r\rHost: x\r\r",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /api/health HTTP/9.9\r\n\r\n",
        b"GET  /api/health HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET /a\x00b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(2000)) + b"\r\n",
        b"\r\n" * 10_000 + b"garbage\r\n\r\n",
    ],
)
def test_what_is_no_request_is_malformed(shared: Daemon, request_bytes: bytes) -> None:
    received = talk(shared, request_bytes)
    assert statuses(received) in ([400], []), received[:200]
    if received:
        assert json.loads(received.partition(b"\r\n\r\n")[2])["code"] == "malformed"


def test_an_answer_carries_no_header_of_the_asker(shared: Daemon) -> None:
    """Response splitting (aiohttp CVE-2026-34519): CR and LF in what is echoed stay inside the JSON."""
    for query in ("%0d%0aSet-Cookie:%20a=b", "%0aX-Evil:1"):
        received = talk(shared, head(shared, f"GET /api/progress?{query}=1 HTTP/1.1", "Connection: close"))
        headers, _, body = received.partition(b"\r\n\r\n")
        assert statuses(received) == [422]
        assert b"evil" not in headers.lower()
        assert b"set-cookie" not in headers.lower()
        json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 150_000,
        b'{"id":"' + b"\\u0041" * 170_000 + b'"}',
        b'{"modelRepo":"a/b","include":[' + b'"a",' * 250_000 + b'"a"]}',
        b'{"modelRepo":"a/b","include":["' + b"*" * 900_000 + b'"]}',
        b'{"modelRepo":"a/b","include":["' + b"*a" * 511 + b'"],"x":' + b"9" * 900_000 + b"}",
        b"{" + b",".join(b'"k%d":0' % number for number in range(80_000)) + b"}",
    ],
    ids=["arrays", "objects", "escapes", "many globs", "a long glob", "a long number", "many keys"],
)
def test_huge_and_deep_json_is_refused_quickly(shared: Daemon, body: bytes) -> None:
    began = time.monotonic()
    headers = {"Content-Type": "application/json"}
    for path in ("/api/download", "/api/pause"):
        answer = shared.call("POST", path, body, headers=headers, tcp=True, token=shared.token)
        assert answer.status in (400, 404, 413, 422)
        assert len(answer.body) < 5000, "what was sent is not sent back"
    assert is_whole(shared)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "number", ["9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e308", "1E+40"]
)
@pytest.mark.parametrize("more", ["", "0" * 300])
def test_numbers_at_the_edge_of_64_bits(shared: Daemon, number: str, more: str) -> None:
    number += more if "e" not in number.lower() else ""
    for body in (
        f'{{"id":"x","position":{number}}}',
        f'{{"id":"x","priority":{number}}}',
    ):
        headers = {"Content-Type": "application/json"}
        answer = shared.call("PATCH", "/api/download", body.encode(), headers=headers)
        assert (answer.status, answer.code) == (422, "invalid_field")
    for setting in ("bandwidthLimit", "minFreeBytes", "maxConnections", "stallTimeout"):
        body = f'{{"{setting}":{number}}}'
        answer = shared.call("PATCH", "/api/settings", body.encode(), headers={"Content-Type": "application/json"})
        assert answer.status == 422, (setting, number)


def test_nothing_of_a_request_becomes_a_command_or_a_hook(shared: Daemon) -> None:
    """SABnzbd (CVE-2023-34237) and Docker Model Runner (CVE-2026-28400) accepted scripts and flags from the API."""
    schemas = shared.get("/api/openapi.json").json["components"]["schemas"]
    fields = {field.lower() for schema in schemas.values() for field in schema.get("properties", {})}
    assert "filepath" in fields
    for word in ("command", "script", "hook", "exec", "args", "callback", "url_", "proxy"):
        assert not [field for field in fields if word in field]


# Time and numbers


def descriptors(daemon: Daemon) -> int:
    assert daemon.process is not None
    return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))


@pytest.mark.slow
def test_slow_heads_and_slow_bodies_are_cut_off(shared: Daemon) -> None:
    """Slowloris: a request that never ends costs one connection for a limited time and affects no other client."""
    began = time.monotonic()
    slow = [shared.connect(tcp=number % 2 == 0, timeout=REQUEST_S * 3) for number in range(20)]
    for number, raw in enumerate(slow):
        body = head(shared, "POST /api/pause HTTP/1.1", JSON, "Content-Length: 1000")
        raw.sendall(body if number < 10 else b"GET /api/health HTTP/1.1\r\nHost: 127")
    assert is_whole(shared)
    for number, raw in enumerate(slow):
        drip_until_closed(raw, b" " if number < 10 else b".")
        raw.close()
    assert REQUEST_S * 0.8 < time.monotonic() - began < REQUEST_S * 2.5


def drip_until_closed(raw: socket.socket, drop: bytes) -> None:
    """Send a byte at intervals until the peer closes the connection."""
    raw.settimeout(0.5)
    for _ in range(int(REQUEST_S * 3 / 0.5)):
        try:
            raw.sendall(drop)
            if raw.recv(65536) == b"":
                return
        except TimeoutError:
            continue
        except ConnectionError:
            return
    raise AssertionError("the connection stayed open")


IDLE = 2000


def test_thousands_of_idle_connections_keep_nobody_out(make_daemon: Callable[..., Daemon]) -> None:
    """The API uses at most half of the daemon's descriptors; at the limit the longest idle connection is closed."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < IDLE + 500:
        pytest.skip(f"needs {IDLE + 500} descriptors, has {soft}")
    daemon = make_daemon(tcp=True)
    daemon.wrapper = ("sh", "-c", f'ulimit -n {IDLE}; exec "$@"', "sh")  # room for 1,000 of our 2,000
    daemon.start()
    idle = []
    try:
        for number in range(IDLE):
            raw = daemon.connect(tcp=number % 2 == 0)
            if number % 4 == 0:
                raw.sendall(b"GET /api/health HTTP/1.1\r\nHost:")
            idle.append(raw)
        assert is_whole(daemon)
        view = daemon.ask("own/small", "config.json")
        daemon.wait(view["id"], "done")
        assert descriptors(daemon) < IDLE // 2 + 100
    finally:
        for raw in idle:
            raw.close()
    until(lambda: descriptors(daemon) < 60, "the descriptors come back")
    assert daemon.stop() == 0


def test_pipelined_requests_are_answered_in_order_and_do_not_pile_up(shared: Daemon) -> None:
    many = head(shared, "GET /api/health HTTP/1.1") * 2000
    received = talk(shared, many + head(shared, "GET /api/info HTTP/1.1", "Connection: close"))
    assert statuses(received) == [200] * 2001
    assert received.rstrip().endswith(b"}")


def test_a_rogue_hub_names_no_file(make_daemon: Callable[..., Daemon], hub: HubServer) -> None:
    """ollama CVE-2024-37032: a digest from a registry became a path. Here an etag of dots and slashes."""
    daemon = make_daemon().start()
    for number, etag in enumerate(("../../../../etc/x", "..", "a/b", "\\x", "C:x")):
        hub.add_repo(f"own/rogue{number}", {"a.txt": b"content"})
        hub.fault(f"own/rogue{number}", "a.txt", Fault.say({"ETag": f'"{etag}"', "X-Linked-ETag": f'"{etag}"'}))
        view = daemon.wait(daemon.ask(f"own/rogue{number}", "a.txt")["id"], "failed", "queued", "done")
        assert view["status"] != "done" or ".." not in view["path"]
    assert not (daemon.home / "etc").exists()
