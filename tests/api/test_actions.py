"""Pause, resume, cancel, retry, reorder, delete: on each status, in effect when answered (docs/api.md, section 4)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import Daemon, new_folder, until
from tests.fakehub import Fault, HubServer, seeded

BIG = {"modelRepo": "own/big", "filePath": "model.safetensors"}
STATUSES = ("queued", "waiting", "downloading", "paused", "done", "failed", "cancelled")

# (action, status before) -> status after, or the refusal. `waiting` is queued with a retryAt.
TABLE: dict[tuple[str, str], str | int] = {
    ("pause", "queued"): "paused",
    ("pause", "waiting"): "paused",
    ("pause", "downloading"): "paused",
    ("pause", "paused"): "paused",
    ("pause", "done"): 409,
    ("pause", "failed"): 409,
    ("pause", "cancelled"): 409,
    ("resume", "queued"): "queued",
    ("resume", "waiting"): "queued",
    ("resume", "downloading"): "downloading",
    ("resume", "paused"): "queued",
    ("resume", "done"): 409,
    ("resume", "failed"): 409,
    ("resume", "cancelled"): 409,
    ("cancel", "queued"): "cancelled",
    ("cancel", "waiting"): "cancelled",
    ("cancel", "downloading"): "cancelled",
    ("cancel", "paused"): "cancelled",
    ("cancel", "done"): 409,
    ("cancel", "failed"): "cancelled",
    ("cancel", "cancelled"): "cancelled",
    ("retry", "queued"): "queued",
    ("retry", "waiting"): "queued",
    ("retry", "downloading"): "downloading",
    ("retry", "paused"): 409,
    ("retry", "done"): 409,
    ("retry", "failed"): "queued",
    ("retry", "cancelled"): "queued",
}
ALREADY_SO = {
    ("pause", "paused"),
    ("resume", "queued"),
    ("resume", "waiting"),
    ("resume", "downloading"),
    ("cancel", "cancelled"),
    ("retry", "queued"),
    ("retry", "downloading"),
}


@pytest.fixture(scope="module")
def scene(shared_hub: HubServer) -> Any:
    """A daemon with one slot, used by a download that never ends, so that others stay queued."""

    with (
        new_folder() as folder,
        Daemon(Path(folder), shared_hub.endpoint, HFDMD_MAX_ACTIVE_DOWNLOADS="1") as daemon,
    ):
        yield daemon, shared_hub


def bring(daemon: Daemon, hub: HubServer, name: str, status: str) -> str:
    """A download of that status. If the only slot must not be free, `own/holder` uses it."""
    hub.clear_faults()
    hub.add_repo(f"own/{name}", {"f.txt": seeded(300_000, seed=1) if status == "waiting" else b"content"})
    full_disk = {"minFreeBytes": 2**53 - 1 if status == "waiting" else None}
    assert daemon.call("PATCH", "/api/settings", full_disk).status == 200
    slow = [Fault.delay(100).at("head")]
    if status in ("queued", "paused", "cancelled"):
        hub.add_repo(f"own/{name}-holder", {"f.txt": b"content"})
        hub.fault(f"own/{name}-holder", "f.txt", *slow)
        holder = daemon.ask(f"own/{name}-holder", "f.txt")["id"]
        daemon.wait(holder, "downloading")
    if status == "downloading":
        hub.fault(f"own/{name}", "f.txt", *slow)
    key = str(daemon.ask(f"own/{name}", "nothing" if status == "failed" else "f.txt")["id"])
    if status in ("paused", "cancelled"):
        daemon.post("/api/" + {"paused": "pause", "cancelled": "cancel"}[status], {"id": key})
    if status == "waiting":
        until(lambda: daemon.view(key)["retryAt"])
    else:
        daemon.wait(key, status)
    return key


@pytest.mark.parametrize(("action", "before"), TABLE)
def test_each_action_on_each_status(scene: tuple[Daemon, HubServer], action: str, before: str) -> None:
    daemon, hub = scene
    daemon.call("DELETE", "/api/download", {"all": True})
    key = bring(daemon, hub, f"{action}-{before}", before)
    view = daemon.view(key)
    answer = daemon.post(f"/api/{action}", {"id": key})
    after = TABLE[action, before]
    if isinstance(after, int):
        assert (answer.status, answer.code) == (after, "not_allowed_now")
        assert daemon.view(key) == view
        wide = daemon.post(f"/api/{action}", {"modelRepo": view["modelRepo"]})
        assert wide.status == 200, "a wider selector skips it"
        assert wide.json == {"downloads": [], "repos": [], "unchanged": 1}
        return
    assert answer.status == 200
    (told,) = answer.json["downloads"]
    assert answer.json["unchanged"] == ((action, before) in ALREADY_SO)
    goes_at_once = {"failed": ("downloading", "failed"), "waiting": ("downloading",)} if after == "queued" else {}
    assert told["status"] in (after, *goes_at_once.get(before, ()))
    if after == "paused":
        assert (told["reason"], told["error"]) == ("requested", None)
    if action == "retry" and before in ("waiting", "failed", "cancelled"):
        assert told["version"] > view["version"]
    if action == "resume" and before == "waiting":
        assert told["retryAt"] == view["retryAt"]
    if before == after and before != "waiting":
        assert told["version"] == view["version"], "already so: unchanged"


def test_after_a_pause_not_a_byte_moves(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 10_000_000
    key = daemon.ask("own/big", "model.safetensors")["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 1_000_000)
    paused = daemon.post("/api/pause", {"id": key}).json["downloads"][0]
    sent = hub.sent_bytes("model.safetensors")
    parts = {
        path: (path.stat().st_mtime_ns, path.stat().st_blocks) for path in daemon.cache.rglob("*") if path.is_file()
    }
    view = daemon.view(key)
    assert view == paused
    assert view["status"] == "paused"
    tracker = next(iter(daemon.trackers()))
    assert tracker["status"] == "paused"
    assert tracker["downloadedBytes"] == view["downloadedBytes"] == sum(end - start for start, end in tracker["synced"])
    time.sleep(0.5)  # the test is that nothing happens in this time
    assert {path: (path.stat().st_mtime_ns, path.stat().st_blocks) for path in parts} == parts
    assert not [
        entry for entry in hub.requests(file="model.safetensors") if entry.status == 0 and entry.sent_bytes == 0
    ]
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", {"id": key})
    daemon.wait(key, "done")
    assert hub.sent_bytes("model.safetensors") <= 40_000_000 + max(0, sent - view["downloadedBytes"]) + 1_000_000


def _on_disk(daemon: Daemon) -> dict[Path, tuple[int, int]]:
    stats = {path: path.stat() for path in daemon.cache.rglob("*") if path.is_file()}
    return {path: (stat.st_mtime_ns, stat.st_blocks) for path, stat in stats.items()}


def test_after_a_cancel_no_partial_data_is_left(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 10_000_000
    key = daemon.ask("own/big", "model.safetensors")["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 1_000_000)
    cancelled = daemon.post("/api/cancel", {"id": key}).json["downloads"][0]
    assert (cancelled["status"], cancelled["downloadedBytes"], cancelled["progress"]) == ("cancelled", 0, 0)
    left = [path for path in daemon.cache.rglob("*") if path.is_file() and path.stat().st_size > 1000]
    assert left == []


def test_delete_forgets_and_the_next_version_is_higher(daemon: Daemon) -> None:
    done = daemon.wait(daemon.ask("own/small", "b.txt")["id"], "done")
    answer = daemon.call("DELETE", "/api/download", {"id": done["id"]})
    assert answer.json == {"downloads": [done], "repos": [], "unchanged": 0}, "as it was"
    assert daemon.get("/api/progress", id=done["id"]).status == 404
    assert daemon.trackers() == []
    assert Path(done["path"]).exists()
    again = daemon.ask("own/small", "b.txt")
    assert again["version"] > done["version"]
    done = daemon.wait(done["id"], "done")
    query = {"modelRepo": "own/small", "deleteFile": "true"}
    assert daemon.call("DELETE", "/api/download", query=query).status == 200
    assert not Path(done["path"]).exists()
    assert not Path(done["path"]).is_symlink()


def test_delete_of_a_repo_takes_its_files_but_not_those_of_others(daemon: Daemon) -> None:
    kept = daemon.wait(daemon.ask("own/small", "b.txt")["id"], "done")["id"]
    repo = daemon.wait(daemon.ask("own/small")["id"], "done")["id"]
    assert daemon.call("DELETE", "/api/download", query={"id": repo}).status == 200
    left = daemon.get("/api/progress").json
    assert [view["id"] for view in left["downloads"]] == [kept]
    assert left["downloads"][0]["repoIds"] == []
    assert left["repos"] == []


def test_a_repo_pauses_what_others_do_not_want(daemon: Daemon, hub: HubServer) -> None:
    hub.fault("own/small", None, Fault.delay(100).at("body"))
    first = daemon.ask("own/small", include=["b.txt", "config.json"])["id"]
    second = daemon.ask("own/small", include=["b.txt", "sub/*"])["id"]
    for key in (first, second):
        until(lambda key=key: daemon.view(key)["filesTotal"] == 2)
    answer = daemon.post("/api/pause", {"id": first}).json
    assert [view["id"] for view in answer["repos"]] == [first]

    def by_path() -> dict[str, str]:
        listed = daemon.get("/api/progress", modelRepo="own/small").json
        return {view["filePath"]: view["status"] for view in listed["downloads"]}

    assert by_path()["config.json"] == "paused"
    assert by_path()["b.txt"] != "paused", "the second wants it"
    daemon.post("/api/pause", {"id": second})
    assert set(by_path().values()) == {"paused"}
    assert {view["status"] for view in daemon.get("/api/progress").json["repos"]} == {"paused"}
    hub.clear_faults()
    daemon.post("/api/resume", {"modelRepo": "own/small", "filePath": "config.json"})
    config = next(view for view in daemon.get("/api/progress").json["downloads"] if view["filePath"] == "config.json")
    daemon.wait(config["id"], "done")
    assert by_path()["b.txt"] == "paused", "resuming one leaves the others"


def positions(daemon: Daemon) -> list[str]:
    queued = list(daemon.get("/api/progress", status="queued").json["downloads"])
    return [view["filePath"] for view in sorted(queued, key=lambda view: view["queuePosition"])]


def test_priority_and_position_say_who_is_next(make_daemon: Callable[..., Daemon], hub: HubServer) -> None:
    hub.fault(None, None, Fault.delay(100).at("head"))
    daemon = make_daemon(HFDMD_MAX_ACTIVE_DOWNLOADS="1").start()
    daemon.wait(daemon.ask("own/small", "holder", priority=100)["id"], "downloading")
    for name in "abcd":
        daemon.ask("own/small", name)
    daemon.ask("own/small", "e", priority=5)
    assert positions(daemon) == ["e", "a", "b", "c", "d"]

    def reorder(name: str, **how: int) -> Any:
        answer = daemon.call("PATCH", "/api/download", {"modelRepo": "own/small", "filePath": name, **how})
        assert answer.status == 200, answer
        return answer.json["downloads"][0]

    assert reorder("d", position=1)["priority"] == 5
    assert positions(daemon) == ["d", "e", "a", "b", "c"]
    assert reorder("c", position=3)["queuePosition"] == 3
    assert positions(daemon) == ["d", "e", "c", "a", "b"]
    reorder("d", priority=-100)
    assert positions(daemon) == ["e", "c", "a", "b", "d"]
    reorder("e", position=1000)
    assert positions(daemon) == ["c", "a", "b", "d", "e"]
    order = positions(daemon)
    daemon.kill()
    daemon.start()
    daemon.wait(daemon.get("/api/progress", modelRepo="own/small", filePath="holder").json["id"], "downloading")
    assert positions(daemon) == order, "and it survives"
    holder = daemon.call("PATCH", "/api/download", {"modelRepo": "own/small", "filePath": "holder", "priority": 1})
    assert (holder.status, holder.code) == (409, "not_allowed_now")


def test_only_the_first_hundred_know_their_position(make_daemon: Callable[..., Daemon], hub: HubServer) -> None:
    hub.fault(None, None, Fault.delay(100).at("head"))
    daemon = make_daemon(HFDMD_MAX_ACTIVE_DOWNLOADS="1").start()
    for number in range(104):
        daemon.ask("own/small", f"f{number:03}")
    until(lambda: daemon.get("/api/info").json["counts"]["downloading"] == 1)
    views = daemon.get("/api/progress").json["downloads"]
    assert [view["queuePosition"] for view in views] == [None, *range(1, 101), None, None, None]


@pytest.mark.parametrize("number", [99, 100, 700])
def test_the_answer_of_an_action_tells_of_all_however_many(daemon: Daemon, hub: HubServer, number: int) -> None:
    hub.add_repo("own/many", {f"{number:03}.txt": b"%d" % number for number in range(number)})
    hub.fault("own/many", None, Fault.delay(100).at("head"))
    hub.fault("own/many", None, Fault.delay(100).at("body"))
    key = daemon.ask("own/many")["id"]
    until(lambda: daemon.view(key)["filesTotal"] == number)
    answer = daemon.post("/api/pause", {"all": True})
    page = daemon.get("/api/progress")
    assert answer.headers["content-type"] == page.headers["content-type"]
    assert answer.json == {"downloads": page.json["downloads"], "repos": page.json["repos"], "unchanged": 0}
    assert {view["status"] for view in answer.json["downloads"]} == {"paused"}
    assert len(answer.json["downloads"]) == number
    again = daemon.post("/api/pause", {"all": True})
    assert again.json == {"downloads": [], "repos": [], "unchanged": number + 1}, "all of it is paused already"


def test_the_same_request_from_many_at_once_is_one_download(daemon: Daemon) -> None:
    answers: list[int] = []

    def ask() -> None:
        answers.append(daemon.post("/api/download", {"modelRepo": "own/small", "filePath": "b.txt"}).status)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] * 19 + [202]
    assert len(daemon.trackers()) == 1
    assert len(daemon.get("/api/progress").json["downloads"]) == 1


def test_a_new_request_is_on_disk_when_answered(daemon: Daemon, hub: HubServer) -> None:
    hub.fault(None, None, Fault.delay(100).at("head"))
    for number in range(10):
        view = daemon.ask("own/small", f"f{number}")
        on_disk = {tracker["id"] for tracker in daemon.trackers()}
        assert view["id"] in on_disk
    keys = {tracker["id"] for tracker in daemon.trackers()}
    daemon.kill()
    daemon.start()
    assert {view["id"] for view in daemon.get("/api/progress").json["downloads"]} == keys
