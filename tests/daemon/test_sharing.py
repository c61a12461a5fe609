"""Files that several requests share: which of them can stop a file, and what is left when one is deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer, seeded
from tests.marks import slow

FILES: dict[str, Any] = {"README.md": b"# hello", "config.json": b"{}", BIG: seeded(4_000_000, seed=1)}
SLOW_BYTES_PER_S = 400_000


def views(daemon: Daemon) -> dict[str, dict[str, Any]]:
    return {view["filePath"]: view for view in daemon.get("/api/progress", modelRepo=REPO).json["downloads"]}


def listed(daemon: Daemon, key: str, files: int) -> None:
    until(lambda: daemon.view(key)["filesTotal"] == files, "it is listed", state=lambda: str(daemon.view(key)))


def test_a_request_that_was_deleted_counts_right_when_it_is_asked_for_again(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    whole = daemon.download(REPO).json["id"]
    daemon.wait(whole, "done")
    part = daemon.download(REPO, include=["*.json", "*.md"]).json["id"]
    daemon.wait(part, "done")
    assert daemon.call("DELETE", "/api/download", {"id": whole}).status == 200
    assert views(daemon)["config.json"]["repoIds"] == [part]
    daemon.download(REPO)
    done = daemon.wait(whole, "done", deadline_s=5)
    assert (done["filesTotal"], done["filesDone"], done["filesFailed"]) == (3, 3, 0)
    assert done["totalBytes"] == done["downloadedBytes"] == 4_000_000 + 9


def test_a_deleted_request_is_forgotten_by_the_files_it_shared(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    whole = daemon.download(REPO).json["id"]
    daemon.wait(whole, "done")
    part = daemon.download(REPO, include=["*.json"]).json["id"]
    daemon.wait(part, "done")
    daemon.call("DELETE", "/api/download", {"id": whole})
    assert all(whole not in tracker.get("repoIds", []) for tracker in daemon.trackers())
    daemon.stop()
    daemon.start()
    assert views(daemon)["config.json"]["repoIds"] == [part]
    daemon.call("DELETE", "/api/download", {"id": part})
    assert views(daemon) == {}
    assert daemon.trackers() == []


def test_a_file_goes_on_for_nobody_when_both_requests_are_cancelled(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = SLOW_BYTES_PER_S
    whole = daemon.download(REPO).json["id"]
    listed(daemon, whole, 3)
    weights = daemon.download(REPO, include=["*.safetensors"]).json["id"]
    listed(daemon, weights, 1)
    daemon.post("/api/cancel", id=whole)
    assert views(daemon)[BIG]["status"] in ("downloading", "queued")
    daemon.post("/api/cancel", id=weights)
    assert views(daemon)[BIG]["status"] == "cancelled"
    assert daemon.view(whole)["status"] == daemon.view(weights)["status"] == "cancelled"
    hub.rate_bytes_per_s = 0
    assert daemon.download(REPO).status == 202
    daemon.wait(whole, "done")


@pytest.mark.parametrize(("action", "left"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_file_goes_on_for_nobody_when_the_request_that_wanted_it_is_deleted(
    hub: HubServer, daemon: Daemon, action: str, left: str
) -> None:
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = SLOW_BYTES_PER_S
    held = daemon.download(REPO).json["id"]
    listed(daemon, held, 3)
    running = daemon.download(REPO, include=[BIG]).json["id"]
    listed(daemon, running, 1)
    daemon.post(f"/api/{action}", id=held)
    assert views(daemon)[BIG]["status"] == "downloading"
    assert daemon.call("DELETE", "/api/download", {"id": running}).status == 200
    assert views(daemon)[BIG]["status"] == left
    assert daemon.view(held)["status"] == left


def test_resuming_a_request_while_a_file_that_it_shares_goes_on(hub: HubServer, daemon: Daemon) -> None:
    other = "other.safetensors"
    hub.add_repo(REPO, {**FILES, other: seeded(4_000_000, seed=2)})
    hub.rate_bytes_per_s = SLOW_BYTES_PER_S
    whole = daemon.download(REPO).json["id"]
    listed(daemon, whole, 4)
    daemon.download(REPO, BIG)
    daemon.post("/api/pause", id=whole)
    assert views(daemon)[other]["status"] == "paused"
    assert daemon.view(whole)["status"] in ("downloading", "queued")
    assert daemon.post("/api/resume", id=whole).status == 200
    assert views(daemon)[other]["status"] in ("queued", "downloading")
    hub.rate_bytes_per_s = 0
    daemon.wait(whole, "done")


def test_what_failed_is_retried_while_the_rest_still_downloads(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = SLOW_BYTES_PER_S
    hub.fault(REPO, "config.json", Fault.corrupt(times=None))
    whole = daemon.download(REPO).json["id"]
    until(lambda: views(daemon).get("config.json", {}).get("status") == "failed", "one failed")
    assert daemon.view(whole)["status"] == "downloading"
    hub.clear_faults()
    assert daemon.post("/api/retry", id=whole).status == 200
    daemon.wait(views(daemon)["config.json"]["id"], "done")
    assert daemon.view(whole)["status"] == "downloading"
    hub.rate_bytes_per_s = 0
    daemon.wait(whole, "done")


def test_no_file_matched_but_a_later_commit_has_one(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    key = daemon.download(REPO, include=["*.gguf"]).json["id"]
    assert daemon.wait(key, "failed")["reason"] == "file_not_found"
    hub.commit(REPO, {"new.gguf": b"gguf"})
    daemon.post("/api/retry", id=key)
    assert daemon.wait(key, "done")["filesTotal"] == 1


def test_the_same_content_is_fetched_once_into_a_folder(hub: HubServer, daemon: Daemon, tmp_path: Path) -> None:
    content = seeded(2_000_000, seed=9)
    hub.add_repo(REPO, {"a.safetensors": content, "copy/b.safetensors": content})
    folder = tmp_path / "mine"
    daemon.wait(daemon.download(REPO, localDir=str(folder)).json["id"], "done")
    assert (folder / "a.safetensors").read_bytes() == (folder / "copy/b.safetensors").read_bytes()
    assert hub.sent_bytes() < 2_000_000 + 10_000


def test_a_part_file_goes_when_another_revision_brought_the_content(hub: HubServer, daemon: Daemon) -> None:
    first = hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 2_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 1_000_000, "some is there")
    daemon.post("/api/pause", id=key)
    assert len(daemon.parts()) == 1
    hub.rate_bytes_per_s = 0
    daemon.wait(daemon.download(REPO, BIG, revision=first).json["id"], "done")
    daemon.post("/api/resume", id=key)
    daemon.wait(key, "done")
    assert daemon.parts() == []


@pytest.mark.parametrize("size_bytes", [100, slow(2_000_000)])
@pytest.mark.parametrize("whole_repo", [False, True])
def test_a_folders_files_of_one_content_are_fetched_once_over_restarts_too(
    hub: HubServer, daemon: Daemon, tmp_path: Path, size_bytes: int, whole_repo: bool
) -> None:
    content = seeded(size_bytes, seed=5)
    hub.add_repo(REPO, {"a.bin": content, "sub/b.bin": content})
    folder = tmp_path / "mine"
    daemon.wait(daemon.download(REPO, "a.bin", localDir=str(folder)).json["id"], "done")
    daemon.kill_and_start()
    path = {} if whole_repo else {"file_path": "sub/b.bin"}
    daemon.wait(daemon.download(REPO, localDir=str(folder), **path).json["id"], "done")
    assert (folder / "sub/b.bin").read_bytes() == content.read(0, size_bytes)
    assert hub.sent_bytes("sub/b.bin") == 0
    assert not (folder / "sub/b.bin").samefile(folder / "a.bin")


def test_what_was_fetched_of_a_file_goes_when_a_copy_takes_its_place(
    hub: HubServer, daemon: Daemon, tmp_path: Path
) -> None:
    content = seeded(4_000_000, seed=6)
    hub.add_repo(REPO, {"a.bin": content, "b.bin": content})
    hub.rate_bytes_per_s = 2_000_000
    folder = tmp_path / "mine"
    late = daemon.download(REPO, "b.bin", localDir=str(folder)).json["id"]
    until(lambda: daemon.view(late)["downloadedBytes"] > 500_000, "some is there")
    daemon.post("/api/pause", id=late)
    hub.rate_bytes_per_s = 0
    daemon.wait(daemon.download(REPO, "a.bin", localDir=str(folder)).json["id"], "done")
    hub.clear_log()
    daemon.post("/api/resume", id=late)
    daemon.wait(late, "done")
    assert hub.sent_bytes("b.bin") == 0
    until(lambda: not list(folder.rglob("hfdmd-*")), "no part file is left")


@pytest.mark.slow
def test_a_large_file_has_its_connections_beside_a_repo_of_small_ones(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo("org/small", {f"{number}.json": b"{}%d" % number for number in range(4_000)})
    hub.add_repo(REPO, {BIG: seeded(24_000_000, seed=1)})
    hub.fault("org/small", None, Fault.delay(0.4))
    hub.fault(REPO, BIG, Fault.slow(1_000_000))  # of each connection: with one alone 24 s
    small = daemon.download("org/small").json["id"]
    until(lambda: daemon.view(small)["filesDone"] > 100, "small ones come in")
    large = daemon.download(REPO, BIG).json["id"]
    daemon.wait(large, "done")
    assert daemon.view(small)["status"] == "downloading"


def test_empty_and_small_files_asked_for_at_once_all_come(hub: HubServer, daemon: Daemon) -> None:
    files: dict[str, Any] = {f"{number}.json": b"{}%d" % number for number in range(40)}
    files |= {f"{number}.empty": b"" for number in range(40)}
    hub.add_repo(REPO, files)
    for path in files:
        daemon.download(REPO, path)
    until(lambda: all(view["status"] == "done" for view in views(daemon).values()), "all have come")
    assert len(views(daemon)) == len(files)


def test_for_the_cache_and_for_a_folder_at_once_it_is_fetched_once(
    hub: HubServer, daemon: Daemon, tmp_path: Path
) -> None:
    hub.add_repo(REPO, {"model.safetensors": seeded(3_000_000, seed=1)})
    hub.rate_bytes_per_s = 2_000_000
    cache = daemon.download(REPO).json["id"]
    folder = daemon.download(REPO, localDir=str(tmp_path / "folder")).json["id"]
    daemon.wait(cache, "done")
    done = daemon.wait(folder, "done")
    assert (Path(done["path"]) / "model.safetensors").stat().st_size == 3_000_000
    assert hub.sent_bytes("model.safetensors") <= 3_000_000 * 1.05
