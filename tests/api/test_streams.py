"""Live progress (docs/api.md, section 5), read as an EventSource reads it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pytest

from hfdmd.api import stream
from tests.api.sse import Event, Stream, until_ready
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer, seeded
from tests.marks import slow

BIG = {"modelRepo": "own/big", "filePath": "model.safetensors"}


def ask_big(daemon: Daemon) -> str:
    return str(daemon.ask("own/big", "model.safetensors")["id"])


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def test_its_headers_keep_proxies_from_holding_it_back(daemon: Daemon) -> None:
    with Stream(daemon) as live:
        assert live.status == 200
        assert live.headers["content-type"] == "text/event-stream"
        assert live.headers["cache-control"] == "no-cache, no-transform"
        assert live.headers["x-accel-buffering"] == "no"
        assert until_ready(iter(live)) == []
        assert live.retry_ms == 1000


def test_one_download_from_its_first_state_to_its_end(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 20_000_000
    key = ask_big(daemon)
    began = time.monotonic()
    with Stream(daemon, BIG) as live:
        events = list(live)
    took_s = time.monotonic() - began
    states = [event.data for event in events if event.name == "progress"]
    assert names(events)[-2:] == ["progress", "end"]
    assert events[-1].data == {"reason": "done"}
    assert states[-1]["status"] == "done"
    assert states[-1] == daemon.view(key)
    versions = [state["version"] for state in states]
    assert versions == sorted(set(versions)), "newer and newer"
    order = {"queued": 0, "downloading": 1, "done": 2}
    statuses = [order[state["status"]] for state in states]
    assert statuses == sorted(statuses)
    assert [event.id for event in events if event.name == "progress"] == [f"{v}:{key}" for v in versions]
    mere = [state for state in states if state["phase"] == "transferring" and state["downloadedBytes"]]
    assert len(mere) <= took_s * 4 + 2, "byte progress at most four times a second"
    assert len(mere) >= 2


def test_a_reconnect_after_the_end_is_told_to_stop(daemon: Daemon) -> None:
    key = daemon.wait(daemon.ask("own/small", "b.txt")["id"], "done")["id"]
    with Stream(daemon, {"id": key}) as live:
        events = list(live)
    assert names(events) == ["progress", "ready", "end"]
    with Stream(daemon, {"id": key}, last_event_id=events[-1].id) as again:
        assert again.status == 204
    for other in ("end:x", events[0].id, "ready", "", "end:shutdown"):
        with Stream(daemon, {"id": key}, last_event_id=other) as again:
            assert again.status == 200
            assert names(list(again)) == ["progress", "ready", "end"]
    daemon.call("DELETE", "/api/download", query={"id": key})
    daemon.wait(daemon.ask("own/small", "b.txt")["id"], "done")
    with Stream(daemon, {"id": key}, last_event_id=events[-1].id) as again:
        assert again.status == 200, "it has changed"


@pytest.mark.parametrize("file", ["b.txt", None])
@pytest.mark.parametrize("hub_is", ["there", "down"])
def test_an_update_that_finds_nothing_newer_is_heard_of(
    daemon: Daemon, hub: HubServer, file: str | None, hub_is: str
) -> None:
    done = daemon.wait(daemon.ask("own/small", file)["id"], "done")
    hub.freeze()
    asked = daemon.ask("own/small", file, update=True)
    assert asked["status"] == "done"
    with Stream(daemon, {"id": done["id"]}) as live:
        events = iter(live)
        until_ready(events)
        if hub_is == "down":
            hub.down()
        hub.thaw()
        rest = list(events)
    assert names(rest) == ["repo" if file is None else "progress", "end"]
    told = rest[0].data
    assert told["version"] > asked["version"]
    assert {**told, "version": 0, "updatedAt": ""} == {**asked, "version": 0, "updatedAt": ""}
    assert told == daemon.view(done["id"])
    until(lambda: told["version"] in {tracker["version"] for tracker in daemon.trackers()}, "it is on disk")


@pytest.mark.parametrize("file", ["b.txt", None])
def test_an_update_that_finds_something_newer_is_heard_of_to_its_end(
    daemon: Daemon, hub: HubServer, file: str | None
) -> None:
    done = daemon.wait(daemon.ask("own/small", file)["id"], "done")
    commit = hub.commit("own/small", {"b.txt": b"newer"})
    hub.freeze()
    daemon.ask("own/small", file, update=True)
    with Stream(daemon, {"id": done["id"]}) as live:
        events = iter(live)
        until_ready(events)
        hub.thaw()
        last = [event.data for event in events if event.data.get("id") == done["id"]][-1]
    assert (last["status"], last["commit"]) == ("done", commit)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["b.txt", None])
@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("status", [{}, slow({"status": "failed"})])
def test_a_repos_stream_waits_for_an_update_of_it(
    daemon: Daemon, hub: HubServer, file: str | None, newer: bool, status: dict[str, str]
) -> None:
    done = daemon.wait(daemon.ask("own/small", file)["id"], "done")
    commit = hub.commit("own/small", {"b.txt": b"newer"}) if newer else done["commit"]
    hub.freeze()
    daemon.ask("own/small", file, update=True)
    with Stream(daemon, {"modelRepo": "own/small", "revision": "other"}) as other:
        assert names(list(other)) == ["ready", "end"]
    with Stream(daemon, {"modelRepo": "own/small", **status}) as live:
        events = iter(live)
        until_ready(events)
        hub.thaw()
        rest = list(events)
    assert rest[-1].data == {"reason": "idle"}
    assert (daemon.view(done["id"])["status"], daemon.view(done["id"])["commit"]) == ("done", commit)
    if status:
        assert names(rest) == ["end"]
    else:
        last = [event.data for event in rest if event.data.get("id") == done["id"]][-1]
        assert (last["status"], last["commit"], last["version"] > done["version"]) == ("done", commit, True)


def test_a_repos_stream_of_one_status_ends_when_nothing_moves(daemon: Daemon, hub: HubServer) -> None:
    hub.freeze()
    daemon.ask("own/small", "b.txt")
    with Stream(daemon, {"modelRepo": "own/small", "status": "failed"}) as live:
        events = iter(live)
        assert until_ready(events) == []
        hub.thaw()
        assert [event.data for event in events] == [{"reason": "idle"}]


def test_what_nobody_asked_for_is_no_stream(daemon: Daemon) -> None:
    for query in ({"id": "0" * 32}, {"modelRepo": "own/small", "filePath": "b.txt"}):
        with Stream(daemon, query) as live:
            assert live.status == 404
            assert json.loads(live.body())["code"] == "unknown_download"


@pytest.mark.parametrize("name", ["limit", "cursor"])
def test_a_stream_has_no_pages(daemon: Daemon, name: str) -> None:
    with Stream(daemon, {name: 1}) as live:
        assert live.status == 422
        assert json.loads(live.body())["field"] == name


def test_one_download_stays_open_while_paused_and_ends_cancelled(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    key = ask_big(daemon)
    with Stream(daemon, {"id": key}) as live:
        events = iter(live)
        until_ready(events)
        daemon.post("/api/pause", {"id": key})
        paused = next(event for event in events if event.data["status"] == "paused")
        assert paused.data["reason"] == "requested"
        daemon.post("/api/resume", {"id": key})
        next(event for event in events if event.data["status"] == "downloading")
        daemon.post("/api/cancel", {"id": key})
        rest = list(events)
    assert rest[-2].data["status"] == "cancelled"
    assert rest[-1].data == {"reason": "cancelled"}


def test_one_download_ends_failed(daemon: Daemon) -> None:
    key = daemon.ask("own/small", "nothing")["id"]
    with Stream(daemon, {"id": key}) as live:
        events = list(live)
    last = [event.data for event in events if event.name == "progress"][-1]
    assert (last["status"], last["reason"]) == ("failed", "file_not_found")
    assert events[-1].data == {"reason": "failed"}


def test_a_forgotten_download_ends_its_stream(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    key = ask_big(daemon)
    with Stream(daemon, {"id": key}) as live:
        events = iter(live)
        until_ready(events)
        daemon.call("DELETE", "/api/download", query={"id": key})
        rest = list(events)
    assert (rest[-2].name, rest[-2].data) == ("removed", {"id": key})
    assert rest[-1].name == "end"


@pytest.mark.parametrize("by", ["modelRepo", "id"])
def test_a_repo_ends_idle_when_nothing_moves(daemon: Daemon, by: str) -> None:
    repo = daemon.ask("own/small")
    with Stream(daemon, {by: repo["id"] if by == "id" else "own/small"}) as live:
        events = list(live)
    assert events[-1].data == {"reason": "idle"}
    last = {event.data["id"]: event.data for event in events if event.name in ("progress", "repo")}
    assert {state["status"] for state in last.values()} == {"done"}
    assert len(last) == 4
    assert (last[repo["id"]]["filesDone"], last[repo["id"]]["progress"]) == (3, 100.0)
    with Stream(daemon, {by: repo["id"] if by == "id" else "own/small"}, last_event_id=events[-1].id) as again:
        assert again.status == 204


def test_a_repos_stream_ends_when_paused_and_tells_only_its_own(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 200_000
    key = ask_big(daemon)
    with Stream(daemon, {"modelRepo": "own/big"}) as live:
        events = iter(live)
        assert [event.data["id"] for event in until_ready(events)] == [key]
        daemon.wait(daemon.ask("own/small", "b.txt")["id"], "done", deadline_s=60)
        daemon.post("/api/pause", {"id": key})
        rest = list(events)
    assert {event.data["id"] for event in rest[:-1]} == {key}
    assert rest[-1].data == {"reason": "idle"}


def test_a_repo_of_which_nothing_is_known_is_idle_at_once(daemon: Daemon) -> None:
    with Stream(daemon, {"modelRepo": "no/body"}) as live:
        events = list(live)
    assert names(events) == ["ready", "end"]
    with Stream(daemon, {"modelRepo": "no/body"}, last_event_id=events[-1].id) as again:
        assert again.status == 204
    daemon.ask("no/body", "x")
    with Stream(daemon, {"modelRepo": "no/body"}, last_event_id=events[-1].id) as again:
        assert again.status == 200


def test_everything_never_ends_and_tells_additions_and_removals(daemon: Daemon) -> None:
    with Stream(daemon) as live:
        events = iter(live)
        assert until_ready(events) == []
        key = daemon.ask("own/small", "b.txt")["id"]
        first = next(events)
        assert (first.name, first.data["id"], first.data["status"]) == ("progress", key, "queued")
        assert next(event for event in events if event.data["status"] == "done").data["id"] == key
        repo = daemon.ask("own/small")["id"]
        seen = next(event for event in events if event.name == "repo")
        assert (seen.data["id"], seen.data["status"]) == (repo, "queued")
        next(event for event in events if event.name == "repo" and event.data["status"] == "done")
        daemon.call("DELETE", "/api/download", query={"id": key})
        removed = next(event for event in events if event.name == "removed")
        assert removed.data == {"id": key}
        assert removed.id.endswith(key)


def test_everything_begins_with_what_is_live_or_recent_or_with_all(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon().start()
    old = daemon.wait(daemon.ask("own/small", "b.txt")["id"], "done")["id"]
    failed = daemon.wait(daemon.ask("own/small", "nothing")["id"], "failed")["id"]
    recent = daemon.wait(daemon.ask("own/small", "config.json")["id"], "done")["id"]
    assert daemon.stop() == 0
    for path, tracker in daemon.tracker_files().items():
        if tracker["id"] in (old, failed):
            tracker["updatedAt"] = "2020-01-01T00:00:00.000000Z"
            if tracker["id"] == failed:
                tracker["reason"] = "gated"  # what the Hub does not have is forgotten by itself
            path.write_text(json.dumps(tracker))
    daemon.start()

    def told(query: dict[str, str]) -> list[str]:
        with Stream(daemon, query) as live:
            return [event.data["id"] for event in until_ready(iter(live))]

    assert told({}) == [failed, recent]
    assert told({"history": "true"}) == [old, failed, recent]
    assert told({"history": "true", "status": "failed"}) == [failed]


def test_a_status_filter_also_tells_what_leaves_it(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    key = ask_big(daemon)
    daemon.wait(key, "downloading")
    with Stream(daemon, {"status": "downloading"}) as live:
        events = iter(live)
        assert [event.data["id"] for event in until_ready(events)] == [key]
        daemon.ask("own/small", "nothing")
        daemon.post("/api/pause", {"id": key})
        left = next(event for event in events if event.data["id"] == key and event.data["status"] != "downloading")
        assert left.data["status"] == "paused"
        daemon.post("/api/cancel", {"id": key})
        other = daemon.ask("own/small", "b.txt")["id"]
        following = next(event for event in events if event.data["id"] in (key, other))
        assert following.data["id"] == other, "what it is not about any more is not told"


def test_a_live_download_not_named_before_ready_is_gone(daemon: Daemon, hub: HubServer) -> None:
    hub.fault(None, None, Fault.delay(60).at("head"))
    keys = [daemon.ask("own/small", f"f{number}")["id"] for number in range(300)]
    with Stream(daemon) as live:
        assert [event.data["id"] for event in until_ready(iter(live))] == keys


@pytest.mark.slow
def test_a_comment_comes_when_nothing_else_does(daemon: Daemon) -> None:
    assert stream.PING_S <= 15
    with Stream(daemon, timeout=15) as live:
        events = iter(live)
        until_ready(events)
        key = ""

        def later() -> None:
            nonlocal key
            key = daemon.ask("own/small", "b.txt")["id"]

        timer = threading.Timer(stream.PING_S + 1, later)
        timer.start()
        first = next(events)
        timer.join()
        assert first.data["id"] == key
        assert live.comments == 1


def test_shutdown_is_told_at_once_to_all(make_daemon: Callable[..., Daemon], hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    daemon = make_daemon().start()
    key = ask_big(daemon)
    queries: list[dict[str, str]] = [{}, {"id": key}, {"modelRepo": "own/big"}]
    streams = [(live, iter(live)) for live in (Stream(daemon, query) for query in queries for _ in range(20))]
    for _, events in streams:
        until_ready(events)
    stuck = Stream(daemon, receive_buffer_bytes=4096)  # never read: it must not delay the shutdown
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 4
    for live, events in streams:
        assert list(events)[-1].data == {"reason": "shutdown"}
        live.close()
    stuck.close()
    assert "Traceback" not in daemon.log


@pytest.mark.slow  # its reader must not be starved by other tests
def test_a_listener_that_does_not_read_delays_nobody_and_is_let_go(
    make_daemon: Callable[..., Daemon], hub: HubServer
) -> None:
    daemon = make_daemon().start()
    for attempt in range(3):  # on a busy machine even a reader that does nothing else may fall behind
        hub.add_repo(f"own/many{attempt}", {f"{number:04}.txt": b"%d" % number for number in range(1500)})
        with Stream(daemon, receive_buffer_bytes=4096) as lagging, Stream(daemon) as quick:
            events = iter(quick.read_ahead())
            until_ready(events)
            repo = daemon.ask(f"own/many{attempt}")["id"]
            statuses: dict[str, list[str]] = {}
            for event in events:
                if event.name == "progress":
                    seen = statuses.setdefault(event.data["id"], [])
                    if seen[-1:] != [event.data["status"]]:
                        seen.append(event.data["status"])
                elif event.name == "repo" and event.data["status"] == "done":
                    break
            assert len(statuses) == 1500
            late = list(lagging)
            assert late[-1].data == {"reason": "lagging"}
            assert late[-1].id == "end:lagging"
            assert len(late) < 4 * 1500
        with Stream(daemon, last_event_id="end:lagging") as again:
            present = until_ready(iter(again))
            assert len(present) == 1501 * (attempt + 1)
            assert {event.data["status"] for event in present} == {"done"}
        assert daemon.view(repo)["filesDone"] == 1500
        if set(map(tuple, statuses.values())) == {("queued", "downloading", "done")}:
            return
    pytest.fail("a listener that keeps up gets every change, in order")


def test_listeners_that_go_leave_nothing(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 500_000
    key = ask_big(daemon)
    for number in range(50):
        live = Stream(daemon, {"id": key} if number % 2 else None)
        until_ready(iter(live))
        live.close()
    until(lambda: "hfdmd_listeners 0.0" in daemon.get("/metrics").body.decode(), "all are gone")
    assert daemon.view(key)["status"] == "downloading", "who leaves stops nothing"
    assert "Traceback" not in daemon.log


def test_a_stream_over_http_1_0_is_not_chunked(daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 20_000_000
    ask_big(daemon)
    raw = daemon.connect()
    raw.sendall(b"GET /api/progress?modelRepo=own/big HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
    with raw.makefile("rb") as received:
        text = received.read()
    raw.close()
    headers, _, body = text.partition(b"\r\n\r\n")
    assert b"chunked" not in headers.lower()
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    assert {line.partition(b": ")[0] for line in lines} <= {b"", b"retry", b"id", b"event", b"data", b": ping"}
    assert lines.count(b"event: progress") > 4
    assert body.endswith(b'data: {"reason":"idle"}\n\n')


def test_a_large_file_may_be_watched_by_many_at_once(daemon: Daemon, hub: HubServer) -> None:
    hub.add_repo("own/other", {"x.bin": seeded(5_000_000, seed=3)})
    hub.rate_bytes_per_s = 4_000_000
    key = daemon.ask("own/other", "x.bin")["id"]
    streams = [Stream(daemon, {"id": key}) for _ in range(30)]
    for live in streams:
        events = list(live)
        live.close()
        assert events[-1].data == {"reason": "done"}
        assert events[-2].data["downloadedBytes"] == 5_000_000


def test_what_goes_to_the_cache_alone(daemon: Daemon, hub: HubServer) -> None:
    """The same file in the cache and in a folder, distinguished by every call that takes a selector."""
    hub.rate_bytes_per_s = 100_000
    cached = ask_big(daemon)
    beside = daemon.ask("own/big", localDir=str(daemon.home / "mine"))["id"]
    in_cache = {"modelRepo": "own/big", "inCache": "true"}
    with Stream(daemon, in_cache) as live:
        events = iter(live)
        assert {event.data["id"] for event in until_ready(events)} == {cached}
        daemon.post("/api/pause", {"id": beside})
        daemon.post("/api/pause", {"modelRepo": "own/big", "inCache": True})
        assert {event.data["id"] for event in events if event.name != "end"} == {cached}
    assert daemon.view(cached)["status"] == "paused"
    listed = daemon.get("/api/progress", **in_cache).json
    assert [view["id"] for view in listed["downloads"]] == [cached]
    assert listed["repos"] == []
    assert daemon.call("DELETE", "/api/download", query=in_cache).json["downloads"][0]["id"] == cached
    assert daemon.call("DELETE", "/api/download", query=in_cache).code == "unknown_download"
    assert daemon.view(beside)["localDir"] == str(daemon.home / "mine")
