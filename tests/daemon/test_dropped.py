"""A file deleted from a repo download stays deleted until it is requested again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.daemon.repo import FILES, REPO, children
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer

LAST = "tokenizer/vocab.txt"


@pytest.fixture
def daemon(narrow: Daemon) -> Daemon:
    return narrow


def begun(hub: HubServer, daemon: Daemon) -> str:
    """A repo download that is listed and has started."""
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 200_000
    key: str = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["filesTotal"] == 5, "it is listed")
    return key


def delete(daemon: Daemon, **selector: Any) -> None:
    assert daemon.call("DELETE", "/api/download", selector).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("by", ["id", "filePath"])
def test_it_stays_deleted_over_a_restart_and_comes_when_the_repo_is_asked_for(
    hub: HubServer, daemon: Daemon, by: str
) -> None:
    key = begun(hub, daemon)
    file = children(daemon, key)[LAST]
    delete(daemon, **({"id": file["id"]} if by == "id" else {"modelRepo": REPO, "filePath": LAST}))
    daemon.kill_and_start()
    until(lambda: daemon.view(key)["phase"] == "transferring", "it is listed again")
    assert set(children(daemon, key)) == set(FILES) - {LAST}
    hub.rate_bytes_per_s = 0
    done = daemon.wait(key, "done")
    assert (done["filesTotal"], done["filesDone"]) == (4, 4)
    daemon.kill_and_start()
    assert set(children(daemon, key)) == set(FILES) - {LAST}
    assert not Path(done["path"], LAST).exists()
    assert daemon.download(REPO).status == 202
    assert daemon.wait(key, "done")["filesTotal"] == 5
    assert Path(done["path"], LAST).exists()
    assert daemon.download(REPO).status == 200


def test_it_stays_deleted_when_the_listing_fails_and_is_tried_again(hub: HubServer, daemon: Daemon) -> None:
    key = begun(hub, daemon)
    delete(daemon, id=children(daemon, key)[LAST]["id"])
    daemon.kill()
    daemon.forget_lists()
    hub.fault(REPO, "@tree", Fault.gated())
    hub.rate_bytes_per_s = 0
    daemon.start()
    daemon.wait(key, "failed")
    hub.clear_faults()
    assert daemon.post("/api/retry", id=key).status == 200
    assert daemon.wait(key, "done")["filesTotal"] == 4
    assert LAST not in children(daemon, key)


def test_all_that_a_wide_selector_deletes_stays_deleted(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {f"{number}.json": b"{}%d" % number for number in range(900)})
    hub.latency_s = 0.5
    key = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["filesTotal"] == 900, "it is listed")
    delete(daemon, modelRepo=REPO, status="queued")
    left = set(children(daemon, key))
    assert 0 < len(left) < 300
    hub.latency_s = 0
    daemon.kill_and_start()
    daemon.wait(key, "done")
    assert set(children(daemon, key)) == left


def test_asked_for_singly_it_comes(hub: HubServer, daemon: Daemon) -> None:
    key = begun(hub, daemon)
    file = children(daemon, key)[LAST]["id"]
    delete(daemon, id=file)
    assert daemon.download(REPO, LAST).status == 202
    daemon.kill_and_start()
    hub.rate_bytes_per_s = 0
    daemon.wait(file, "done")
    daemon.wait(key, "done")


def test_a_repo_at_work_that_is_asked_for_again_takes_it_in_again(hub: HubServer, daemon: Daemon) -> None:
    key = begun(hub, daemon)
    until(lambda: daemon.view(key)["status"] == "downloading", "it has started")
    delete(daemon, id=children(daemon, key)[LAST]["id"])
    assert daemon.download(REPO).status == 202
    until(lambda: LAST in children(daemon, key), "it is listed again while the others download")
    assert any(view["status"] == "downloading" for view in children(daemon, key).values())
    hub.rate_bytes_per_s = 0
    assert daemon.wait(key, "done")["filesDone"] == 5


def test_a_paused_repo_that_is_asked_for_again_stays_paused(hub: HubServer, daemon: Daemon) -> None:
    key = begun(hub, daemon)
    daemon.post("/api/pause", id=key)
    delete(daemon, id=children(daemon, key)[LAST]["id"])
    asked = daemon.download(REPO)
    assert (asked.status, asked.json["status"]) == (200, "paused")
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", id=key)
    assert daemon.wait(key, "done")["filesDone"] == 5


def test_an_update_brings_it_at_the_newer_commit(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    key = daemon.download(REPO).json["id"]
    daemon.wait(key, "done")
    delete(daemon, id=children(daemon, key)[LAST]["id"])
    new = hub.commit(REPO, {"config.json": b'{"a": 2}'})
    assert daemon.download(REPO, update=True).status == 202
    done = daemon.wait(key, "done")
    assert (done["commit"], done["filesTotal"], Path(done["path"]).name) == (new, 5, new)
    assert Path(done["path"], "config.json").read_bytes() == b'{"a": 2}'
    assert Path(done["path"], LAST).exists()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["done", "paused", "downloading"])
def test_a_repo_download_goes_with_its_last_file(hub: HubServer, daemon: Daemon, when: str) -> None:
    if when == "done":
        hub.add_repo(REPO, FILES)
        key = daemon.download(REPO).json["id"]
        daemon.wait(key, "done")
    else:
        key = begun(hub, daemon)
    if when == "paused":
        daemon.post("/api/pause", id=key)
    left = sorted(children(daemon, key))
    while left:
        assert daemon.view(key)["filesTotal"] == len(left)
        delete(daemon, modelRepo=REPO, filePath=left.pop())
    assert daemon.get("/api/progress").json == {"downloads": [], "repos": [], "nextCursor": None}
    daemon.kill_and_start()
    assert daemon.get("/api/progress").json["repos"] == []
    assert daemon.trackers() == []
    hub.rate_bytes_per_s = 0
    assert daemon.download(REPO).status == 202
    assert daemon.wait(key, "done")["filesDone"] == 5


def test_only_the_repo_downloads_that_lose_all_their_files_go(hub: HubServer, daemon: Daemon) -> None:
    key = begun(hub, daemon)
    part = daemon.download(REPO, include=[LAST]).json["id"]
    until(lambda: daemon.view(part)["filesTotal"] == 1, "it is listed")
    delete(daemon, modelRepo=REPO, filePath=LAST)
    assert [repo["id"] for repo in daemon.get("/api/progress").json["repos"]] == [key]
    hub.rate_bytes_per_s = 0
    assert daemon.wait(key, "done")["filesDone"] == 4


def test_a_repo_download_whose_files_are_all_deleted_before_it_is_listed_goes(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    key = daemon.download(REPO).json["id"]
    daemon.wait(key, "done")
    hub.commit(REPO, {"README.md": b"# new"})
    hub.fault(REPO, "@tree", Fault.stall())
    daemon.download(REPO, update=True)
    until(lambda: daemon.view(key)["phase"] == "listing", "it is listed again")
    for path in FILES:
        delete(daemon, modelRepo=REPO, filePath=path)
    assert daemon.view(key)["status"] == "downloading"
    hub.break_connections()
    until(lambda: daemon.get("/api/progress").json["repos"] == [], "it is gone")
    assert daemon.trackers() == []
