"""A log that cannot be written neither ends the daemon nor stops a download."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import DEADLINE_S, Daemon, until
from tests.fakehub import HubServer, seeded
from tests.loop_disk import needs_mounts


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_full_disk_under_the_log(hub: HubServer, tmp_path: Path, kind: str) -> None:
    hub.add_repo(REPO, {BIG: seeded(1_000_000, seed=1), "a.json": b"{}"})
    daemon = Daemon(tmp_path / "h", hub.endpoint, HFDMD_LOG=kind, HFDMD_LOG_LEVEL="debug")
    with open("/dev/full", "wb") as full:
        daemon.process = daemon.spawn(stdout=full, stderr=full)
    until(daemon.answers, "the daemon answers")
    daemon.wait(daemon.ask(REPO)["id"], "done")
    daemon.wait(daemon.ask(REPO, "missing.bin")["id"], "failed")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(DEADLINE_S) == 0


@needs_mounts
def test_lines_that_were_lost_are_counted(hub: HubServer, tmp_path: Path) -> None:
    disk = tmp_path / "logs"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", disk], check=True)
    try:
        filler = disk / "filler"
        filler.write_bytes(bytes(8192))
        daemon = Daemon(tmp_path / "h", hub.endpoint)
        daemon.log_file = disk / "log"
        with daemon:
            assert daemon.log == ""
            filler.unlink()
            daemon.ask(REPO, "missing.bin")
            until(lambda: "missing.bin" in daemon.log, "it is logged again")
            first = daemon.log.splitlines()[0]
            assert re.fullmatch(r"\([1-9] log lines before this one could not be written\)", first)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
