"""A disk with free bytes on which no file can be created: the sentence says so, and the download goes on by itself."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded
from tests.loop_disk import needs_mounts

pytestmark = needs_mounts


class Inodes:
    """A tmpfs with a few hundred inodes, all of which can be used up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fillers: list[Path] = []
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,nr_inodes=300", "tmpfs", folder], check=True)

    def use_up(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                filler = self.folder / f"filler{len(self._fillers)}"
                filler.touch()
                self._fillers.append(filler)

    def free(self) -> None:
        for filler in self._fillers:
            filler.unlink()


@pytest.fixture
def inodes(tmp_path: Path) -> Iterator[Inodes]:
    disk = Inodes(tmp_path / "disk")
    yield disk
    subprocess.run(["umount", "--lazy", disk.folder], check=True)


@pytest.mark.parametrize("file", [BIG, "a.json"])
@pytest.mark.parametrize("place", ["cache", "local folder"])
def test_no_inodes_where_the_file_goes(hub: HubServer, tmp_path: Path, inodes: Inodes, place: str, file: str) -> None:
    hub.add_repo(REPO, {BIG: seeded(1_000_000, seed=1), "a.json": b"{}"})
    folder = inodes.folder / "models"
    local_dir, env = (None, {"HF_HOME": str(inodes.folder)}) if place == "cache" else (str(folder), {})
    with Daemon(tmp_path / "h", hub.endpoint, **env) as daemon:
        inodes.use_up()
        key = daemon.ask(REPO, file, localDir=local_dir)["id"]
        until(lambda: daemon.view(key)["reason"] == "disk_full", "it waits", state=lambda: str(daemon.view(key)))
        where = inodes.folder / "hub" if place == "cache" else folder
        assert f"No inodes are left on the disk of {where}" in daemon.view(key)["detail"]
        inodes.free()
        daemon.post("/api/retry", id=key)
        daemon.wait(key, "done")


@pytest.mark.parametrize("file", [BIG, None])
def test_no_inodes_for_a_new_tracker(hub: HubServer, tmp_path: Path, inodes: Inodes, file: str | None) -> None:
    hub.add_repo(REPO, {BIG: seeded(1_000_000, seed=1), "a.json": b"{}"})
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_STATE_DIR=str(inodes.folder / "state")) as daemon:
        daemon.wait(daemon.ask(REPO, "a.json")["id"], "done")  # so that there is a bound of versions
        inodes.use_up()
        hub.clear_log()
        answer = daemon.download(REPO, file)
        assert answer.status == 202, answer.body
        assert (answer.json["status"], answer.json["reason"]) == ("queued", "disk_full")
        assert "no inodes are left on the disk of" in answer.json["detail"]
        assert hub.sent_bytes() == 0
        inodes.free()
        daemon.post("/api/retry", id=answer.json["id"])
        daemon.wait(answer.json["id"], "done")


def test_no_inodes_where_the_trackers_are(hub: HubServer, tmp_path: Path, inodes: Inodes) -> None:
    hub.add_repo(REPO, {BIG: seeded(8_000_000, seed=1)})
    hub.rate_bytes_per_s = 4_000_000
    state = inodes.folder / "state"
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_STATE_DIR=str(state)) as daemon:
        key = daemon.ask(REPO, BIG)["id"]
        until(lambda: daemon.view(key)["downloadedBytes"], "it moves")
        inodes.use_up()
        until(lambda: daemon.view(key)["reason"] == "disk_full", "it waits", state=lambda: str(daemon.view(key)))
        assert f"no inodes are left on the disk of {state / 'trackers'}" in daemon.view(key)["detail"]
        inodes.free()
        hub.rate_bytes_per_s = 0
        daemon.post("/api/retry", id=key)
        daemon.wait(key, "done")
