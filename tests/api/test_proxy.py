"""Behind the web server of docs/service.md: its configuration, a real nginx, TLS."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import DEADLINE_S, Answer, Daemon, until
from tests.fakehub import HubServer, seeded
from tests.fakehub.tls import make_authority

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PAGE = Path(__file__).parents[2] / "docs" / "service.md"
NAME = "models.example"

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx")


def example(first_line: str) -> str:
    """The indented block of the page that begins with this line."""
    lines = PAGE.read_text().splitlines()
    begin = lines.index(f"    {first_line}")
    end = next(number for number in range(begin, len(lines)) if not lines[number].strip())
    return textwrap.dedent("\n".join(lines[begin:end]))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Front:
    """The daemon as seen by a client through the proxy."""

    daemon: Daemon
    port: int
    trust: ssl.SSLContext

    @contextmanager
    def open(self, method: str, target: str, body: Any = None, **headers: str) -> Iterator[http.client.HTTPResponse]:
        """An answer, its body not read yet, to a request that names `NAME` as if its DNS pointed here."""
        sent = {"Authorization": f"Bearer {self.daemon.token}", **headers}
        data = None
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body), "application/json"
        connection = http.client.HTTPSConnection(NAME, timeout=DEADLINE_S, context=self.trust)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)
        with closing(connection), self.trust.wrap_socket(plain, server_hostname=NAME) as connection.sock:
            connection.request(method, target, body=data, headers=sent)
            with connection.getresponse() as response:
                yield response

    def call(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        with self.open(method, target, body, **headers) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


@pytest.fixture
def front(make_daemon: Callable[..., Daemon]) -> Iterator[Front]:
    daemon = make_daemon()
    config = daemon.home / "config.toml"
    config.write_text(example("# /etc/hfdmd/config.toml").replace(":7878", ":0"))
    daemon.env["HFDMD_CONFIG"] = str(config)
    daemon.start()
    authority = make_authority((NAME,))
    folder = authority.folder
    port = free_port()
    server = example("# nginx").replace("127.0.0.1:7878", f"127.0.0.1:{daemon.port}")
    server = server.replace("listen 443", f"listen 127.0.0.1:{port}")
    server = re.sub(r"(ssl_certificate_key) .*;", rf"\1 {folder}/hub.key;", server)
    server = re.sub(r"(ssl_certificate) .*;", rf"\1 {folder}/hub.pem;", server)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder}/tmp;" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}\ndaemon off;\npid {folder}/nginx.pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}\n{server}\n}}\n"
    )
    assert NGINX is not None
    process = subprocess.Popen(
        [NGINX, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "error.log")]
    )
    front = Front(daemon, port, ssl.create_default_context(cafile=str(authority.ca_path)))

    def answers() -> bool:
        assert process.poll() is None, (folder / "error.log").read_text()
        try:
            front.call("GET", "/api/health")
        except ConnectionError:
            return False
        return True

    try:
        until(answers, "nginx answers")
        yield front
    finally:
        process.terminate()
        process.wait(10)
        authority.remove()


def test_a_client_beyond_the_proxy_is_served(front: Front) -> None:
    info = front.call("GET", "/api/info")
    assert (info.status, info.json["url"]) == (200, front.daemon.url)
    asked = front.call("POST", "/api/download", {"modelRepo": "own/small", "filePath": "config.json"})
    assert asked.status == 202
    front.daemon.wait(asked.json["id"], "done")
    assert front.call("GET", "/api/info", Authorization="Bearer x").code == "unauthorized"
    assert front.call("GET", "/api/info", Origin="https://evil.example").code == "forbidden_origin"
    long_path = "/".join(["%E9%95%B7" * 84] * 16)
    unknown = front.call("GET", f"/api/progress?modelRepo=own/small&filePath={long_path}")
    assert unknown.code == "unknown_download", "a long name fits"


def test_live_progress_comes_through_the_proxy_as_it_happens(front: Front, hub: HubServer) -> None:
    hub.add_repo("own/slow", {"model.bin": seeded(3_000_000, seed=3)})
    hub.rate_bytes_per_s = 500_000
    view = front.daemon.ask("own/slow", "model.bin")
    with front.open("GET", f"/api/progress?id={view['id']}", Accept="text/event-stream") as stream:
        assert (stream.status, stream.getheader("Content-Type")) == (200, "text/event-stream")
        told = 0
        while told < 3:
            line = stream.readline()
            assert line, "the stream ended"
            if line.startswith(b"data:") and json.loads(line[5:]).get("downloadedBytes"):
                assert front.daemon.view(view["id"])["status"] == "downloading", "what is told is not long past"
                told += 1
        hub.rate_bytes_per_s = 0
        assert b'"reason":"done"' in stream.read()
