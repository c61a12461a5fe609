"""A real daemon process for tests: started, asked over its socket, killed and started again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

DEADLINE_S = 30.0


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float = DEADLINE_S) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Answer:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Daemon:
    """`hfdmd` with folders of its own below `home`. The process is a real one, so that it can really be killed."""

    def __init__(self, home: Path, hub_endpoint: str, **env: str) -> None:
        self.home = home
        self.state = home / "state"
        self.cache = home / "hf" / "hub"
        self.socket = home / "d.sock"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "HF_HOME": str(home / "hf"),
            "HF_ENDPOINT": hub_endpoint,
            "HFDMD_STATE_DIR": str(self.state),
            "HFDMD_SOCKET": str(self.socket),
            "HFDMD_MIN_FREE_BYTES": "0",
            "PYTHONFAULTHANDLER": "1",
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.log = home / "daemon.log"

    def start(self, *arguments: str, wait: bool = True) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hfdmd.service", *arguments],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        if wait:
            self.wait_until_up()
        return self

    def wait_until_up(self) -> None:
        def up() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            try:
                return self.get("/api/health").status == 200
            except OSError:
                return False

        until(up, "the daemon answers")

    def run_to_end(self, *arguments: str, timeout_s: float = DEADLINE_S) -> subprocess.CompletedProcess[str]:
        """Start it where it is expected to give up by itself."""
        return subprocess.run(
            [sys.executable, "-m", "hfdmd.service", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    def forget_lists(self) -> None:
        """Let a start find no lists of files, as after a crash in a listing: the Hub is asked for them."""
        for file in self.state.glob("lists/*"):
            file.unlink()

    def stop(self, timeout_s: float = DEADLINE_S) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        try:
            code = self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert code in (0, -signal.SIGKILL), self.log.read_text()

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> Answer:
        connection = UnixConnection(self.socket)
        try:
            target = path + ("?" + urlencode(query) if query else "")
            data = None if body is None else json.dumps(body).encode()
            sent = dict(headers or {})
            if data is not None:
                sent.setdefault("Content-Type", "application/json")
            connection.request(method, target, body=data, headers=sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Answer:
        return self.ask("GET", path, **query)

    def post(self, path: str, **body: Any) -> Answer:
        return self.ask("POST", path, body)

    def download(self, model_repo: str, file_path: str | None = None, **more: Any) -> Answer:
        body = {"modelRepo": model_repo, **more}
        if file_path is not None:
            body["filePath"] = file_path
        return self.post("/api/download", **body)

    def one(self, key: str) -> dict[str, Any]:
        found = self.get("/api/progress", id=key)
        assert found.status == 200, found.body
        view: dict[str, Any] = found.json
        return view

    def wait(self, key: str, *statuses: str, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """The download once it has one of these statuses."""
        last: dict[str, Any] = {}

        def there() -> bool:
            last.update(self.one(key))
            return last["status"] in statuses

        until(there, f"{key} is {' or '.join(statuses)}, last {last}", deadline_s, lambda: str(last))
        return last

    def trackers(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in sorted(self.state.glob("trackers/*/*.json"))]

    def parts(self) -> list[Path]:
        """Part files of hfdmd that lie about in the cache."""
        blobs = self.cache.glob("*/blobs/*")
        return [path for path in blobs if not path.name.replace("-", "").isalnum()]


def until(
    holds: Callable[[], bool],
    what: str,
    deadline_s: float = DEADLINE_S,
    tell: Callable[[], str] | None = None,
) -> None:
    """Wait for a condition by asking, not by guessing a time."""
    end = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what} {tell() if tell else ''}")
        time.sleep(0.01)
