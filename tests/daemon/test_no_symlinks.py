"""Caches without symbolic links: files are placed as copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon
from tests.fakehub import HubServer, seeded


def test_a_cache_without_links(hub: HubServer, tmp_path: Path) -> None:
    files: dict[str, Any] = {BIG: seeded(2_000_000, seed=4), "a.json": b"{}", "deep/b.json": b"{}"}
    hub.add_repo(REPO, files)
    with Daemon(tmp_path / "h", hub.endpoint, HF_HUB_DISABLE_SYMLINKS="1") as daemon:
        done = daemon.wait(daemon.download(REPO).json["id"], "done")
        here = Path(done["path"])
        assert {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()} == set(files)
        assert not any(path.is_symlink() for path in here.rglob("*"))
        hub.clear_log()
        assert daemon.download(REPO).status == 200
        daemon.stop()
        daemon.start()
        assert daemon.download(REPO).json["status"] == "done"
        assert hub.sent_bytes() == 0


def test_from_a_cache_without_links_into_a_folder(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {BIG: seeded(2_000_000, seed=5), "a.json": b"{}"})
    with Daemon(tmp_path / "h", hub.endpoint, HF_HUB_DISABLE_SYMLINKS="1") as daemon:
        cached = Path(daemon.wait(daemon.download(REPO).json["id"], "done")["path"])
        hub.clear_log()
        mine = Path(daemon.wait(daemon.download(REPO, localDir=str(tmp_path / "mine")).json["id"], "done")["path"])
        assert hub.sent_bytes() == 0
        (mine / BIG).write_bytes(b"edited")
        assert (cached / BIG).stat().st_size == 2_000_000
