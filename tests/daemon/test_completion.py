"""`done` means that all files of one commit exist; files that were removed in the meantime are downloaded again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.repo import REPO, children, official
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer, seeded

BIG = "z-big.safetensors"
FILES: dict[str, Any] = {"a.json": b'{"a": 1}', "b/b.json": b'{"b": 1}', BIG: seeded(3_000_000, seed=1)}


def snapshot(daemon: Daemon, **more: Any) -> set[str]:
    """The files of the snapshot that the official client finds offline; it raises when it is incomplete."""
    given = "".join(f", {name}={value!r}" for name, value in more.items())
    found = official(
        daemon,
        "from huggingface_hub import snapshot_download\n"
        f"print(snapshot_download({REPO!r}, local_files_only=True{given}))\n",
    ).strip()
    return {str(path.relative_to(found)) for path in Path(found).rglob("*") if path.is_file()}


def begun(hub: HubServer, daemon: Daemon, **more: Any) -> str:
    """A repo download whose small files are done while the big one is downloading."""
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 300_000
    key: str = daemon.download(REPO, **more).json["id"]
    until(lambda: daemon.view(key)["filesDone"] == 2 and daemon.view(key)["downloadedBytes"] > 200_000, "it runs")
    return key


def remove(daemon: Daemon) -> None:
    """As `hf cache rm` does."""
    official(
        daemon,
        "from huggingface_hub import scan_cache_dir\n"
        "cache = scan_cache_dir()\n"
        "commits = [revision.commit_hash for repo in cache.repos for revision in repo.revisions]\n"
        "cache.delete_revisions(*commits).execute()\n",
    )


@pytest.mark.parametrize("paused", [False, True])
def test_a_repo_that_others_removed_meanwhile_is_done_when_it_is_whole(
    hub: HubServer, daemon: Daemon, paused: bool
) -> None:
    key = begun(hub, daemon)
    if paused:
        daemon.post("/api/pause", id=key)
    remove(daemon)
    hub.rate_bytes_per_s = 0
    if paused:
        daemon.post("/api/resume", id=key)
    daemon.wait(key, "done")
    assert snapshot(daemon) == set(FILES)


def test_what_was_removed_of_a_done_repo_comes_back_with_its_list(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    key = daemon.download(REPO).json["id"]
    done = daemon.wait(key, "done")
    shutil.rmtree(Path(done["path"]).parents[1])
    hub.rate_bytes_per_s = 300_000
    assert daemon.download(REPO).status == 202
    until(lambda: daemon.view(key)["filesDone"] == 2, "some of it is there again")
    with pytest.raises(AssertionError, match=r"IncompleteSnapshotError|LocalEntryNotFoundError"):
        snapshot(daemon)
    hub.rate_bytes_per_s = 0
    daemon.wait(key, "done")
    assert snapshot(daemon) == set(FILES)


def test_a_file_that_is_being_asked_for_is_of_the_commit_that_its_repo_is_listed_at(
    hub: HubServer, daemon: Daemon
) -> None:
    old = hub.add_repo(REPO, FILES)
    hub.latency_s = 2.0
    one = daemon.download(REPO, "a.json").json["id"]
    until(lambda: hub.requests(method="HEAD"), "it is being asked for")
    hub.latency_s = 0.0
    key = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["filesTotal"] == 3, "it is listed")
    hub.commit(REPO, {"a.json": b'{"a": 2}'})
    assert daemon.view(one)["status"] == "downloading"
    daemon.wait(key, "done")
    assert {view["commit"] for view in children(daemon, key).values()} == {old}
    assert snapshot(daemon, revision=old) == set(FILES)


def test_a_commit_that_goes_away_costs_no_byte_of_the_same_content(hub: HubServer, daemon: Daemon) -> None:
    old = hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 1_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 1_500_000, "half of it is there")
    daemon.post("/api/pause", id=key)
    had = daemon.view(key)["downloadedBytes"]
    new = hub.commit(REPO, {"a.json": b"other"})
    hub.forget_commit(REPO, old)
    hub.clear_log()
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", id=key)
    assert daemon.wait(key, "done")["commit"] == new
    assert hub.sent_bytes(BIG) <= 3_000_000 - had + 150_000


def test_a_pause_does_not_outlive_done(hub: HubServer, daemon: Daemon) -> None:
    first = begun(hub, daemon)
    second = daemon.download(REPO, include=["*"]).json["id"]
    until(lambda: daemon.view(second)["filesTotal"] == 3, "it is listed")
    daemon.post("/api/pause", id=first)
    hub.rate_bytes_per_s = 0
    daemon.wait(first, "done")
    daemon.wait(second, "done")
    daemon.call("DELETE", "/api/download", {"id": second})
    new = hub.commit(REPO, {"c.json": b"new"})
    daemon.download(REPO, update=True)
    until(lambda: daemon.view(first)["commit"] == new, "it has moved")
    assert daemon.wait(first, "done")["filesDone"] == 4


def test_an_update_tries_again_what_failed_when_its_content_is_another(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.fault(REPO, "a.json", Fault.corrupt(offset=2, times=2))
    key = daemon.download(REPO).json["id"]
    assert daemon.wait(key, "failed")["reason"] == "hash_mismatch"
    hub.clear_faults()
    new = hub.commit(REPO, {"a.json": b"mended"})
    daemon.download(REPO, update=True)
    done = daemon.wait(key, "done")
    assert (done["commit"], Path(done["path"], "a.json").read_bytes()) == (new, b"mended")


def test_what_was_wrong_before_an_update_counts_for_nothing_after_it(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.fault(REPO, "a.json", Fault.corrupt(offset=2), Fault.stall(after=0).passing(1))
    key = daemon.download(REPO).json["id"]
    until(lambda: len(hub.requests(method="GET", file="a.json")) == 2, "it was wrong and is fetched again")
    daemon.post("/api/pause", modelRepo=REPO, filePath="a.json")
    hub.clear_faults()
    hub.fault(REPO, "a.json", Fault.corrupt(offset=2))
    new = hub.commit(REPO, {"a.json": b'{"a": 2}'})
    daemon.download(REPO, update=True)
    until(lambda: children(daemon, key)["a.json"]["commit"] == new, "it has moved")
    assert daemon.post("/api/resume", modelRepo=REPO, filePath="a.json").status == 200
    assert daemon.wait(children(daemon, key)["a.json"]["id"], "done", "failed")["error"] is None


def test_a_paused_file_that_moves_to_other_content_is_at_zero(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 500_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 500_000, "some is there")
    daemon.post("/api/pause", id=key)
    new = hub.commit(REPO, {BIG: seeded(3_000_000, seed=2)})
    daemon.download(REPO, BIG, update=True)
    until(lambda: daemon.view(key)["commit"] == new, "it has moved")
    view = daemon.view(key)
    assert (view["status"], view["downloadedBytes"], view["progress"]) == ("paused", 0, 0)


def test_a_file_that_an_update_let_go_is_told(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, FILES)
    key = daemon.download(REPO).json["id"]
    daemon.wait(key, "done")
    before = children(daemon, key)["a.json"]
    hub.commit(REPO, {"a.json": None})
    daemon.download(REPO, update=True)
    until(lambda: daemon.view(key)["filesTotal"] == 2, "it has moved")
    after = daemon.view(before["id"])
    assert after["repoIds"] == []
    assert after["version"] > before["version"]


def test_done_in_a_cache_that_is_not_used_any_more_is_brought_into_the_one_that_is(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.add_repo(REPO, FILES)
    with Daemon(tmp_path / "h", hub.endpoint) as daemon:
        key = daemon.download(REPO).json["id"]
        daemon.wait(key, "done")
        daemon.stop()
        daemon.env["HF_HOME"] = str(tmp_path / "other")
        daemon.start()
        assert daemon.download(REPO).status == 202
        done = daemon.wait(key, "done")
        assert Path(done["path"]).is_relative_to(tmp_path / "other" / "hub")
        assert daemon.download(REPO, BIG).json["path"].startswith(str(tmp_path / "other"))
        assert snapshot(daemon) == set(FILES)


def test_a_cache_that_is_named_in_a_roundabout_way_is_the_same_cache(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, FILES)
    with Daemon(tmp_path / "h", hub.endpoint, HF_HOME=f"{tmp_path}/h/elsewhere/../hf") as daemon:
        key = daemon.download(REPO).json["id"]
        assert daemon.wait(key, "done")["filesDone"] == 3
        assert daemon.download(REPO).status == 200
