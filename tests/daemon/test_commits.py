"""Which commit a download has when the branch moves between requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.repo import BIG, FILES, REPO, children, official
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer, seeded
from tests.fakehub.content import Source
from tests.marks import slow


def offline_snapshot(daemon: Daemon) -> str:
    """The snapshot folder that the official client finds offline; it raises if the snapshot is incomplete."""
    code = f"from huggingface_hub import snapshot_download\nprint(snapshot_download({REPO!r}, local_files_only=True))"
    return official(daemon, code).strip()


@pytest.mark.parametrize("changed", [False, True])
def test_a_repo_is_whole_although_a_file_of_it_came_with_an_older_commit(
    hub: HubServer, daemon: Daemon, changed: bool
) -> None:
    hub.add_repo(REPO, FILES)
    single = daemon.download(REPO, "config.json").json["id"]
    before = Path(daemon.wait(single, "done")["path"])
    new = hub.commit(REPO, {"README.md": b"# new", **({"config.json": b"[]"} if changed else {})})
    hub.clear_log()
    done = daemon.wait(daemon.download(REPO).json["id"], "done")
    assert done["commit"] == daemon.view(single)["commit"] == new
    assert offline_snapshot(daemon) == done["path"]
    assert Path(done["path"], "config.json").read_bytes() == (b"[]" if changed else FILES["config.json"])
    assert hub.sent_bytes("config.json") == (2 if changed else 0)
    assert before.read_bytes() == FILES["config.json"]


def test_wider_globs_at_a_newer_commit_make_a_whole_snapshot(hub: HubServer, daemon: Daemon) -> None:
    old = hub.add_repo(REPO, FILES)
    part = daemon.download(REPO, include=["*.json", "*.md"]).json["id"]
    first = daemon.wait(part, "done")
    new = hub.commit(REPO, {"other.txt": b"other"})
    hub.clear_log()
    done = daemon.wait(daemon.download(REPO).json["id"], "done")
    assert done["path"] == offline_snapshot(daemon)
    assert Path(done["path"]).name == new
    assert hub.sent_bytes("config.json") == 0
    assert daemon.wait(part, "done")["commit"] == new
    assert first["commit"] == old
    assert Path(first["path"], "config.json").read_bytes() == FILES["config.json"]


def test_a_request_under_way_follows_one_that_shares_its_files(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 500_000
    weights = daemon.download(REPO, include=["*.safetensors"]).json["id"]
    until(lambda: daemon.view(weights)["downloadedBytes"] > 500_000, "some is there")
    content = seeded(2_000_000, seed=3)
    new = hub.commit(REPO, {"model-00002.safetensors": content})
    one = daemon.download(REPO, include=["model-00002*"]).json["id"]
    until(lambda: daemon.view(one)["commit"] == daemon.view(weights)["commit"] == new, "both are of one commit")
    hub.rate_bytes_per_s = 0
    done = daemon.wait(weights, "done")
    assert daemon.wait(one, "done")["path"] == done["path"]
    assert {path.name for path in Path(done["path"]).iterdir()} == {
        "model-00001.safetensors", "model-00002.safetensors",
    }  # fmt: skip
    assert hub.sent_bytes("model-00001.safetensors") <= 3_000_000 * 1.05


def test_a_request_that_a_restart_left_unlisted_follows_too(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 500_000
    weights = daemon.download(REPO, include=["*.safetensors"]).json["id"]
    until(lambda: daemon.view(weights)["filesTotal"] == 2, "it is listed")
    daemon.post("/api/pause", id=weights)
    daemon.kill()
    for tracker in daemon.state.glob("trackers/*/model-00001*"):
        tracker.unlink()  # as if it had not started
    daemon.forget_lists()
    new = hub.commit(REPO, {"model-00002.safetensors": seeded(2_000_000, seed=3)})
    hub.rate_bytes_per_s = 0
    daemon.start()
    one = daemon.download(REPO, include=["model-00002*"]).json["id"]
    daemon.wait(one, "paused")
    assert daemon.view(weights)["status"] == "paused"
    daemon.post("/api/resume", id=weights)
    done = daemon.wait(weights, "done")
    assert (done["commit"], Path(done["path"]).name) == (new, new)
    assert len(list(Path(done["path"]).iterdir())) == 2


def test_a_commit_that_goes_away_half_way_moves_the_whole_repo(hub: HubServer, daemon: Daemon) -> None:
    small = {f"{number}.json": b"{%d}" % number for number in range(5)}
    old = hub.add_repo(REPO, {**small, BIG: seeded(6_000_000, seed=1)})
    hub.rate_bytes_per_s = 2_000_000
    key = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 1_000_000, "some is there")
    daemon.post("/api/pause", id=key)
    new = hub.commit(REPO, {BIG: seeded(6_000_000, seed=2), "0.json": b"new"})
    hub.forget_commit(REPO, old)
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", id=key)
    until(lambda: daemon.view(key)["commit"] == new and daemon.view(key)["status"] == "done", "it has moved")
    assert {view["commit"] for view in children(daemon, key).values()} == {new}
    assert offline_snapshot(daemon) == daemon.view(key)["path"]
    assert old in daemon.log


@pytest.mark.slow
@pytest.mark.parametrize("whole_repo", [False, True])
@pytest.mark.parametrize("restarted", [False, True])
def test_what_ends_late_does_not_move_the_branch_back(
    hub: HubServer, daemon: Daemon, whole_repo: bool, restarted: bool
) -> None:
    old = hub.add_repo(REPO, {BIG: seeded(6_000_000, seed=1), "config.json": b"{}"})
    hub.rate_bytes_per_s = 2_000_000
    key = daemon.download(REPO, **({"include": [BIG]} if whole_repo else {"filePath": BIG})).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 1_000_000, "some is there")
    new = hub.commit(REPO, {"config.json": b"[]"})
    daemon.wait(daemon.download(REPO, "config.json").json["id"], "done")
    if restarted:
        daemon.kill_and_start()
    hub.rate_bytes_per_s = 0
    assert daemon.wait(key, "done")["commit"] == old
    ref = daemon.cache / "models--org--model" / "refs" / "main"
    assert ref.read_text() == new
    newest = hub.commit(REPO, {BIG: seeded(2_000_000, seed=2)})
    daemon.download(REPO, update=True, **({"include": [BIG]} if whole_repo else {"filePath": BIG}))
    until(lambda: daemon.view(key)["commit"] == newest and daemon.view(key)["status"] == "done", "it has moved")
    assert ref.read_text() == newest


@pytest.mark.slow
@pytest.mark.parametrize("becomes", [None, b"tiny", seeded(2_000_000, seed=5)], ids=["removed", "tiny", "other"])
@pytest.mark.parametrize("into_folder", [False, slow(True)])
def test_an_update_leaves_no_part_file_of_the_old_commit(
    hub: HubServer, daemon: Daemon, tmp_path: Path, becomes: Source | None, into_folder: bool
) -> None:
    hub.add_repo(REPO, {BIG: seeded(6_000_000, seed=1), "a.json": b"{}"})
    hub.rate_bytes_per_s = 2_000_000
    folder = tmp_path / "mine"
    more = {"localDir": str(folder)} if into_folder else {}
    key = daemon.download(REPO, **more).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 1_000_000, "some is there")
    new = hub.commit(REPO, {BIG: becomes})
    daemon.download(REPO, update=True, **more)
    until(lambda: daemon.view(key)["commit"] == new, "bytes arrive")
    hub.rate_bytes_per_s = 0
    until(lambda: daemon.view(key)["status"] == "done", "it has moved")
    assert daemon.view(key)["filesTotal"] == len(children(daemon, key)) == (1 if becomes is None else 2)
    assert len(daemon.trackers()) == daemon.view(key)["filesTotal"] + 1
    assert daemon.parts() == list(folder.rglob("hfdmd-*")) == []


def test_an_update_moves_also_what_has_to_be_fetched_again_anyway(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    key = daemon.download(REPO).json["id"]
    single = daemon.download(REPO, "config.json").json["id"]
    here = Path(daemon.wait(key, "done")["path"])
    new = hub.commit(REPO, {"config.json": b"[]"})
    (here / "README.md").unlink()
    assert daemon.download(REPO, update=True).status == 202
    until(lambda: daemon.view(key)["commit"] == new and daemon.view(key)["status"] == "done", "it has moved")
    assert offline_snapshot(daemon) == daemon.view(key)["path"]
    newest = hub.commit(REPO, {"config.json": b"[1]"})
    Path(daemon.view(single)["path"]).unlink()
    assert daemon.download(REPO, "config.json", update=True).status == 202
    until(lambda: daemon.view(single)["commit"] == newest and daemon.view(single)["status"] == "done", "it has moved")
    assert Path(daemon.view(single)["path"]).read_bytes() == b"[1]"


def test_an_update_comes_before_the_files_that_still_wait(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {f"{number}.bin": seeded(500_000, seed=number) for number in range(40)})
    hub.rate_bytes_per_s = 1_000_000
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_MAX_CONNECTIONS="2") as daemon:
        key = daemon.download(REPO).json["id"]
        until(lambda: daemon.view(key)["downloadedBytes"] > 0, "it has begun")
        hub.fault(REPO, None, Fault.delay(60, times=None).at("resolve"))
        new = hub.commit(REPO, {"39.bin": b"new"})
        daemon.download(REPO, update=True)
        until(lambda: daemon.view(key)["commit"] == new and daemon.view(key)["phase"] == "transferring", "it has moved")
        assert daemon.view(key)["filesDone"] < 20
        hub.clear_faults()
        hub.break_connections()
        hub.rate_bytes_per_s = 0
        daemon.wait(key, "done")
        assert offline_snapshot(daemon) == daemon.view(key)["path"]


@pytest.mark.parametrize("fault", [Fault.status(503, times=None), Fault.delay(100)])
def test_an_update_of_a_repo_that_is_not_listed_yet_lists_the_newest(
    hub: HubServer, narrow: Daemon, fault: Fault
) -> None:
    daemon = narrow
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 200_000
    key = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 0, "it has started")
    daemon.kill()
    daemon.forget_lists()
    hub.clear_log()
    hub.fault(REPO, "@tree", fault)
    daemon.start()
    until(lambda: hub.requests(file="@tree"), "it is being listed")
    new = hub.commit(REPO, {"config.json": b'{"a": 2}'})
    hub.clear_faults()
    daemon.download(REPO, update=True)
    until(lambda: daemon.view(key)["commit"] == new, "it has moved")
    hub.rate_bytes_per_s = 0
    done = daemon.wait(key, "done", deadline_s=10)
    assert done["filesDone"] == len(FILES)
    assert {view["commit"] for view in children(daemon, key).values()} == {new}
    assert offline_snapshot(daemon) == done["path"]
