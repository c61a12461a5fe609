"""Waiting downloads continue by themselves: network down, Hub busy, lock held, disk full."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from hfdmd.wire.units import format_size
from tests.api.sse import Stream
from tests.cache.files import shares_blocks
from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer, seeded


def test_the_hub_away_and_back(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(1_000_000, seed=1)})
    hub.down()
    key = daemon.download(REPO, BIG).json["id"]
    waiting = daemon.wait(key, "queued")
    until(lambda: daemon.view(key)["reason"] == "network", "it says why")
    waiting = daemon.view(key)
    assert waiting["retryAt"] is not None
    assert waiting["error"] is None
    assert waiting["detail"]
    hub.up()
    daemon.post("/api/retry", id=key)
    daemon.wait(key, "done")


def test_the_network_dies_in_the_middle(hub: HubServer, tmp_path: Path) -> None:
    size = 8_000_000
    content = seeded(size, seed=2)
    hub.add_repo(REPO, {BIG: content})
    hub.rate_bytes_per_s = 4_000_000
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_STALL_TIMEOUT="2") as daemon:
        key = daemon.download(REPO, BIG).json["id"]
        until(lambda: daemon.view(key)["downloadedBytes"] > size // 3, "a third is there")
        hub.down()
        daemon.wait(key, "queued")
        waiting = daemon.view(key)
        assert waiting["reason"] in ("network", "stalled")
        assert waiting["downloadedBytes"] > size // 3
        hub.rate_bytes_per_s = 0
        hub.up()
        done = daemon.wait(key, "done", deadline_s=90)
        assert hashlib.sha256(Path(done["path"]).read_bytes()).hexdigest() == content.sha256
        assert hub.sent_bytes(BIG) <= size * 1.1


def test_a_slot_is_free_while_one_waits(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {"a.json": b"{}", "b.json": b"{}"})
    hub.fault(REPO, "a.json", Fault.busy(reset_s=60, times=None))
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_MAX_ACTIVE_DOWNLOADS="1", HFDMD_STALL_TIMEOUT="1") as daemon:
        first = daemon.download(REPO, "a.json").json["id"]
        until(lambda: daemon.view(first)["reason"] == "rate_limited", "it must wait")
        waiting = daemon.view(first)
        assert (waiting["status"], waiting["attempt"]) == ("queued", 1)


def test_a_retry_asks_at_once_though_the_hub_asked_all_to_wait(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {"a.json": b"{}", "b.json": b"[]"})
    hub.fault(REPO, "a.json", Fault.busy(reset_s=100, times=2))
    first = daemon.download(REPO, "a.json").json["id"]
    until(lambda: daemon.view(first)["retryAt"], "it must wait")
    second = daemon.download(REPO, "b.json").json["id"]
    until(lambda: daemon.view(second)["retryAt"], "so must what is asked for later")
    asked = len(hub.requests(file="a.json"))
    assert daemon.post("/api/retry", id=first).json["unchanged"] == 0
    until(lambda: len(hub.requests(file="a.json")) == asked + 1, "it asks at once")
    until(lambda: daemon.view(first)["retryAt"], "it is refused once more")
    assert len(hub.requests(file="a.json")) == asked + 1, "one attempt"
    daemon.post("/api/retry", id=first)
    daemon.wait(first, "done")
    waiting = daemon.view(second)
    assert (waiting["status"], waiting["reason"]) == ("queued", "rate_limited"), "the wait stays for the others"
    assert hub.requests(file="b.json") == []


def test_a_retried_repo_is_listed_at_once_though_the_hub_asked_all_to_wait(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {"a.json": b"{}"})
    hub.fault(REPO, "@revision", Fault.busy(reset_s=100, times=1))
    key = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["reason"] == "rate_limited", "it must wait")
    daemon.post("/api/retry", id=key)
    daemon.wait(key, "done")


def test_a_full_disk_says_the_numbers_and_goes_on_when_there_is_room(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {BIG: seeded(1_000_000, seed=5)})
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_MIN_FREE_BYTES=str(2**52)) as daemon:
        key = daemon.download(REPO, BIG).json["id"]
        until(lambda: daemon.view(key)["reason"] == "disk_full", "it says why")
        waiting = daemon.view(key)
        assert waiting["status"] == "queued"
        assert waiting["detail"].startswith("needs 1.0 MB, ")
        assert "4.5 PB must stay free (min_free_bytes)" in waiting["detail"]
        assert daemon.call("PATCH", "/api/settings", {"minFreeBytes": 2**51}).status == 200
        until(lambda: "2.3 PB must stay free" in daemon.view(key)["detail"], "the numbers are renewed", deadline_s=5)
        assert daemon.view(key)["status"] == "queued"
        assert daemon.call("PATCH", "/api/settings", {"minFreeBytes": 0}).status == 200
        daemon.wait(key, "done", deadline_s=5)


def test_a_repo_that_does_not_fit_does_not_begin(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {"a.bin": seeded(3_000_000, seed=5), "b.bin": seeded(60_000_000, seed=6), "c.json": b"{}"})
    assert daemon.call("PATCH", "/api/settings", {"minFreeBytes": 2**52}).status == 200
    key = daemon.download(REPO).json["id"]
    waiting = until(lambda: (view := daemon.view(key))["reason"] == "disk_full" and view, "it says why")
    assert (waiting["status"], waiting["filesTotal"], waiting["totalBytes"]) == ("queued", 3, 63_000_002)
    assert waiting["detail"].startswith("needs 63.0 MB, ")
    assert "4.5 PB must stay free" in waiting["detail"]
    with Stream(daemon, {"id": key}) as stream:
        events = iter(stream)
        asked = len(hub.log)
        assert daemon.call("PATCH", "/api/settings", {"minFreeBytes": 2**51}).status == 200
        seen = [next(event.data for event in events if event.name == "repo") for _ in range(4)]
        assert {view["status"] for view in seen} == {"queued"}, "a look in vain is no change"
        assert "2.3 PB must stay free" in seen[-1]["detail"], "the numbers are renewed"
        assert len(hub.log) == asked, "and the Hub is not asked for the list again"
    assert hub.sent_bytes() == 0, "no file of it begins"
    assert daemon.get("/api/progress", modelRepo=REPO).json["downloads"] == []
    assert daemon.call("PATCH", "/api/settings", {"minFreeBytes": 0}).status == 200
    daemon.wait(key, "done")


def test_a_repo_that_is_here_already_needs_no_room(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {"a.bin": seeded(3_000_000, seed=5), "c.json": b"{}"})
    for name in ("a.bin", "c.json"):
        daemon.wait(daemon.download(REPO, name).json["id"], "done")
    assert daemon.call("PATCH", "/api/settings", {"minFreeBytes": 2**52}).status == 200
    daemon.wait(daemon.download(REPO).json["id"], "done")


def test_small_files_leave_the_room_that_is_to_stay_free(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {f"{number}.json": b"{}" for number in range(3)})
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_MIN_FREE_BYTES=str(2**52)) as daemon:
        key = daemon.download(REPO).json["id"]
        until(lambda: daemon.view(key)["reason"] == "disk_full", "it says why", state=lambda: str(daemon.view(key)))
        assert "must stay free" in daemon.view(key)["detail"]
        assert hub.sent_bytes() == 0
        assert daemon.call("PATCH", "/api/settings", {"minFreeBytes": 0}).status == 200
        daemon.wait(key, "done")


def test_a_copy_leaves_the_room_that_is_to_stay_free(hub: HubServer, daemon: Daemon, tmp_path: Path) -> None:
    """From the cache into a folder, and from one name in a folder to another."""
    if shares_blocks(tmp_path):
        pytest.skip("copies share blocks here, and need no room")
    folder, same = str(tmp_path / "mine"), seeded(1_000_000, seed=14)
    hub.add_repo(REPO, {BIG: seeded(1_000_000, seed=13), "small.json": b"{}", "one.bin": same, "two.bin": same})
    for file_path, local_dir in ((BIG, None), ("small.json", None), ("one.bin", folder)):
        daemon.wait(daemon.download(REPO, file_path, localDir=local_dir).json["id"], "done")
    sent_bytes = hub.sent_bytes()
    for file_path, need_bytes in ((BIG, 1_000_000), ("small.json", 2), ("two.bin", 1_000_000)):
        assert daemon.call("PATCH", "/api/settings", {"minFreeBytes": 2**52}).status == 200
        key = daemon.download(REPO, file_path, localDir=folder).json["id"]
        until(lambda key=key: daemon.view(key)["reason"] == "disk_full", "it says why")  # type: ignore[misc]
        waiting = daemon.view(key)
        assert waiting["status"] == "queued"
        assert waiting["retryAt"] is not None
        assert waiting["detail"].startswith(f"needs {format_size(need_bytes)}, ")
        assert "4.5 PB must stay free" in waiting["detail"]
        assert not list(Path(folder).rglob("hfdmd-*"))
        assert daemon.call("PATCH", "/api/settings", {"minFreeBytes": 0}).status == 200
        daemon.post("/api/retry", id=key)
        daemon.wait(key, "done")
    assert hub.sent_bytes() == sent_bytes


def test_the_pinned_commit_stays_even_if_the_branch_moves(hub: HubServer, daemon: Daemon) -> None:
    size = 6_000_000
    content = seeded(size, seed=6)
    old = hub.add_repo(REPO, {BIG: content})
    hub.rate_bytes_per_s = 3_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > size // 4, "some is there")
    daemon.post("/api/pause", id=key)
    hub.commit(REPO, {BIG: seeded(size, seed=7)})
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", id=key)
    done = daemon.wait(key, "done")
    assert done["commit"] == old
    assert hashlib.sha256(Path(done["path"]).read_bytes()).hexdigest() == content.sha256


def test_a_commit_that_is_gone_is_resolved_anew_and_said(hub: HubServer, daemon: Daemon) -> None:
    size = 6_000_000
    old = hub.add_repo(REPO, {BIG: seeded(size, seed=8)})
    hub.rate_bytes_per_s = 3_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > size // 4, "some is there")
    daemon.post("/api/pause", id=key)
    content = seeded(size, seed=9)
    new = hub.commit(REPO, {BIG: content})
    hub.forget_commit(REPO, old)
    hub.rate_bytes_per_s = 0
    daemon.post("/api/resume", id=key)
    done = daemon.wait(key, "done")
    assert done["commit"] == new
    assert hashlib.sha256(Path(done["path"]).read_bytes()).hexdigest() == content.sha256
    assert old in daemon.log


def test_leftover_part_files_of_nobody_are_removed_and_nothing_else(hub: HubServer, daemon: Daemon) -> None:
    size = 6_000_000
    hub.add_repo(REPO, {BIG: seeded(size, seed=10)})
    hub.rate_bytes_per_s = 3_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > size // 4, "some is there")
    daemon.stop()
    (part,) = daemon.parts()
    (tracker,) = daemon.state.glob("trackers/*/*.json")
    tracker.unlink()
    other = part.with_name("0123.incomplete")
    other.write_bytes(b"another program's")
    daemon.start()
    until(lambda: not part.exists(), "the orphan is gone")
    assert other.exists()
    assert daemon.get("/api/progress").json["downloads"] == []


def test_leftovers_of_a_crash_in_a_folder_are_removed_and_nothing_else(
    hub: HubServer, daemon: Daemon, tmp_path: Path
) -> None:
    hub.add_repo(REPO, {f"deep/{BIG}": seeded(1_000_000, seed=11), "a.json": b"{}"})
    folder = tmp_path / "mine"
    big = daemon.download(REPO, f"deep/{BIG}", localDir=str(folder)).json["id"]
    small = daemon.download(REPO, "a.json", localDir=str(folder)).json["id"]
    daemon.wait(big, "done")
    daemon.wait(small, "done")
    daemon.kill()
    metadata = folder / ".cache/huggingface/download"
    ours = [metadata / f"hfdmd-{big}.part", metadata / f"hfdmd-{small}.new", metadata / "deep" / f"hfdmd-{big}.book"]
    others = [metadata / f"hfdmd-{'0' * 32}.part", metadata / f"{BIG}.0123.incomplete"]
    for path in (*ours, *others):
        path.write_bytes(b"left behind")
    daemon.start()
    until(
        lambda: not any(path.exists() for path in ours),
        "what is ours is gone",
        state=lambda: str(list(metadata.iterdir())),
    )
    assert all(path.exists() for path in others)
    assert (folder / "deep" / BIG).stat().st_size == 1_000_000


@pytest.mark.slow
def test_a_server_that_breaks_off_what_it_sends_only_as_a_whole_is_asked_more_and_more_seldom(
    hub: HubServer, daemon: Daemon
) -> None:
    size = 4_000_000
    hub.add_repo(REPO, {BIG: seeded(size, seed=11)})
    hub.fault(REPO, BIG, Fault.whole(times=None), Fault.fin(after=size * 9 // 10, times=None))
    key = daemon.download(REPO, BIG).json["id"]
    for attempt in (1, 2, 3):
        until(lambda n=attempt: daemon.view(key)["attempt"] >= n and daemon.view(key)["retryAt"], "it waits")  # type: ignore[misc]
        waiting = daemon.view(key)
        assert (waiting["status"], waiting["reason"]) == ("queued", "hub_unavailable")
    assert hub.sent_bytes(BIG) <= 2.5 * size * waiting["attempt"]
    hub.clear_faults()
    daemon.post("/api/retry", id=key)
    daemon.wait(key, "done")


def test_whose_wait_is_over_while_there_is_no_slot_says_so(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {BIG: seeded(6_000_000, seed=13), "x.json": b"{}"})
    hub.fault(REPO, "x.json", Fault.status(503, retry_after=2).at("resolve"))
    hub.rate_bytes_per_s = 200_000
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_MAX_ACTIVE_DOWNLOADS="1") as daemon:
        key = daemon.download(REPO, "x.json").json["id"]
        until(lambda: daemon.view(key)["retryAt"], "it waits")
        waiting = daemon.view(key)
        daemon.download(REPO, BIG)
        until(lambda: daemon.view(key)["retryAt"] is None, "it waits for the slot")
        assert daemon.view(key)["status"] == "queued"
        assert daemon.view(key)["version"] > waiting["version"]


def test_content_that_is_always_wrong_fails_though_a_kill_comes_between(hub: HubServer, daemon: Daemon) -> None:
    size = 12_000_000
    hub.add_repo(REPO, {BIG: seeded(size, seed=12)})
    hub.fault(REPO, BIG, Fault.corrupt(offset=size // 2, times=None))
    hub.rate_bytes_per_s = 12_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: any(tracker["mismatches"] for tracker in daemon.trackers()), "it is fetched again")
    daemon.kill_and_start()
    hub.rate_bytes_per_s = 0
    assert daemon.wait(key, "failed")["reason"] == "hash_mismatch"
    assert hub.sent_bytes(BIG) < 2.5 * size
    hub.clear_faults()
    daemon.post("/api/retry", id=key)
    daemon.wait(key, "done")
    assert daemon.trackers()[0]["mismatches"] == 0


@pytest.mark.slow
def test_a_daemon_starts_where_it_cannot_write_and_says_so(hub: HubServer, daemon: Daemon) -> None:
    daemon.kill()
    endpoint, temporary = daemon.state / "endpoint.json", daemon.state / "endpoint.tmp"
    endpoint.unlink()
    temporary.mkdir()  # so that nothing can be written under that name
    daemon.start()
    assert "endpoint.json" in daemon.log
    temporary.rmdir()
    until(endpoint.exists, "it can be written again")
    assert json.loads(endpoint.read_bytes())["socket"] == str(daemon.socket)
