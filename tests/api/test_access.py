"""Access rules (docs/api.md, section 6): on every route, before any handler."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hfdmd.wire.routes import ROUTES
from tests.daemon_process import Daemon, until

EVERYWHERE = [
    *sorted({(route.method, route.path) for route in ROUTES}),
    ("GET", "/api/progress?stream"),
    ("OPTIONS", "/api/download"),
    ("HEAD", "/api/health"),
    ("GET", "/nothing/here"),
    ("POST", "/"),
    ("OPTIONS", "*"),
]
PAIRS = pytest.mark.parametrize(("method", "path"), EVERYWHERE, ids=[" ".join(pair) for pair in EVERYWHERE])


def answer(daemon: Daemon, method: str, path: str, headers: list[str], *, own_host: bool = True) -> tuple[int, bytes]:
    """Status and body of the response to raw header lines over TCP; of a stream only the status."""
    lines = [f"{method} {path.removesuffix('?stream')} HTTP/1.1", "Connection: close", *headers]
    if own_host:
        lines.append(f"Host: 127.0.0.1:{daemon.port}")
    if path.endswith("?stream"):
        lines.append("Accept: text/event-stream")
    with daemon.connect(tcp=True) as raw:
        raw.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        received = raw.makefile("rb")
        status = int(received.readline().split()[1])
        body = b"" if status == 200 and path.endswith("?stream") else received.read()
    return status, body


def right(daemon: Daemon) -> str:
    return f"Authorization: Bearer {daemon.token}"


@PAIRS
def test_every_route_wants_the_token(shared: Daemon, method: str, path: str) -> None:
    is_health = (method, path) == ("GET", "/api/health")
    for wrong in (
        [],
        ["Authorization: Bearer wrong"],
        ["Authorization: Bearer"],
        ["Authorization: "],
        [f"Authorization: Basic {shared.token}"],
        [f"Authorization: {shared.token}"],
        [f"Authorization: Bearer {shared.token}x"],
        [f"Authorization: Bearer {shared.token[:-1]}"],
        [right(shared), "Authorization: Bearer wrong"],
        [f"X-Authorization: Bearer {shared.token}"],
        [f"Cookie: token={shared.token}"],
    ):
        status, body = answer(shared, method, path, wrong)
        assert status == (200 if is_health else 401), wrong
        assert is_health or method == "HEAD" or b'"unauthorized"' in body
    status, _ = answer(shared, method, path, [right(shared)])
    assert status not in (401, 403)


def test_a_token_in_the_query_is_none(shared: Daemon) -> None:
    status, _ = answer(shared, "GET", f"/api/info?token={shared.token}", [])
    assert status == 401


def test_the_scheme_is_read_in_any_case(shared: Daemon) -> None:
    assert answer(shared, "GET", "/api/info", [f"authorization: bEARER  {shared.token} "])[0] == 200


@PAIRS
def test_every_route_wants_an_own_host(shared: Daemon, method: str, path: str) -> None:
    """DNS rebinding beat header defences in transmission (CVE-2018-5702) and ollama (CVE-2024-28224)."""
    for hosts in (["Host: evil.example"], [], [f"Host: 127.0.0.1:{shared.port}", "Host: evil.example"]):
        status, body = answer(shared, method, path, [right(shared), *hosts], own_host=False)
        assert status in (400, 403), hosts
        assert method == "HEAD" or b'"forbidden_host"' in body or b'"malformed"' in body


HOSTS = [
    ("127.0.0.1:{port}", True),
    ("localhost:{port}", True),
    ("LOCALHOST:{port}", True),
    ("[::1]:{port}", True),
    ("127.0.0.1", False),
    ("localhost", False),
    ("127.0.0.1:1", False),
    ("127.0.0.1:{port}.", False),
    ("localhost.:{port}", False),
    ("evil.localhost:{port}", False),
    ("localhost.evil:{port}", False),
    ("host.local:{port}", False),
    ("host.internal:{port}", False),
    ("0.0.0.0:{port}", False),
    ("127.1:{port}", False),
    ("2130706433:{port}", False),
    ("[::ffff:127.0.0.1]:{port}", False),
    ("::1:{port}", False),
    ("user@127.0.0.1:{port}", False),
    ("127.0.0.1:{port}@evil", False),
    ("127.0.0.1:0{port}", False),
    ("127.0.0.1:{port}, 127.0.0.1:{port}", False),
    ("127.0.0.1:{port} evil", False),
    ("127.0.0.1%00:{port}", False),
    ("", False),
    ("ſocalhost:{port}".replace("ſ", "\xe9"), False),
]


@pytest.mark.parametrize(("host", "is_own"), HOSTS, ids=[ascii(host) for host, _ in HOSTS])
def test_the_hosts_are_an_exact_list(shared: Daemon, host: str, is_own: bool) -> None:
    """ollama accepted suffixes such as .local, .internal and .localhost, and an empty host (2026)."""
    line = "Host: " + host.replace("{port}", str(shared.port))
    status, _ = answer(shared, "GET", "/api/info", [right(shared), line], own_host=False)
    assert status == 200 if is_own else status in (400, 403)


def test_the_target_may_not_name_another_host(shared: Daemon) -> None:
    """Starlette judged by a URL rebuilt from Host (CVE-2026-48710); an absolute target is a similar hole."""
    assert answer(shared, "GET", "http://evil.example/api/health", [right(shared)])[0] == 403
    assert answer(shared, "GET", f"http://127.0.0.1:{shared.port}/api/info", [right(shared)])[0] == 200


@PAIRS
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:{port}", "", "file://"],
)
def test_every_route_refuses_foreign_origins(shared: Daemon, method: str, path: str, origin: str) -> None:
    """Also an origin equal to Host, as a rebound page sends it. MLflow's check missed some paths (CVE-2026-2611)."""
    line = "Origin: " + origin.replace("{port}", str(shared.port))
    status, body = answer(shared, method, path, [right(shared), line])
    assert status == 403
    assert method == "HEAD" or b'"forbidden_origin"' in body
    assert b"ccess-control" not in body.lower()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Sec-Fetch-Site: cross-site"], 403),
        (["Sec-Fetch-Site: same-site"], 403),
        (["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"], 403),
        (["Sec-Fetch-Site: none"], 200),
        ([], 200),
        (["Origin: https://app.example"], 200),
        (["Origin: https://app.example", "Sec-Fetch-Site: cross-site"], 200),
        (["Origin: https://app.example", "Origin: https://evil.example"], 403),
        (["Origin: https://app.example", "Origin: https://app.example"], 403),
        (["Origin: https://app.example.evil"], 403),
        (["Origin: http://app.example"], 403),
        (["Origin: HTTPS://APP.EXAMPLE"], 403),
    ],
)
def test_origins_are_an_exact_list(
    make_daemon: Callable[..., Daemon], headers: list[str], status: int, origin_daemon: Daemon
) -> None:
    assert answer(origin_daemon, "GET", "/api/info", [right(origin_daemon), *headers])[0] == status


@pytest.fixture(scope="module")
def origin_daemon(shared_hub: object) -> object:
    from tests.daemon_process import new_folder

    env = {"HFDMD_ALLOWED_ORIGINS": "https://app.example", "HFDMD_ALLOWED_HOSTS": "daemon.example,proxy.example:443"}
    with new_folder() as folder, Daemon(Path(folder), shared_hub.endpoint, tcp=True, **env) as daemon:  # type: ignore[attr-defined]
        yield daemon


def test_allowed_hosts_are_added_to_the_own_ones(origin_daemon: Daemon) -> None:
    """As configured, since a TLS proxy forwards a Host without a port; and with the daemon's port."""
    for host, status in (
        ("daemon.example", 200),
        (f"daemon.example:{origin_daemon.port}", 200),
        ("daemon.example:443", 403),
        ("proxy.example:443", 200),
        ("proxy.example", 403),
        (f"proxy.example:{origin_daemon.port}", 403),
        (f"127.0.0.1:{origin_daemon.port}", 200),
        ("127.0.0.1", 403),
    ):
        found, _ = answer(origin_daemon, "GET", "/api/info", [right(origin_daemon), f"Host: {host}"], own_host=False)
        assert found == status, host


def test_no_answer_opens_itself_to_other_origins(shared: Daemon) -> None:
    """transmission#8938: `Access-Control-Allow-Origin: *` exposed the nonce."""
    for path in ("/api/info", "/api/health", "/nothing"):
        headers = shared.call("GET", path, tcp=True, token=shared.token).headers
        assert not [name for name in headers if name.startswith("access-control")]


def test_the_socket_needs_no_token_and_the_token_is_nobody_elses(shared: Daemon) -> None:
    assert shared.get("/api/info").status == 200
    assert (shared.state / "token").stat().st_mode & 0o777 == 0o600
    assert len(shared.token) >= 40
    assert shared.token not in shared.log


def test_a_token_stays_and_one_that_others_can_read_stops_the_start(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(tcp=True).start()
    token = daemon.token
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.token == token
    assert daemon.stop() == 0
    (daemon.state / "token").chmod(0o644)
    assert daemon.spawn().wait(20) == 78
    assert "chmod 600" in daemon.log
    (daemon.state / "token").unlink()
    (daemon.state / "token").symlink_to("/etc/hostname")
    assert daemon.spawn().wait(20) == 78


def test_plain_http_beyond_this_machine_is_refused(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(HFDMD_LISTEN="0.0.0.0:0")
    assert daemon.spawn().wait(20) == 78
    assert "allow_insecure_listen" in daemon.log
    daemon.env["HFDMD_ALLOW_INSECURE_LISTEN"] = "true"
    daemon.start()
    assert "WARNING" in daemon.log
    assert daemon.call("GET", "/api/info", tcp=True).status == 403, "127.0.0.1 is not one of its names: 0.0.0.0 is"


def test_without_listen_there_is_no_tcp_and_no_token(daemon: Daemon) -> None:
    assert daemon.get("/api/info").json["url"] is None
    assert not (daemon.state / "token").exists()


def test_who_asked_is_in_the_log(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(HFDMD_LOG_LEVEL="debug").start()
    daemon.get("/api/info")
    until(lambda: f"GET /api/info by uid {os.getuid()}, pid {os.getpid()}" in daemon.log)


# Sockets


def test_the_socket_is_its_owners_alone_whatever_the_umask(make_daemon: Callable[..., Daemon]) -> None:
    before = os.umask(0)
    try:
        daemon = make_daemon().start()
    finally:
        os.umask(before)
    assert daemon.socket.stat().st_mode & 0o777 == 0o600
    assert daemon.state.stat().st_mode & 0o077 == 0
    daemon.ask("own/small", "config.json")
    for path in daemon.tracker_files():
        assert path.stat().st_mode & 0o077 == 0
    assert daemon.stop() == 0
    assert not daemon.socket.exists()
    assert not (daemon.state / "endpoint.json").exists()


def test_a_stale_socket_is_replaced_and_a_file_is_not(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon().start()
    daemon.kill()
    assert daemon.socket.exists()
    daemon.start()
    assert daemon.stop() == 0
    daemon.socket.write_text("mine")
    assert daemon.spawn().wait(20) == 78
    assert daemon.socket.read_text() == "mine"


def test_a_socket_that_somebody_serves_is_not_taken(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(daemon.socket))
        other.listen()
        assert daemon.spawn().wait(20) == 78
    assert "another program" in daemon.log


def test_a_second_daemon_gives_way_and_names_the_first(make_daemon: Callable[..., Daemon]) -> None:
    first = make_daemon().start()
    assert first.process is not None
    same_state = make_daemon(HFDMD_STATE_DIR=str(first.state))
    same_cache = make_daemon(HF_HUB_CACHE=str(first.cache))
    for second in (same_state, same_cache):
        assert second.spawn().wait(20) == 75
        assert str(first.process.pid) in second.log
    assert first.get("/api/health").status == 200


@pytest.mark.slow
def test_a_socket_path_of_107_bytes_is_the_longest(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    room = 107 - len(str(daemon.home)) - 1
    daemon.env["HFDMD_SOCKET"] = str(daemon.home / ("x" * (room + 1)))
    assert daemon.spawn().wait(20) == 78
    assert "HFDMD_SOCKET" in daemon.log
    daemon.env["HFDMD_SOCKET"] = str(daemon.home / ("x" * room))
    process = daemon.process = daemon.spawn()
    until((daemon.home / ("x" * room)).exists)
    process.terminate()
    assert process.wait(10) == 0
    daemon.process = None
