"""After a restart a repo download knows its files without a request to the Hub, also those that have not started."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.daemon.repo import REPO, children
from tests.daemon.test_held import FILES, FIRST, begun
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer
from tests.marks import slow


@pytest.fixture
def daemon(narrow: Daemon) -> Daemon:
    return narrow


def shown(daemon: Daemon, key: str) -> dict[str, tuple[Any, ...]]:
    return {
        path: (view["id"], view["status"], view["totalBytes"], view["commit"], view["digest"], view["createdAt"])
        for path, view in children(daemon, key).items()
    }


def asked_for_a_list(hub: HubServer) -> int:
    return sum("/tree/" in request.path or "/revision/" in request.path for request in hub.log)


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_what_is_held_is_shown_whole_while_the_hub_is_away(hub: HubServer, daemon: Daemon, action: str) -> None:
    key = begun(hub, daemon)
    daemon.post(f"/api/{action}", id=key)
    before = shown(daemon, key)
    assert len(before) == len(FILES)
    hub.freeze()
    daemon.kill_and_start()
    until(lambda: not daemon.get("/api/info").json["loading"], "it is loaded")
    assert shown(daemon, key) == before
    hub.break_connections()
    hub.thaw()


def test_a_file_that_has_not_begun_is_resumed_alone_after_a_restart(hub: HubServer, daemon: Daemon) -> None:
    key = begun(hub, daemon)
    daemon.post("/api/pause", id=key)
    daemon.kill_and_start()
    hub.clear_log()
    hub.rate_bytes_per_s = 0
    assert daemon.post("/api/resume", modelRepo=REPO, filePath="299.json").status == 200
    daemon.wait(children(daemon, key)["299.json"]["id"], "done")
    assert daemon.wait(key, "paused")["filesDone"] >= 1
    assert asked_for_a_list(hub) == 0


@pytest.mark.slow
def test_what_was_at_work_goes_on_without_a_list_and_ends_whole(hub: HubServer, daemon: Daemon) -> None:
    key = begun(hub, daemon)
    assert [path.stem for path in daemon.state.glob("lists/*")] == [key]
    daemon.kill()
    hub.clear_log()
    hub.rate_bytes_per_s = 0
    daemon.start()
    assert daemon.wait(key, "done")["filesDone"] == len(FILES)
    assert asked_for_a_list(hub) == 0
    until(lambda: not list(daemon.state.glob("lists/*")), "the list is needed no more")


@pytest.mark.slow
def test_two_requests_share_what_neither_has_begun(hub: HubServer, daemon: Daemon) -> None:
    whole = begun(hub, daemon)
    part = daemon.download(REPO, include=["29*"]).json["id"]
    until(lambda: daemon.view(part)["filesTotal"] == 10, "it is listed")
    daemon.post("/api/pause", all=True)
    before = shown(daemon, whole)
    daemon.kill()
    hub.freeze()
    daemon.start()
    until(lambda: not daemon.get("/api/info").json["loading"], "it is loaded")
    after = children(daemon, whole)
    assert {path for path, view in after.items() if sorted(view["repoIds"]) == sorted([whole, part])} == {
        f"29{number}.json" for number in range(10)
    }
    assert shown(daemon, whole) == before
    hub.break_connections()
    hub.thaw()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["gone", "hostile", slow("cut off"), slow("of another commit"), slow("not text")])
def test_a_list_that_cannot_be_used_costs_one_request(hub: HubServer, daemon: Daemon, damage: str) -> None:
    key = begun(hub, daemon)
    daemon.kill()
    (file,) = daemon.state.glob("lists/*")
    lines = file.read_bytes().splitlines(keepends=True)
    if damage == "gone":
        file.unlink()
    elif damage == "cut off":
        file.write_bytes(b"".join(lines[:-20]) + lines[-20][:30])
    elif damage == "hostile":
        node = json.loads(lines[-1])
        file.write_bytes(b"".join(lines[:-1]) + json.dumps({**node, "path": "../../escaped"}).encode() + b"\n")
    elif damage == "of another commit":
        head = {**json.loads(lines[0]), "commit": "0" * 40}
        file.write_bytes(json.dumps(head).encode() + b"\n" + b"".join(lines[1:]))
    else:
        file.write_bytes(b"\xff\x00" * 1000)
    hub.clear_log()
    hub.rate_bytes_per_s = 0
    daemon.start()
    assert daemon.wait(key, "done")["filesDone"] == len(FILES)
    assert asked_for_a_list(hub) == 1
    assert not list(daemon.home.rglob("escaped"))


@pytest.mark.slow
def test_lists_that_nobody_needs_are_swept_at_a_start(hub: HubServer, daemon: Daemon) -> None:
    begun(hub, daemon)
    daemon.kill()
    (file,) = daemon.state.glob("lists/*")
    for name in ("0" * 32 + ".jsonl", "0" * 32 + ".tmp"):
        (file.parent / name).write_bytes(b"{}\n")
    daemon.start()
    until(lambda: list(daemon.state.glob("lists/*")) == [file], "only its own is left")


def test_deleting_the_request_deletes_its_list(hub: HubServer, daemon: Daemon) -> None:
    key = begun(hub, daemon)
    assert daemon.call("DELETE", "/api/download", {"id": key}).status == 200
    until(lambda: not list(daemon.state.glob("lists/*")), "it is gone")


@pytest.mark.parametrize("order", [{"priority": 7}, {"position": 1}])
def test_a_file_of_a_repo_keeps_its_own_place_in_the_queue_over_a_restart(
    hub: HubServer, daemon: Daemon, order: dict[str, int]
) -> None:
    key = begun(hub, daemon)
    assert daemon.call("PATCH", "/api/download", {"modelRepo": REPO, "filePath": "299.json", **order}).status == 200
    daemon.kill()
    hub.clear_log()
    hub.rate_bytes_per_s = 0
    daemon.start()
    until(lambda: daemon.view(key)["filesDone"] > 50, "some are done")
    fetched = [request.file for request in hub.log if request.file != FIRST and request.file in FILES]
    assert "299.json" in fetched[:2], fetched[:10]
