"""Runs olah, a third-party Hub mirror from PyPI, in its own virtual environment (it depends on FastAPI)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

VERSION = "0.5.4"
BUILD = Path(__file__).parents[2] / "build"
START_S = 40.0
INSTALL_S = 110.0


class NotInstalled(Exception):
    """olah can't be installed; the message has the reason."""


class DidNotStart(Exception):
    """olah did not start to listen; the message has the end of its log."""


def installed(folder: Path = BUILD) -> Path:
    """The Python that has olah, installed at first use below `folder`. Raises NotInstalled."""
    home = folder / f"olah-{VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
    python, ready = home / "bin" / "python", home / "ready"
    folder.mkdir(exist_ok=True)
    with FileLock(home.with_suffix(".lock")):
        if ready.exists():
            return python
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", f"olah=={VERSION}"]
        try:
            done = subprocess.run(pip, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            raise NotInstalled(f"pip took more than {INSTALL_S:.0f} s to install olah {VERSION}") from None
        if done.returncode != 0:
            raise NotInstalled(f"pip can't install olah {VERSION}: {done.stderr[-500:]}")
        ready.touch()
    return python


def mirror(python: Path, hub: str, cdn: str, folder: Path) -> AbstractContextManager[str]:
    """olah in front of the Hub and CDN at these URLs, its files in `folder`; gives its endpoint. Raises DidNotStart."""
    upstream = f"""
hf-scheme = "http"
hf-netloc = "{urlsplit(hub).netloc}"
hf-lfs-netloc = "{urlsplit(cdn).netloc}"
mirrors-path = []
"""
    return _running(python, folder, upstream, offline=False)


def storage(python: Path, repos: Path, folder: Path) -> AbstractContextManager[str]:
    """olah serving git repos at `repos`/models/OWNER/NAME, without any Hub: no ranges, no lengths, unquoted etags."""
    return _running(python, folder, f'mirrors-path = ["{repos}"]', offline=True)


@contextmanager
def _running(python: Path, folder: Path, upstream: str, *, offline: bool) -> Iterator[str]:
    port = _free_port()
    here = f"127.0.0.1:{port}"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.toml"
    config.write_text(
        f"""
[basic]
host = "127.0.0.1"
port = {port}
repos-path = "{folder / "repos"}"
mirror-scheme = "http"
mirror-netloc = "{here}"
mirror-lfs-netloc = "{here}"
{upstream}

[accessibility]
offline = {str(offline).lower()}
"""
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    command = [str(python), "-c", "from olah.server import cli; cli()", "-c", str(config)]
    log = folder / "log.txt"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=stream, stderr=subprocess.STDOUT)
    try:
        _wait(process, port, log)
        yield f"http://{here}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise DidNotStart(f"olah (exit code {process.poll()}): {log.read_text(errors='replace')[-2000:]}")
