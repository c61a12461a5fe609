"""The daemon as a real process: start it, call its API, stop or kill it, and start it again."""

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

from tests.process_stats import ProcessStats

T = TypeVar("T")
DEADLINE_S = 30.0
POLL_S = 0.01


def until(
    probe: Callable[[], T],
    what: str = "",
    deadline_s: float = DEADLINE_S,
    state: Callable[[], str] | None = None,
) -> T:
    """Call `probe` until its result is true, and return that.

    Raises AssertionError after `deadline_s`, with `what` was expected and the `state` at that moment.
    """
    end = time.monotonic() + deadline_s
    while not (found := probe()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:g} s: {what or probe} {state() if state else ''}")
        time.sleep(POLL_S)
    return found


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder with a short path: a socket's path has 107 bytes at most."""
    return tempfile.TemporaryDirectory(prefix="hfd-", ignore_cleanup_errors=True)


def daemon_env(home: Path, hub_endpoint: str, **more: str) -> dict[str, str]:
    """The environment of a daemon or a client whose files are all below `home`, without a socket path."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": hub_endpoint,
        "HFDMD_STATE_DIR": str(home / "state"),
        "HFDMD_MIN_FREE_BYTES": "0",
        "HFDMD_DEBUG": os.environ.get("HFDMD_DEBUG", ""),
        **more,
    }


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path | str, timeout_s: float = DEADLINE_S) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass
class Answer:
    """A response whose body has been read. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The `code` of a problem; asserts that the body is one (RFC 9457)."""
        problem = self.json
        assert self.headers["content-type"] == "application/problem+json", self
        assert problem["status"] == self.status, self
        assert {"type", "title", "status", "detail", "code"} <= set(problem), self
        return str(problem["code"])


class Daemon:
    """A daemon process with all its files below `home`. As a context manager it is started and stopped."""

    def __init__(
        self,
        home: Path,
        hub_endpoint: str,
        *,
        tcp: bool = False,
        wrapper: Sequence[str] = (),
        python: str = sys.executable,
        **env: str,
    ) -> None:
        """`tcp`: also listen on a free TCP port. `wrapper`: a command that runs the daemon's command."""
        self.home = home
        self.state = home / "state"
        self.socket = home / "s"
        self.log_file = home / "log"
        self.wrapper = wrapper
        self.python = python
        self.env = daemon_env(home, hub_endpoint, HFDMD_SOCKET=str(self.socket))
        if tcp:
            self.env["HFDMD_LISTEN"] = "127.0.0.1:0"
        self.env |= env
        self.process: subprocess.Popen[bytes] | None = None
        self.first_answer_s = 0.0
        """Time from the last start of the process to its first good answer."""

    @property
    def cache(self) -> Path:
        return self.home / "hf" / "hub"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def token(self) -> str:
        return (self.state / "token").read_text().strip()

    @property
    def url(self) -> str:
        """The TCP address, from the endpoint file."""
        return str(json.loads((self.state / "endpoint.json").read_text())["url"])

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def stats(self) -> ProcessStats:
        return ProcessStats(self.pid)

    # ---- the process

    def command(self, *arguments: str) -> list[str]:
        return [*self.wrapper, self.python, "-m", "hfdmd.service", *arguments]

    def spawn(self, *arguments: str, command: Sequence[str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """A process that is neither kept nor waited for. `options` are those of Popen."""
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.log_file, "ab") as log:
            defaults = {"env": self.env, "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            return subprocess.Popen(command or self.command(*arguments), **(defaults | options))

    def start(self, *arguments: str) -> Self:
        """Start it and wait until it answers."""
        began = time.perf_counter()
        self.process = process = self.spawn(*arguments)

        def answers() -> bool:
            assert process.poll() is None, f"the daemon ended with {process.returncode}:\n{self.log}"
            return self.answers()

        until(answers, "the daemon answers", state=lambda: self.log)
        self.first_answer_s = time.perf_counter() - began
        return self

    def answers(self) -> bool:
        try:
            return self.get("/api/health").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def run_to_end(self, *arguments: str, timeout_s: float = DEADLINE_S) -> subprocess.CompletedProcess[str]:
        """Start it where it is expected to exit by itself."""
        return subprocess.run(
            self.command(*arguments), env=self.env, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def stop(self, timeout_s: float = DEADLINE_S) -> int:
        """SIGTERM, unless it has ended; returns the exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        try:
            code = self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert code in (0, -signal.SIGKILL), self.log

    # ---- its API

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
        """One request on a connection of its own. A `body` other than bytes is sent as JSON."""
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

    def post(self, path: str, body: Any = None, **fields: Any) -> Answer:
        """POST of `body`, or else of an object with these `fields`."""
        return self.call("POST", path, fields if body is None else body)

    def download(self, model_repo: str, file_path: str | None = None, **more: Any) -> Answer:
        """The answer to a request for a file, or for a whole repo."""
        return self.post("/api/download", request(model_repo, file_path, **more))

    def ask(self, model_repo: str, file_path: str | None = None, **more: Any) -> Any:
        """As `download`; asserts that the request is accepted and returns the download's view."""
        answer = self.download(model_repo, file_path, **more)
        assert answer.status in (200, 202), answer
        return answer.json

    def view(self, key: str) -> dict[str, Any]:
        """The present view of the download with this id."""
        found = self.get("/api/progress", id=key)
        assert found.status == 200, found.body
        view: dict[str, Any] = found.json
        return view

    def wait(self, key: str, *statuses: str, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """The view of the download, once it has one of these statuses."""
        last: dict[str, Any] = {}

        def reached() -> bool:
            last.update(self.view(key))
            return last["status"] in statuses

        until(reached, f"{key} is {' or '.join(statuses)}", deadline_s, lambda: f"last {last}\n{self.log[-3000:]}")
        return last

    # ---- its files

    def tracker_files(self) -> dict[Path, dict[str, Any]]:
        """Every tracker file, parsed."""
        found = {}
        for path in sorted((self.state / "trackers").rglob("*.json")):
            try:
                found[path] = json.loads(path.read_bytes())
            except FileNotFoundError:
                continue  # deleted in the meantime
        return found

    def trackers(self) -> list[dict[str, Any]]:
        return list(self.tracker_files().values())

    def parts(self) -> list[Path]:
        """hfdmd's part files in the cache."""
        blobs = self.cache.glob("*/blobs/*")
        return [path for path in blobs if not path.name.replace("-", "").isalnum()]

    def forget_lists(self) -> None:
        """Delete the kept lists of files, as if it had crashed while listing: the next start lists anew."""
        for file in self.state.glob("lists/*"):
            file.unlink()


def request(model_repo: str, file_path: str | None = None, **more: Any) -> dict[str, Any]:
    """The body of `POST /api/download`."""
    return {"modelRepo": model_repo, **({} if file_path is None else {"filePath": file_path}), **more}
