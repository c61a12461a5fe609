"""The main job, end to end: ask for a file, get it verified into the Hub's cache."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.daemon.repo import BIG, REPO, official
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded


def test_a_file_arrives_where_every_hub_program_finds_it(hub: HubServer, daemon: Daemon) -> None:
    content = seeded(5_000_000, seed=1)
    commit = hub.add_repo(REPO, {BIG: content, "nested/config.json": b'{"a": 1}'})
    big = daemon.download(REPO, BIG)
    assert big.status == 202
    small = daemon.download(REPO, "nested/config.json")
    done = daemon.wait(big.json["id"], "done")
    daemon.wait(small.json["id"], "done")
    assert done["commit"] == commit
    assert done["digest"] == f"sha256:{content.sha256}"
    assert done["progress"] == 100
    assert done["downloadedBytes"] == done["totalBytes"] == 5_000_000
    assert hashlib.sha256(Path(done["path"]).read_bytes()).hexdigest() == content.sha256
    found = official(
        daemon,
        "from huggingface_hub import hf_hub_download, scan_cache_dir\n"
        f"print(hf_hub_download({REPO!r}, {BIG!r}, local_files_only=True))\n"
        f"print(hf_hub_download({REPO!r}, 'nested/config.json', local_files_only=True))\n"
        "assert not scan_cache_dir().warnings, scan_cache_dir().warnings\n",
    ).splitlines()
    assert found[0] == done["path"]
    assert Path(found[1]).read_bytes() == b'{"a": 1}'


def test_asking_twice_at_once_and_after_a_restart_costs_nothing(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(3_000_000, seed=2)})
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _: daemon.download(REPO, BIG), range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 19 + [202]
    assert len({answer.json["id"] for answer in answers}) == 1
    key = answers[0].json["id"]
    daemon.wait(key, "done")
    assert daemon.download(REPO, BIG).status == 200
    daemon.stop()
    daemon.start()
    again = daemon.download(REPO, BIG)
    assert again.status == 200
    assert again.json["status"] == "done"
    assert hub.sent_bytes(BIG) == 3_000_000
    assert len(daemon.trackers()) == 1


def test_a_tracker_begins_with_status_progress_error(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(1_000_000, seed=3)})
    key = daemon.download(REPO, BIG).json["id"]
    (tracker,) = daemon.trackers()
    assert list(tracker)[:3] == ["status", "progress", "error"]
    assert tracker["id"] == key
    daemon.wait(key, "done")
    (tracker,) = daemon.trackers()
    assert (tracker["status"], tracker["progress"], tracker["error"]) == ("done", 100, None)
    (path,) = daemon.state.glob("trackers/*/*.json")
    assert path.parent.name == "models--org--model"
    assert path.name.startswith(BIG)


def test_kill_9_goes_on_by_itself_from_the_last_synced_byte(hub: HubServer, daemon: Daemon) -> None:
    size = 60_000_000
    content = seeded(size, seed=4)
    hub.add_repo(REPO, {BIG: content})
    hub.rate_bytes_per_s = 10_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > size // 3, "a third is there")
    daemon.kill()
    (tracker,) = daemon.trackers()
    assert tracker["status"] == "in-progress"
    assert 0 < tracker["progress"] < 100
    daemon.start()
    first = daemon.view(key)
    assert first["downloadedBytes"] >= tracker["downloadedBytes"]
    hub.rate_bytes_per_s = 0
    done = daemon.wait(key, "done")
    assert hashlib.sha256(Path(done["path"]).read_bytes()).hexdigest() == content.sha256
    assert hub.sent_bytes(BIG) <= size * 1.05


def test_a_clean_stop_loses_nothing_and_is_quick(hub: HubServer, daemon: Daemon) -> None:
    size = 20_000_000
    hub.add_repo(REPO, {BIG: seeded(size, seed=5)})
    hub.rate_bytes_per_s = 5_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > size // 4, "a quarter is there")
    assert daemon.stop(timeout_s=5) == 0
    (tracker,) = daemon.trackers()
    assert tracker["downloadedBytes"] > size // 4
    daemon.start()
    hub.rate_bytes_per_s = 0
    daemon.wait(key, "done")
    assert hub.sent_bytes(BIG) <= size * 1.05


def test_pause_resume_cancel_retry(hub: HubServer, daemon: Daemon) -> None:
    size = 20_000_000
    hub.add_repo(REPO, {BIG: seeded(size, seed=6)})
    hub.rate_bytes_per_s = 5_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > size // 5, "a fifth is there")
    paused = daemon.post("/api/pause", id=key)
    assert paused.status == 200
    (view,) = paused.json["downloads"]
    assert (view["status"], view["reason"]) == ("paused", "requested")
    sent = hub.sent_bytes(BIG)
    (tracker,) = daemon.trackers()
    assert tracker["status"] == "paused"
    assert tracker["downloadedBytes"] == view["downloadedBytes"] > 0
    assert daemon.post("/api/pause", id=key).status == 200
    assert daemon.view(key)["version"] == view["version"]
    assert hub.sent_bytes(BIG) == sent
    assert daemon.post("/api/resume", id=key).status == 200
    until(lambda: daemon.view(key)["downloadedBytes"] > size // 2, "half is there")
    cancelled = daemon.post("/api/cancel", modelRepo=REPO, filePath=BIG)
    assert cancelled.json["downloads"][0]["status"] == "cancelled"
    assert daemon.parts() == []
    assert daemon.post("/api/pause", id=key).status == 409
    hub.rate_bytes_per_s = 0
    assert daemon.download(REPO, BIG).status == 202
    daemon.wait(key, "done")
    assert daemon.post("/api/cancel", id=key).status == 409
    assert daemon.post("/api/retry", id="0" * 32).status == 404


def test_the_others_wait_with_their_position(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {f"{name}.bin": seeded(4_000_000, seed=index) for index, name in enumerate("abcd")})
    hub.rate_bytes_per_s = 4_000_000
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_MAX_ACTIVE_DOWNLOADS="2") as daemon:
        keys = [daemon.download(REPO, f"{name}.bin").json["id"] for name in "abcd"]
        until(lambda: daemon.view(keys[0])["status"] == "downloading", "the first has started")
        views = [daemon.view(key) for key in keys]
        assert [view["status"] for view in views] == ["downloading", "downloading", "queued", "queued"]
        assert [view["queuePosition"] for view in views] == [None, None, 1, 2]
        moved = daemon.call("PATCH", "/api/download", {"id": keys[3], "position": 1})
        assert moved.status == 200
        assert [daemon.view(key)["queuePosition"] for key in keys[2:]] == [2, 1]
        hub.rate_bytes_per_s = 0
        for key in keys:
            daemon.wait(key, "done")


def test_into_a_folder_of_ones_own(hub: HubServer, daemon: Daemon, tmp_path: Path) -> None:
    content = seeded(2_000_000, seed=7)
    hub.add_repo(REPO, {"deep/down/w.bin": content})
    folder = tmp_path / "mine"
    key = daemon.download(REPO, "deep/down/w.bin", localDir=str(folder)).json["id"]
    done = daemon.wait(key, "done")
    assert done["path"] == str(folder / "deep/down/w.bin")
    assert hashlib.sha256(Path(done["path"]).read_bytes()).hexdigest() == content.sha256
    other = daemon.download(REPO, "deep/down/w.bin", localDir=str(folder), revision=done["commit"]).json["id"]
    assert daemon.wait(other, "failed", "done")["reason"] == "path_taken"


def test_a_file_that_somebody_deleted_is_fetched_again(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {"config.json": b"{}"})
    key = daemon.download(REPO, "config.json").json["id"]
    path = Path(daemon.wait(key, "done")["path"])
    os.unlink(path.resolve())
    os.unlink(path)
    assert daemon.download(REPO, "config.json").status == 202
    daemon.wait(key, "done")
    assert path.read_bytes() == b"{}"


def test_what_the_api_says_of_itself(hub: HubServer, daemon: Daemon) -> None:
    info = daemon.get("/api/info").json
    assert info["hubEndpoint"] == hub.endpoint
    assert info["cacheDir"] == str(daemon.cache)
    assert info["socket"] == str(daemon.socket)
    endpoint = json.loads((daemon.state / "endpoint.json").read_bytes())
    assert endpoint == {"pid": info["pid"], "socket": str(daemon.socket), "url": None}


def test_a_client_that_hangs_up_stops_nothing(hub: HubServer, daemon: Daemon) -> None:
    size = 20_000_000
    hub.add_repo(REPO, {BIG: seeded(size, seed=8)})
    hub.rate_bytes_per_s = 4_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 0, "bytes arrive")
    body = json.dumps({"id": key}).encode()
    for action in ("pause", "resume", "pause", "resume", "cancel"):
        with socket.socket(socket.AF_UNIX) as hasty:
            hasty.connect(str(daemon.socket))
            head = f"POST /api/{action} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            hasty.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        wanted = {"pause": ["paused"], "cancel": ["cancelled"]}.get(action, ["downloading", "queued"])
        daemon.wait(key, *wanted)
    hub.rate_bytes_per_s = 0
    assert daemon.download(REPO, BIG).status == 202
    daemon.wait(key, "done")
