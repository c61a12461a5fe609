"""A booted system: svcbox from the inside. Files and sockets of the box are reached through /proc/<pid>/root."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.daemon_process import UnixConnection, until

HERE = Path(__file__).parent
SVCBOX = str(HERE / "svcbox")
HUB_URL = "https://127.0.0.1:8443"
SOCKET = "/run/hfdmd.sock"
PREFIX = "/opt/hfdmd"
STATE, CACHE = "/var/lib/hfdmd", "/var/cache/hfdmd"
INSTALL = "/srv/src/packaging/install-opt.sh"
PIP = ("env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv/wheels")
REQUIREMENT = "hfdmd[systemd]"

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command in the box ended."""

    code: int
    out: str
    err: str


class Box:
    """One box by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.before: frozenset[str] = frozenset()
        """What was there before the installation, see `listing`."""
        self.before_person: frozenset[str] = frozenset()

    # ---- the machine

    def up(self, setup: Path, env: Mapping[str, str]) -> None:
        """Boots it; raises AssertionError with its output when a unit failed."""
        command = [SVCBOX, "up", self.name, "--setup", str(setup)]
        done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    def down(self) -> None:
        """Stops and removes it."""
        subprocess.run([SVCBOX, "down", self.name], check=True, timeout=60)

    @property
    def pid(self) -> int | None:
        """PID 1 of the box, as seen from here; None while it boots."""
        done = subprocess.run([SVCBOX, "pid", self.name], capture_output=True, text=True, timeout=10)
        return int(done.stdout) if done.returncode == 0 else None

    def path(self, inside: str) -> Path:
        """A file of the box, as seen from here."""
        pid = self.pid
        assert pid is not None, "the box is not up"
        return Path(f"/proc/{pid}/root{inside}")

    def reboot(self) -> None:
        """`systemctl reboot`, until the new system is up."""
        before = self.pid
        self.run("systemctl", "reboot")
        until(lambda: self.pid not in (None, before), "another PID 1", 60)
        state = until(lambda: self.run("systemctl", "is-system-running", "--wait").out.strip(), "the new system", 60)
        assert state == "running", self.run("systemctl", "--failed", "--no-pager").out

    def listing(self) -> frozenset[str]:
        """Every path where an installation could leave something, and the accounts."""
        folders = [
            "/etc",
            "/opt",
            "/usr/local",
            "/usr/lib/systemd",
            "/home",
            "/run/hfdmd.sock",
            "/var/lib",
            "/var/cache",
        ]
        found = self.ok(
            "sh", "-c", f"find {' '.join(folders)} -xdev 2>/dev/null || :; cut -d: -f1 /etc/passwd /etc/group"
        )
        return frozenset(found.splitlines())

    # ---- commands

    def run(self, *command: str, timeout_s: float = 60.0) -> Done:
        """A command as root."""
        done = subprocess.run(
            [SVCBOX, "exec", self.name, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *command: str, timeout_s: float = 60.0) -> str:
        """Its output; fails if the exit code is not 0."""
        done = self.run(*command, timeout_s=timeout_s)
        assert done.code == 0, f"{command} ended with {done.code}: {done.out}{done.err}"
        return done.out

    def run_as(self, user: str, *command: str, timeout_s: float = 60.0) -> Done:
        """A command of a person, as after a fresh login: that person's groups, home and user manager."""
        uid = self.uid(user)
        env = ["env", f"HOME=/home/{user}", f"USER={user}", f"LOGNAME={user}", f"XDG_RUNTIME_DIR=/run/user/{uid}"]
        identity = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups", "--inh-caps=-all"]
        return self.run(*identity, *env, *command, timeout_s=timeout_s)

    def ok_as(self, user: str, *command: str, timeout_s: float = 60.0) -> str:
        done = self.run_as(user, *command, timeout_s=timeout_s)
        assert done.code == 0, f"{command} as {user} ended with {done.code}: {done.out}{done.err}"
        return done.out

    def uid(self, user: str) -> int:
        return int(self.ok("id", "-u", user))

    # ---- systemd

    def show(self, unit: str = "hfdmd.service") -> dict[str, str]:
        """The properties of a unit."""
        output = self.ok("systemctl", "show", unit)
        return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)

    def main_pid(self) -> int:
        """The daemon's pid inside the box; 0 when it does not run."""
        return int(self.ok("systemctl", "show", "--property=MainPID", "--value", "hfdmd.service"))

    def restart(self) -> None:
        """A new daemon. The count of starts is set back: tests restart more often than people."""
        self.ok("systemctl", "reset-failed", "hfdmd.service", "hfdmd.socket")
        self.ok("systemctl", "restart", "hfdmd.service")

    def drop_in(self, text: str) -> None:
        """Changes hfdmd.service for one test; the empty text takes the change back."""
        folder = self.path("/etc/systemd/system/hfdmd.service.d")
        if text:
            folder.mkdir(exist_ok=True)
            (folder / "test.conf").write_text("[Service]\n" + text)
        else:
            (folder / "test.conf").unlink()
            folder.rmdir()
        self.ok("systemctl", "daemon-reload")

    def journal(self, *matches: str, since_s: float = 0.0) -> list[JSON]:
        """The journal's entries that match, from `since_s` (`time.time()`) on, oldest first."""
        # Not by --after-cursor: with matches, journalctl 252 leaves out the first entry.
        output = self.ok("journalctl", "--output=json", "--no-pager", *matches)
        entries = [json.loads(line) for line in output.splitlines()]
        return [entry for entry in entries if int(entry["__REALTIME_TIMESTAMP"]) >= since_s * 1e6]

    # ---- the API

    def call(self, method: str, path: str, body: JSON | None = None, timeout_s: float = 30.0) -> tuple[int, JSON]:
        """One request over the system's socket, as root."""
        connection = UnixConnection(self.path(SOCKET), timeout_s)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def download(self, repo: str, file: str) -> JSON:
        """Requests a file."""
        status, answer = self.call("POST", "/api/download", {"modelRepo": repo, "filePath": file})
        assert status in (200, 202), answer
        return answer

    def progress(self, repo: str, file: str) -> JSON:
        status, answer = self.call("GET", f"/api/progress?modelRepo={repo}&filePath={file}")
        assert status == 200, answer
        return answer

    def until_at_least(self, repo: str, file: str, size_bytes: int) -> JSON:
        """Waits until that many bytes are downloaded."""

        def reached() -> JSON | None:
            now = self.progress(repo, file)
            assert now["status"] not in ("failed", "cancelled"), now
            return now if now["downloadedBytes"] >= size_bytes else None

        return until(reached, f"{size_bytes} bytes of {repo} {file}")

    def until_done(self, repo: str, file: str, timeout_s: float = 60.0) -> JSON:
        """Waits until it is done, through restarts of the daemon."""

        def done() -> JSON | None:
            now = self.progress(repo, file)
            assert now["status"] not in ("failed", "cancelled"), now
            return now if now["status"] == "done" else None

        return until(done, f"{repo} {file}", timeout_s)

    # ---- the Hub

    def hub(self, **asked: object) -> int:
        """Sends a command to the Hub (see hub_in_box); returns the body bytes it sent of the file named `sent`."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.path("/run/hub.sock")))
            connection.sendall(json.dumps(asked).encode() + b"\n")
            return int(json.loads(connection.makefile().readline())["sent"])
