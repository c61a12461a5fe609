"""A real daemon, a real Hub, and `hfdm` as its own process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon_process import DEADLINE_S, Daemon, daemon_env, until
from tests.fakehub import HubServer, seeded

SMALL = b'{"architectures": []}'
BIG_BYTES = 8_000_000
REPO, BIG = "owner/name", "model.safetensors"


class Hfdm:
    """`hfdm` with an environment of its own; what it starts is ended by `close`."""

    def __init__(self, home: Path, hub_endpoint: str, **env: str) -> None:
        self.home = home
        self.state = home / "state"
        self.cache = home / "hf" / "hub"
        self.env = daemon_env(home, hub_endpoint, **env)
        self.program = str(Path(sys.executable).with_name("hfdm"))

    def __call__(self, *arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments],
            cwd=cwd,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.program, *arguments],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def pids(self) -> list[int]:
        """Daemons that use this home, found by their environment."""
        found = []
        mark = f"HFDMD_STATE_DIR={self.state}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                if mark in (entry / "environ").read_bytes().split(b"\0") and b"hfdmd" in command:
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended while we looked
        return found

    def close(self) -> None:
        for pid in self.pids():
            os.kill(pid, signal.SIGTERM)
        until(lambda: not self.pids(), "what hfdm started has ended")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: the path of a socket in it must fit into 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="hfdm"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        server.add_repo(
            REPO,
            {"config.json": SMALL, BIG: seeded(BIG_BYTES, seed=1), "onnx/model.onnx": seeded(300_000, seed=2)},
        )
        yield server


@pytest.fixture
def daemon(hub: HubServer, home: Path) -> Iterator[Daemon]:
    with Daemon(home, hub.endpoint) as running:
        yield running


@pytest.fixture
def hfdm(daemon: Daemon) -> Hfdm:
    """`hfdm` beside a daemon that runs."""
    return Hfdm(daemon.home, daemon.env["HF_ENDPOINT"], HFDMD_SOCKET=str(daemon.socket))


@pytest.fixture
def lone_hfdm(hub: HubServer, home: Path) -> Iterator[Hfdm]:
    """`hfdm` on a machine where no daemon runs yet."""
    command = Hfdm(home, hub.endpoint)
    yield command
    command.close()
