"""Events at a bad moment: an update during a stop, a disk error, a reordering of the whole queue."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded


def test_a_stop_does_not_wait_for_a_hub_that_is_asked_for_news(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(1_000_000, seed=1)})
    key = daemon.download(REPO, BIG).json["id"]
    daemon.wait(key, "done")
    whole = daemon.download(REPO).json["id"]
    daemon.wait(whole, "done")
    hub.freeze()
    daemon.download(REPO, BIG, update=True)
    daemon.download(REPO, update=True)
    assert daemon.stop(timeout_s=5) == 0
    hub.break_connections()
    hub.thaw()


def test_what_is_paused_asks_for_nothing_more_though_it_waited_for_a_connection(hub: HubServer, narrow: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(4_000_000, seed=1), "x.json": b"{}"})
    hub.rate_bytes_per_s = 200_000
    key = narrow.download(REPO, BIG).json["id"]
    until(lambda: narrow.view(key)["downloadedBytes"] > 0, "it moves and wants more connections than there may be")
    assert narrow.post("/api/pause", id=key).status == 200
    hub.clear_log()
    hub.rate_bytes_per_s = 0
    narrow.wait(narrow.download(REPO, "x.json").json["id"], "done")
    assert hub.requests(file=BIG) == []
    assert all(tracker.stat().st_size < 2_000 for tracker in narrow.state.glob("trackers/*/*"))


def test_a_part_file_that_cannot_be_deleted_leaves_nothing_stuck(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(6_000_000, seed=2), "x.safetensors": seeded(6_000_000, seed=3)})
    hub.rate_bytes_per_s = 1_000_000
    keys = [daemon.download(REPO, name).json["id"] for name in (BIG, "x.safetensors")]
    until(lambda: all(daemon.view(key)["downloadedBytes"] > 0 for key in keys), "bytes arrive")
    for part in daemon.parts():
        part.unlink()
        part.mkdir()
    assert daemon.post("/api/cancel", modelRepo=REPO).status == 200
    assert [daemon.view(key)["status"] for key in keys] == ["cancelled", "cancelled"]
    for part in daemon.parts():
        part.rmdir()
    hub.rate_bytes_per_s = 0
    for key, name in zip(keys, (BIG, "x.safetensors"), strict=True):
        assert daemon.download(REPO, name).status == 202
        daemon.wait(key, "done")


def test_actions_and_updates_at_once_end_in_what_was_said_last(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(8_000_000, seed=4)})
    hub.rate_bytes_per_s = 2_000_000
    key = daemon.download(REPO, BIG).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 0, "bytes arrive")
    with ThreadPoolExecutor(4) as people:
        for round_ in range(10):
            hub.commit(REPO, {BIG: seeded(8_000_000, seed=100 + round_)})
            list(people.map(lambda _: daemon.download(REPO, BIG, update=True).status, range(3)))
            answers = list(people.map(lambda what: daemon.post(f"/api/{what}", id=key).status, ("pause", "resume") * 2))
            assert set(answers) <= {200, 409}
            (view,) = daemon.post("/api/cancel", id=key).json["downloads"]
            assert view["status"] == "cancelled"
            sent = hub.sent_bytes(BIG)
            assert daemon.view(key)["status"] == "cancelled"
            assert hub.sent_bytes(BIG) - sent <= 0
            assert daemon.download(REPO, BIG).status == 202
    last = seeded(8_000_000, seed=5)
    hub.commit(REPO, {BIG: last})
    hub.rate_bytes_per_s = 0
    daemon.wait(key, "done")
    daemon.download(REPO, BIG, update=True)
    until(lambda: daemon.view(key)["digest"] == f"sha256:{last.sha256}", "it has moved")
    daemon.wait(key, "done")
    assert "Traceback" not in daemon.log


@pytest.mark.slow
def test_a_whole_repo_is_moved_to_the_front_at_once(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {f"{number:04}.json": b"{}%d" % number for number in range(4000)})
    hub.latency_s = 2.0
    key = daemon.download(REPO).json["id"]
    until(lambda: daemon.view(key)["filesTotal"] == 4000, "it is listed")
    began = time.monotonic()
    moved = daemon.call("PATCH", "/api/download", {"modelRepo": REPO, "position": 1})
    assert moved.status == 200
    assert time.monotonic() - began < 5
    hub.latency_s = 0
    daemon.call("DELETE", "/api/download", {"all": True})


def test_several_come_to_stand_together_where_they_were_put(hub: HubServer, daemon: Daemon) -> None:
    names = [f"{name}.bin" for name in "abcdef"]
    hub.add_repo(REPO, {name: seeded(4_000_000, seed=index) for index, name in enumerate(names)})
    hub.add_repo("org/two", {name: seeded(4_000_000, seed=index) for index, name in enumerate(names)})
    hub.rate_bytes_per_s = 100_000
    daemon.call("PATCH", "/api/settings", {"maxActiveDownloads": 1})
    daemon.download(REPO, names[0])
    until(lambda: daemon.get("/api/info").json["counts"]["downloading"] == 1, "one has started")
    for name in names[1:4]:
        daemon.download(REPO, name)
    for name in names[:3]:
        daemon.download("org/two", name)
    assert daemon.call("PATCH", "/api/download", {"modelRepo": "org/two", "position": 2}).status == 200
    queue = sorted(
        (view["queuePosition"], view["modelRepo"], view["filePath"])
        for view in daemon.get("/api/progress", status="queued").json["downloads"]
    )
    assert [f"{repo}/{name}" for _, repo, name in queue] == [
        f"{REPO}/b.bin", "org/two/a.bin", "org/two/b.bin", "org/two/c.bin", f"{REPO}/c.bin", f"{REPO}/d.bin",
    ]  # fmt: skip
    daemon.post("/api/cancel", all=True)
