"""A real daemon process on its own folders and sockets, and plain ways to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

T = TypeVar("T")
DEADLINE_S = 30.0


def until(what: Callable[[], T | None], why: str = "", deadline_s: float = DEADLINE_S) -> T:
    """What `what` returns, as soon as it is true. Fails when that takes too long."""
    end = time.monotonic() + deadline_s
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:.0f} s: {why or what}")
        time.sleep(0.01)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float = DEADLINE_S) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The `code` of a problem, whose form is checked on the way."""
        problem = self.json
        assert self.headers["content-type"] == "application/problem+json", self
        assert problem["status"] == self.status, self
        assert {"type", "title", "status", "detail", "code"} <= set(problem), self
        return str(problem["code"])


@dataclass
class Daemon:
    """A daemon below `folder`. `start` it, talk to it, `stop` or `kill` it, `start` it again."""

    folder: Path
    hub_endpoint: str
    env: dict[str, str] = field(default_factory=dict)
    tcp: bool = False
    process: subprocess.Popen[bytes] | None = None
    arguments: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()
    """A command that runs the daemon's."""

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def cache_dir(self) -> Path:
        return self.folder / "cache"

    @property
    def log_file(self) -> Path:
        return self.folder / "log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def token(self) -> str:
        return (self.state_dir / "token").read_text().strip()

    @property
    def url(self) -> str:
        """The TCP address, as the endpoint file tells it."""
        return str(json.loads((self.state_dir / "endpoint.json").read_text())["url"])

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HFDMD_", "XDG_"))}
        env |= {
            "HOME": str(self.folder),
            "HF_ENDPOINT": self.hub_endpoint,
            "HF_HUB_CACHE": str(self.cache_dir),
            "HFDMD_STATE_DIR": str(self.state_dir),
            "HFDMD_SOCKET": str(self.socket),
            "HFDMD_MIN_FREE_BYTES": "0",
            "NO_PROXY": "*",
        }
        if self.tcp:
            env["HFDMD_LISTEN"] = "127.0.0.1:0"
        return env | self.env

    def spawn(self) -> subprocess.Popen[bytes]:
        with open(self.log_file, "ab") as log:
            return subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", "hfdmd.service", *self.arguments],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def start(self) -> Self:
        self.process = process = self.spawn()

        def answers() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"the daemon ended with {process.returncode}:\n{self.log}")
            try:
                return self.get("/api/health").status == 200
            except OSError:
                return False

        until(answers, "the daemon's first answer")
        return self

    def stop(self, deadline_s: float = 10.0) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(deadline_s)
        self.process = None
        return code

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.kill()

    def connect(self, *, tcp: bool = False, timeout: float = DEADLINE_S) -> socket.socket:
        """A raw connection."""
        if tcp:
            return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        raw.settimeout(timeout)
        raw.connect(str(self.socket))
        return raw

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        tcp: bool = False,
        token: str | None = None,
    ) -> Answer:
        """One request. A `body` that is no bytes goes as JSON."""
        connection: http.client.HTTPConnection
        if tcp:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        else:
            connection = UnixConnection(self.socket)
        sent = dict(headers or {})
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path + (f"?{urlencode(query)}" if query else ""), body=data, headers=sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Answer:
        return self.call("GET", path, query=query)

    def post(self, path: str, body: Any) -> Answer:
        return self.call("POST", path, body)

    def ask(self, repo: str, file: str | None = None, **more: Any) -> Any:
        """Ask for a file or a repo; the answer's view."""
        body = {"modelRepo": repo, **({} if file is None else {"filePath": file}), **more}
        answer = self.post("/api/download", body)
        assert answer.status in (200, 202), answer
        return answer.json

    def view(self, key: str) -> Any:
        return self.get("/api/progress", id=key).json

    def until_status(self, key: str, *statuses: str, deadline_s: float = DEADLINE_S) -> Any:
        """The view of `key` once it has one of `statuses`."""
        seen: list[Any] = []

        def reached() -> Any:
            view = self.view(key)
            seen[:] = [view]
            return view if view["status"] in statuses else None

        try:
            return until(reached, f"{key} becomes {statuses}", deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen}\n{self.log[-3000:]}") from None

    def trackers(self) -> dict[Path, Any]:
        """Every tracker file, parsed, with its keys in order."""
        found = {}
        for path in sorted((self.state_dir / "trackers").rglob("*.json")):
            try:
                found[path] = json.loads(path.read_bytes())
            except FileNotFoundError:
                continue  # forgotten meanwhile
        return found


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder whose path is short enough for a socket in it."""
    return tempfile.TemporaryDirectory(prefix="hfd-", ignore_cleanup_errors=True)
