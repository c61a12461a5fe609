"""The client's figures, measured beside `hf --version` in one run: `python -m tests.client.figures`.

Not a test, because other load on the machine changes the times. Prints best and median of each.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.client.conftest import REPO, SMALL, Hfdm
from tests.daemon_process import Daemon
from tests.fakehub import HubServer

ROUNDS = 15


def measure(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Best and median of `ROUNDS` runs in ms."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(command, env=env, check=True, capture_output=True)
        times.append((time.perf_counter() - began) * 1000)
    return min(times), statistics.median(times)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hfdm") as folder, HubServer() as hub:
        home = Path(folder)
        commit = hub.add_repo(REPO, {"config.json": SMALL})
        with Daemon(home, hub.endpoint) as daemon:
            hfdm = Hfdm(home, hub.endpoint, HFDMD_SOCKET=str(daemon.socket))
            hfdm("download", REPO, "config.json", "--revision", commit)
            python, program = sys.executable, hfdm.program
            rows: dict[str, tuple[list[str], int | None]] = {
                "python -c pass": ([python, "-c", "pass"], None),
                "import hfdmd_client": ([python, "-c", "import hfdmd_client"], 60),
                "from hfdmd_client import Client": ([python, "-c", "from hfdmd_client import Client"], None),
                "from hfdmd_client import AsyncClient": ([python, "-c", "from hfdmd_client import AsyncClient"], None),
                "import aiohttp": ([python, "-c", "import aiohttp"], None),
                "hfdm --version": ([program, "--version"], 120),
                "hf --version": ([str(Path(program).with_name("hf")), "--version"], None),
                "hfdm status": ([program, "status"], 200),
                "hfdm download, cached": ([program, "download", REPO, "config.json", "-r", commit], 500),
            }
            bare = 0.0
            print(f"{'':40}{'best':>8}{'median':>8}{'budget':>8}   ms, requests to the Hub")
            for name, (command, budget) in rows.items():
                hub.clear_log()
                best, median = measure(command, hfdm.env)
                bare = bare or best
                print(f"{name:40}{best:8.0f}{median:8.0f}{budget or '':>8}{len(hub.log):>8}")
            print(f"a bare Python is {bare:.0f} ms of each")


if __name__ == "__main__":
    main()
