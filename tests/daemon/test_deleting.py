"""`DELETE` with `deleteFile`: deletes all files that hfdmd wrote and no other download needs, and nothing else."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import hf_hub_download

from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded

REPO = "org/model"


def delete(daemon: Daemon, **selector: Any) -> int:
    return daemon.call("DELETE", "/api/download", {**selector, "deleteFile": True}).status


def entries(daemon: Daemon) -> int:
    """The number of files in snapshots; files deleted during the count are skipped."""
    return sum(len(names) for root in daemon.cache.glob("models--*/snapshots") for *_, names in os.walk(root))


def is_loaded(daemon: Daemon) -> bool:
    return not daemon.get("/api/info").json["loading"]


def test_a_kill_in_the_middle_leaves_nothing_that_a_second_one_does_not_delete(hub: HubServer, daemon: Daemon) -> None:
    files = 1500
    hub.add_repo(REPO, {f"{number % 7}/{number}.json": b"{}%d" % number for number in range(files)})
    key = daemon.download(REPO).json["id"]
    daemon.wait(key, "done")

    def first() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            delete(daemon, id=key)

    deleting = threading.Thread(target=first)
    deleting.start()
    until(lambda: entries(daemon) < files, "it deletes")
    daemon.kill()
    deleting.join()
    left = entries(daemon)
    daemon.start()
    until(lambda: is_loaded(daemon), "the trackers are read")
    delete(daemon, all=True)
    assert list(daemon.cache.glob("models--*")) == [], f"{left} entries were left by the kill"


@pytest.mark.parametrize("whole_repo", [False, True])
def test_what_another_revision_of_the_same_commit_is_done_with_stays(
    hub: HubServer, daemon: Daemon, whole_repo: bool
) -> None:
    commit = hub.add_repo(REPO, {"x.bin": seeded(300_000, seed=1), "sub/t.txt": b"one"})
    path = {} if whole_repo else {"file_path": "sub/t.txt"}
    keys = [daemon.download(REPO, revision=revision, **path).json["id"] for revision in ("main", commit)]
    for key in keys:
        daemon.wait(key, "done")
    assert delete(daemon, id=keys[0]) == 200
    kept = daemon.get("/api/progress", modelRepo=REPO).json["downloads"]
    assert len(kept) == (2 if whole_repo else 1)
    assert all(Path(view["path"]).is_file() for view in kept)
    assert delete(daemon, id=keys[1]) == 200
    assert list(daemon.cache.glob("models--*")) == []


def test_an_apps_file_in_the_cache_is_forgotten_not_deleted(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {"x.bin": seeded(2_000_000, seed=5), "y.json": b"{}"})
    theirs = Path(hf_hub_download(REPO, "x.bin", cache_dir=daemon.cache, endpoint=hub.endpoint))
    key = daemon.download(REPO).json["id"]
    daemon.wait(key, "done")
    daemon.kill_and_start()
    until(lambda: is_loaded(daemon), "the trackers are read")
    assert delete(daemon, id=key) == 200
    assert theirs.stat().st_size == 2_000_000
    assert not theirs.with_name("y.json").exists()
    assert len(list(theirs.parents[2].glob("blobs/*"))) == 1
    assert daemon.trackers() == []
    assert hf_hub_download(REPO, "x.bin", cache_dir=daemon.cache, local_files_only=True) == str(theirs)


def test_a_users_file_in_a_folder_is_forgotten_not_deleted(hub: HubServer, daemon: Daemon, tmp_path: Path) -> None:
    content = seeded(300_000, seed=6)
    hub.add_repo(REPO, {"mine.bin": content, "other.bin": seeded(300_000, seed=7)})
    folder = tmp_path / "folder"
    folder.mkdir()
    mine = folder / "mine.bin"
    mine.write_bytes(content.read(0, 300_000))
    key = daemon.download(REPO, localDir=str(folder)).json["id"]
    daemon.wait(key, "done")
    hub.commit(REPO, {"new.txt": b"1"})  # an update does not change that the file is the user's
    daemon.download(REPO, localDir=str(folder), update=True)
    until(lambda: daemon.view(key)["filesDone"] == 3, "bytes arrive")
    assert delete(daemon, id=key) == 200
    assert mine.read_bytes() == content.read(0, 300_000)
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["mine.bin"]


@pytest.mark.parametrize("restart", [False, True])
def test_what_hfdmd_took_from_its_own_work_is_deleted(
    hub: HubServer, daemon: Daemon, tmp_path: Path, restart: bool
) -> None:
    content = seeded(300_000, seed=8)
    hub.add_repo(REPO, {"a.bin": content, "copy/b.bin": content, "c.json": b"{}"})
    folder = str(tmp_path / "folder")
    daemon.wait(daemon.download(REPO).json["id"], "done")
    hub.commit(REPO, {"c.json": b"[]"}, "dev")
    if restart:
        daemon.kill_and_start()
    daemon.wait(daemon.download(REPO, revision="dev").json["id"], "done")
    daemon.wait(daemon.download(REPO, localDir=folder).json["id"], "done")
    assert delete(daemon, modelRepo=REPO, revision="main") == 200
    assert list(Path(folder).glob("*.bin")) == []
    daemon.call("DELETE", "/api/download", {"all": True})
    daemon.wait(daemon.download(REPO, revision="dev").json["id"], "done")
    assert hub.sent_bytes("a.bin") + hub.sent_bytes("copy/b.bin") < 310_000
    assert delete(daemon, all=True) == 200
    assert list(daemon.cache.glob("models--*")) == []


@pytest.mark.slow
def test_what_a_kill_left_without_a_tracker_is_deleted(hub: HubServer, daemon: Daemon) -> None:
    files = 1500
    hub.add_repo(REPO, {f"{number}.json": b"{}%d" % number for number in range(files)})
    key = daemon.download(REPO).json["id"]
    for placed in (50, 600, 1100):
        until(lambda at=placed: entries(daemon) > at, "some are there")  # type: ignore[misc]
        daemon.kill_and_start()
    daemon.wait(key, "done")
    assert delete(daemon, id=key) == 200
    assert list(daemon.cache.glob("models--*")) == []


def test_a_tracker_of_an_older_hfdmd_says_that_hfdmd_wrote_it(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {"x.bin": seeded(300_000, seed=9)})
    hf_hub_download(REPO, "x.bin", cache_dir=daemon.cache, endpoint=hub.endpoint)
    key = daemon.download(REPO, "x.bin").json["id"]
    daemon.wait(key, "done")
    daemon.stop()
    [path] = daemon.state.glob("trackers/*/*.json")
    tracker = json.loads(path.read_bytes())
    del tracker["adopted"]
    path.write_text(json.dumps(tracker))
    daemon.start()
    assert delete(daemon, id=key) == 200
    assert list(daemon.cache.glob("models--*")) == []


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("in_folder", [False, True])
def test_a_forgotten_file_that_is_found_again_is_still_hfdmds_own(
    hub: HubServer, daemon: Daemon, tmp_path: Path, restarts: bool, in_folder: bool
) -> None:
    hub.add_repo(REPO, {"x.bin": seeded(1_000_000, seed=1)})
    folder = str(tmp_path / "mine") if in_folder else None
    first = daemon.wait(daemon.ask(REPO, "x.bin", localDir=folder)["id"], "done")
    assert daemon.call("DELETE", "/api/download", {"id": first["id"]}).status == 200
    if restarts:
        daemon.kill_and_start()
    again = daemon.wait(daemon.ask(REPO, "x.bin", localDir=folder)["id"], "done")
    assert again["path"] == first["path"]
    assert hub.sent_bytes("x.bin") == 1_000_000
    assert daemon.call("DELETE", "/api/download", {"id": again["id"], "deleteFile": True}).status == 200
    assert not Path(first["path"]).exists()
    assert "WARNING" not in daemon.log
