"""Files of a mirror that gives no digest, and perhaps neither a version nor a size, with `allow_unverified`."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.daemon_process import Daemon, until
from tests.loop_disk import needs_mounts
from tests.marks import slow

SIZE = 6_000_000
PIECE = 1 << 16


class Mirror:
    """Serves one file, at `bytes_per_s` for each connection. A response goes on with what it began with."""

    def __init__(self, content: bytes, *, versions: bool, sizes: bool = True, bytes_per_s: int = 2_000_000) -> None:
        self.content = content
        self.version = 1
        self.versions = versions
        self.sizes = sizes
        self.bytes_per_s = bytes_per_s
        self.sent_bytes = 0

    def replace(self, content: bytes) -> None:
        self.content, self.version = content, self.version + 1


@pytest.fixture
def serve() -> Iterator[object]:
    servers: list[ThreadingHTTPServer] = []

    def serve(mirror: Mirror) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                self.send_error(404)

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                if "/resolve/" not in self.path:
                    self.send_error(404)
                    return
                content, wanted = mirror.content, re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                ranged = wanted is not None and mirror.sizes
                start, end = (int(wanted[1]), int(wanted[2]) + 1) if wanted and ranged else (0, len(content))
                self.send_response(206 if ranged else 200)
                self.send_header("X-Repo-Commit", "a" * 40)
                if mirror.versions:
                    self.send_header("ETag", f'"v{mirror.version}"')
                if ranged:
                    self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
                if mirror.sizes:
                    self.send_header("Content-Length", str(end - start))
                else:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                for at in range(start, end if self.command == "GET" else start, PIECE):
                    self.wfile.write(content[at : min(end, at + PIECE)])
                    mirror.sent_bytes += PIECE
                    time.sleep(PIECE / mirror.bytes_per_s)

            def handle(self) -> None:
                with contextlib.suppress(OSError):  # the daemon has gone
                    super().handle()

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("between", ["nothing", "a kill", slow("a pause")])
@pytest.mark.parametrize("versions", [True, False], ids=["with an ETag", "without"])
def test_a_file_that_is_replaced_in_the_middle_is_never_a_mixture(
    serve: object, tmp_path: Path, versions: bool, between: str
) -> None:
    if not versions and between == "nothing":
        pytest.skip("nothing distinguishes the two contents while one daemon fetches them")
    old, new = os.urandom(SIZE), os.urandom(SIZE)
    mirror = Mirror(old, versions=versions)
    with Daemon(tmp_path / "h", serve(mirror), HFDMD_ALLOW_UNVERIFIED="true") as daemon:  # type: ignore[operator]
        key = daemon.ask("o/n", "x.bin")["id"]
        until(lambda: any(tracker["synced"] for tracker in daemon.trackers()), "a part is synced")
        until(lambda: daemon.view(key)["downloadedBytes"] > SIZE // 5, "a part is there")
        if between == "a kill":
            daemon.kill()
        elif between == "a pause":
            daemon.post("/api/pause", id=key)
        mirror.replace(new)
        mirror.bytes_per_s = 20_000_000
        if between == "a kill":
            daemon.start()
        elif between == "a pause":
            daemon.post("/api/resume", id=key)
        done = daemon.wait(key, "done")
        content = Path(done["path"]).read_bytes()
        assert content == new or (between == "nothing" and content == old)
        assert "not verified" in done["detail"]


@pytest.mark.slow
@needs_mounts
def test_a_file_of_unknown_size_leaves_the_room_that_is_to_stay_free(serve: object, tmp_path: Path) -> None:
    size, disk = 40_000_000, tmp_path / "disk"
    mirror = Mirror(os.urandom(size), versions=True, sizes=False, bytes_per_s=20_000_000)
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=True)
    try:
        env = {"HF_HOME": str(disk), "HFDMD_MIN_FREE_BYTES": "40000000", "HFDMD_ALLOW_UNVERIFIED": "true"}
        with Daemon(tmp_path / "h", serve(mirror), **env) as daemon:  # type: ignore[operator]
            key = daemon.ask("o/n", "x.bin")["id"]
            until(lambda: daemon.view(key)["reason"] == "disk_full", "it waits for room")
            assert daemon.view(key)["status"] == "queued"
            sent_bytes = mirror.sent_bytes
            assert sent_bytes < size
            daemon.post("/api/retry", id=key)
            until(lambda: daemon.view(key)["reason"] == "disk_full", "it waits for room")
            assert mirror.sent_bytes == sent_bytes
            daemon.call("PATCH", "/api/settings", {"minFreeBytes": 0})
            daemon.post("/api/retry", id=key)
            done = daemon.wait(key, "done")
            assert Path(done["path"]).stat().st_size == size
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
