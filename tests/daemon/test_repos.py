"""Whole repos: one request for many files, summed up, shared, retried, moved to a newer commit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.repo import FILES, REPO, children, official
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer, seeded


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_a_whole_repo_as_the_official_client_would_have_it(hub: HubServer, daemon: Daemon, repo_type: str) -> None:
    commit = hub.add_repo(REPO, FILES, repo_type=repo_type)
    asked = daemon.download(REPO, repoType=repo_type)
    assert asked.status == 202
    done = daemon.wait(asked.json["id"], "done")
    assert (done["filesTotal"], done["filesDone"], done["filesFailed"]) == (5, 5, 0)
    assert done["downloadedBytes"] == done["totalBytes"] > 5_000_000
    assert (done["commit"], done["progress"]) == (commit, 100)
    out = official(
        daemon,
        "from huggingface_hub import snapshot_download, scan_cache_dir\n"
        f"print(snapshot_download({REPO!r}, repo_type={repo_type!r}, local_files_only=True))\n"
        "assert not scan_cache_dir().warnings\n",
    ).strip()
    assert out == done["path"]
    for path, content in FILES.items():
        data = Path(out, path).read_bytes()
        if isinstance(content, bytes):
            assert data == content
        else:
            assert hashlib.sha256(data).hexdigest() == content.sha256


def test_few_requests(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {f"{number}.json": b"{}%d" % number for number in range(200)})
    key = daemon.download(REPO).json["id"]
    daemon.wait(key, "done")
    assert len(hub.log) <= 200 * 1.05
    hub.clear_log()
    assert daemon.download(REPO).status == 200
    assert len(hub.log) <= 1


def test_a_large_file_in_git_needs_no_request_but_its_own(hub: HubServer, daemon: Daemon) -> None:
    files = {f"{number}.json": bytes([number]) * 400_000 for number in range(10)}
    hub.add_repo(REPO, files)
    daemon.wait(daemon.download(REPO).json["id"], "done")
    assert not hub.requests(method="HEAD")
    assert len(hub.requests(file="3.json")) == 1


def test_globs_and_a_second_request_adds_only_what_is_missing(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    part = daemon.download(REPO, include=["*.json", "*.md"]).json["id"]
    done = daemon.wait(part, "done")
    assert set(children(daemon, part)) == {"README.md", "config.json"}
    assert done["filesTotal"] == 2
    hub.clear_log()
    whole = daemon.download(REPO, exclude=["*.safetensors"]).json["id"]
    daemon.wait(whole, "done")
    assert set(children(daemon, whole)) == {"README.md", "config.json", "tokenizer/vocab.txt"}
    assert hub.sent_bytes("config.json") == 0
    shared = children(daemon, whole)["config.json"]
    assert sorted(shared["repoIds"]) == sorted([part, whole])


def test_the_request_survives_a_kill_in_the_listing_and_after(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.freeze()
    key = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["phase"] == "listing", "it lists")
    daemon.kill()
    hub.break_connections()
    hub.thaw()
    hub.rate_bytes_per_s = 3_000_000
    daemon.start()
    until(lambda: daemon.view(key)["downloadedBytes"] > 1_000_000, "some is there")
    daemon.kill_and_start()
    assert daemon.view(key)["status"] in ("queued", "downloading")
    hub.rate_bytes_per_s = 0
    done = daemon.wait(key, "done")
    assert done["filesDone"] == 5
    assert hub.sent_bytes() < 5_100_000 * 1.2


@pytest.mark.slow
def test_a_listing_that_waits_is_done_while_a_file_of_the_repo_is_at_work(hub: HubServer, narrow: Daemon) -> None:
    daemon = narrow
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 200_000
    key = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 100_000, "it has started")
    daemon.kill()
    daemon.forget_lists()
    hub.fault(REPO, "@tree", Fault.status(503, retry_after=1, times=5))
    daemon.start()

    def tracker() -> dict[str, Any]:
        return next(tracker for tracker in daemon.trackers() if tracker["id"] == key)

    until(lambda: tracker()["reason"] == "hub_unavailable", "the listing waits")
    until(lambda: daemon.view(key)["status"] == "downloading", "a file of it runs")
    hub.clear_faults()
    until(lambda: tracker()["listed"], "it is listed")
    assert daemon.view(key)["filesDone"] < 5
    hub.rate_bytes_per_s = 0
    assert daemon.wait(key, "done")["filesDone"] == 5


def test_an_update_of_a_repo_at_work_moves_it(hub: HubServer, narrow: Daemon) -> None:
    daemon = narrow
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 200_000
    key = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 100_000, "it has started")
    new = hub.commit(REPO, {"config.json": b'{"a": 2}'})
    daemon.download(REPO, update=True)
    until(lambda: daemon.view(key)["commit"] == new, "it has moved")
    hub.rate_bytes_per_s = 0
    done = daemon.wait(key, "done")
    assert (done["filesDone"], Path(done["path"]).name) == (5, new)


def test_failed_files_name_themselves_and_retry_mends_only_those(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.fault(REPO, "config.json", Fault.corrupt(times=None))
    key = daemon.download(REPO).json["id"]
    failed = daemon.wait(key, "failed")
    assert (failed["filesDone"], failed["filesFailed"]) == (4, 1)
    assert "config.json" in failed["error"]
    assert failed["reason"] == "hash_mismatch"
    hub.clear_faults()
    hub.clear_log()
    assert daemon.post("/api/retry", id=key).status == 200
    daemon.wait(key, "done")
    assert {request.file for request in hub.requests("hub", "GET") if request.file} <= {"config.json"}


def test_pausing_the_whole_and_resuming_one(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 1_000_000
    key = daemon.download(REPO).json["id"]
    until(lambda: len(children(daemon, key)) == 5, "it is listed")
    paused = daemon.post("/api/pause", id=key).json["repos"][0]
    assert paused["status"] == "paused"
    views = children(daemon, key)
    waiting = [view for view in views.values() if view["status"] == "paused"]
    assert waiting
    one = waiting[0]
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", id=one["id"])
    daemon.wait(one["id"], "done")
    rest = [view for view in children(daemon, key).values() if view["id"] != one["id"] and view["status"] != "done"]
    assert all(view["status"] == "paused" for view in rest)
    daemon.stop()
    daemon.start()
    assert daemon.view(key)["status"] == ("paused" if rest else "done")
    daemon.post("/api/resume", id=key)
    daemon.wait(key, "done")


def test_what_two_requests_share(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 500_000
    whole = daemon.download(REPO).json["id"]
    weights = daemon.download(REPO, include=["*.safetensors"]).json["id"]
    until(lambda: len(children(daemon, weights)) == 2, "both are listed")
    until(lambda: len(children(daemon, whole)) == 5, "both are listed")
    daemon.post("/api/cancel", id=whole)
    assert all(view["status"] in ("downloading", "queued") for view in children(daemon, weights).values())
    hub.rate_bytes_per_s = 0
    daemon.wait(weights, "done")
    assert daemon.view(weights)["status"] == "done"


def test_the_same_content_is_fetched_once_under_every_name_and_revision(hub: HubServer, daemon: Daemon) -> None:
    content = seeded(2_000_000, seed=9)
    first = hub.add_repo(REPO, {"a.safetensors": content, "copy/b.safetensors": content, "x.json": b"{}"})
    hub.commit(REPO, {"x.json": b"{1}"}, branch="dev")
    daemon.wait(daemon.download(REPO).json["id"], "done")
    daemon.wait(daemon.download(REPO, revision="dev").json["id"], "done")
    daemon.wait(daemon.download(REPO, revision=first).json["id"], "done")
    assert hub.sent_bytes() < 2_000_000 + 10_000


def test_update_moves_to_a_newer_commit_and_fetches_only_what_changed(hub: HubServer, daemon: Daemon) -> None:
    old = hub.add_repo(REPO, FILES)
    key = daemon.download(REPO).json["id"]
    daemon.wait(key, "done")
    new = hub.commit(REPO, {"config.json": b'{"a": 2}'})
    hub.clear_log()
    assert daemon.download(REPO).json["commit"] == old
    daemon.download(REPO, update=True)
    until(lambda: daemon.view(key)["commit"] == new and daemon.view(key)["status"] == "done", "it has moved")
    fetched = [request.file for request in hub.requests(method="GET") if request.file and request.file[0] != "@"]
    assert fetched == ["config.json"]
    moved = Path(daemon.view(key)["path"])
    assert moved.name == new
    assert sorted(str(path.relative_to(moved)) for path in moved.rglob("*") if path.is_file()) == sorted(FILES)
    assert (moved / "config.json").read_bytes() == b'{"a": 2}'
    out = official(daemon, f"from huggingface_hub import snapshot_download\nprint(snapshot_download({REPO!r}))").strip()
    assert out == str(moved)


def test_a_repos_files_come_in_the_order_of_its_list(hub: HubServer, daemon: Daemon) -> None:
    paths = [f"{number:03}.json" for number in range(400)]
    hub.add_repo(REPO, dict.fromkeys(paths, b"{}"))
    daemon.wait(daemon.download(REPO).json["id"], "done")
    downloads = daemon.get("/api/progress", modelRepo=REPO).json["downloads"]
    assert [view["filePath"] for view in downloads] == paths
    assert len({view["createdAt"] for view in downloads}) == len(paths)


def test_what_a_repo_has_and_what_of_it_is_here(hub: HubServer, daemon: Daemon) -> None:
    commit = hub.add_repo(REPO, FILES)
    daemon.wait(daemon.download(REPO, "config.json").json["id"], "done")
    listed = daemon.get("/api/files", modelRepo=REPO).json
    assert listed["commit"] == commit
    by_path = {file["filePath"]: file for file in listed["files"]}
    assert set(by_path) == set(FILES)
    assert by_path["config.json"]["cached"] is True
    assert by_path["config.json"]["status"] == "done"
    assert by_path["README.md"] == {"filePath": "README.md", "size": 7, "status": None, "id": None, "cached": False}
    first = daemon.get("/api/files", modelRepo=REPO, limit=2).json
    assert len(first["files"]) == 2
    rest = daemon.get("/api/files", modelRepo=REPO, cursor=first["nextCursor"]).json
    assert [*first["files"], *rest["files"]] == listed["files"]
    assert daemon.get("/api/files", modelRepo="org/nowhere").json["code"] == "repo_not_found"


def test_into_a_folder(hub: HubServer, daemon: Daemon, tmp_path: Path) -> None:
    hub.add_repo(REPO, FILES)
    folder = tmp_path / "mine"
    done = daemon.wait(daemon.download(REPO, localDir=str(folder)).json["id"], "done")
    assert done["path"] == str(folder)
    assert (folder / "tokenizer/vocab.txt").read_bytes() == FILES["tokenizer/vocab.txt"]
    assert not (folder / "config.json").is_symlink()
    assert not list(daemon.cache.glob("models--*"))


def test_deleting_a_repo_download_and_its_files(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    key = daemon.download(REPO).json["id"]
    path = Path(daemon.wait(key, "done")["path"])
    gone = daemon.call("DELETE", "/api/download", query={"id": key, "deleteFile": "true"})
    assert gone.status == 200
    assert gone.json["repos"][0]["status"] == "done"
    assert daemon.get("/api/progress").json == {"downloads": [], "repos": [], "nextCursor": None}
    assert not any(entry.is_file() for entry in path.rglob("*"))
    assert not list(path.parents[1].glob("blobs/*"))
    assert daemon.trackers() == []
    official(daemon, "from huggingface_hub import scan_cache_dir\nassert not scan_cache_dir().warnings")


def test_trackers_of_a_repo_bear_no_secret(hub: HubServer, tmp_path: Path) -> None:
    hub.add_token("hf_verysecrettoken123")
    hub.add_repo(REPO, FILES, private=True)
    with Daemon(tmp_path / "h", hub.endpoint, HF_TOKEN="hf_verysecrettoken123", HFDMD_LOG_LEVEL="debug") as daemon:
        daemon.wait(daemon.download(REPO).json["id"], "done")
        text = json.dumps(daemon.trackers()) + daemon.log
    assert "hf_very" not in text
    assert "ignature" not in text
    assert all(not request.authorization for request in hub.requests("cdn"))


@pytest.mark.parametrize(
    ("connections", "size_bytes", "count", "most"),
    [
        pytest.param(4, 2_000, 200, 4 * 4, marks=pytest.mark.slow, id="many"),  # four times the connections
        pytest.param(32, 250_000, 90, (16 << 20) // 250_000 + 1, id="large"),  # 16 MiB, and one file beyond
    ],
)
def test_small_files_at_work_are_bounded(
    hub: HubServer, tmp_path: Path, connections: int, size_bytes: int, count: int, most: int
) -> None:
    hub.add_repo(REPO, {f"{number}.bin": seeded(size_bytes, seed=number) for number in range(count)})
    hub.latency_s = 0.2
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_MAX_CONNECTIONS=str(connections)) as daemon:
        key = daemon.download(REPO).json["id"]
        seen: list[int] = []

        def done() -> bool:
            views = children(daemon, key).values()
            seen.append(sum(view["status"] == "downloading" for view in views))
            return daemon.view(key)["status"] == "done"

        until(done, "all are there", 60)
    assert connections < max(seen) <= most


def test_the_hub_clients_own_files_are_left_out_of_a_folder_and_that_is_said(
    hub: HubServer, daemon: Daemon, tmp_path: Path
) -> None:
    theirs = {".cache/huggingface/.gitignore": b"*", ".cache/HuggingFace/download/a.json.metadata": b"x"}
    hub.add_repo(REPO, {"a.json": b"{}", ".cache/other.txt": b"o", **theirs})
    folder = tmp_path / "mine"
    done = daemon.wait(daemon.ask(REPO, localDir=str(folder))["id"], "done")
    assert (done["filesTotal"], done["filesFailed"]) == (2, 0)
    assert done["detail"] == "left out: 2 files below .cache/huggingface/, where the Hub's client keeps its own"
    assert (folder / ".cache" / "other.txt").read_bytes() == b"o"
    assert f"{REPO}: {done['detail']}" in daemon.log
    cached = daemon.wait(daemon.ask(REPO)["id"], "done")
    assert (cached["filesTotal"], cached["detail"]) == (4, None)
