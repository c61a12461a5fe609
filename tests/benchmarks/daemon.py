"""A daemon of our own for a measurement: its start, its costs, its API."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hfdmd_client import Client

BIN = Path(sys.executable).parent
DAEMON = [str(BIN / "hfdmd")]
START_S = 20.0
STOP_S = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


def clean_env(**more: str) -> dict[str, str]:
    """An environment with nothing in it that could change what a program does."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return kept | {"TERM": "dumb"} | more


class Daemon:
    """`with Daemon(folder, endpoint) as daemon:`; state, cache and socket are in `folder`."""

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        *,
        bundle: Path | None = None,
        inside: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.socket = folder / "s"
        self.cache = folder / "hf/hub"
        self.first_answer_s = 0.0
        """From the start of the process to its first good answer."""
        self.env = clean_env(
            HOME=str(folder),
            HF_HOME=str(folder / "hf"),
            HF_ENDPOINT=endpoint,
            HFDMD_STATE_DIR=str(folder / "state"),
            HFDMD_SOCKET=str(self.socket),
            HFDMD_NO_SPAWN="1",
            **({"SSL_CERT_FILE": str(bundle)} if bundle else {}),
            **(settings or {}),
        )
        self._inside = inside
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            began = time.perf_counter()
            self._process = subprocess.Popen(
                [*self._inside, *DAEMON],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() - began > START_S:
                self.__exit__()
                raise RuntimeError(f"the daemon does not answer:\n{self.log()[-2000:]}")
            time.sleep(0.005)
        self.first_answer_s = time.perf_counter() - began
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def client(self) -> Client:
        return Client(socket=self.socket)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def cpu_s(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_bytes(self) -> int:
        return self._status_kib("VmRSS") * 1024

    def peak_rss_bytes(self) -> int:
        """The most since `forget_peak`."""
        return self._status_kib("VmHWM") * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def wake_ups(self) -> int:
        """How often one of its threads went to sleep of its own will."""
        total = 0
        for status in Path(f"/proc/{self.pid}/task").glob("*/status"):
            found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.MULTILINE)
            total += int(found[1]) if found else 0
        return total

    def _status_kib(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])

    def _answers(self) -> bool:
        try:
            with Asker(self.socket) as ask:
                return ask.get("/api/health") == 200
        except (OSError, http.client.HTTPException):
            return False


class Asker(http.client.HTTPConnection):
    """A kept connection to the daemon's socket, as light as can be: what is timed is the daemon."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def get(self, path: str) -> int:
        """The status of a GET, its body read and dropped."""
        self.request("GET", path)
        with self.getresponse() as answer:
            answer.read()
            return answer.status
