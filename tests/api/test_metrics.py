"""`GET /metrics`: its values and labels."""

from __future__ import annotations

from tests.api.sse import Stream
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer


def test_retries_are_counted_by_cause(daemon: Daemon, hub: HubServer) -> None:
    hub.fault("own/small", "config.json", Fault.status(503, on="resolve", times=None))
    key = daemon.ask("own/small", "config.json")["id"]
    waiting = until(lambda: (view := daemon.view(key))["retryAt"] and view, "it waits")
    assert (waiting["status"], waiting["reason"]) == ("queued", "hub_unavailable")
    assert 'hfdmd_retries_total{reason="hub_unavailable"}' in daemon.get("/metrics").body.decode()


def test_methods_and_paths_that_nobody_knows_leave_no_label(shared: Daemon) -> None:
    for number in range(20):
        shared.call("GET", f"/p{number}")
        shared.call(f"M{number}", "/api/info")
    for method in ("PROPFIND", "PURGE"):  # methods that the HTTP parser accepts
        assert shared.call(method, "/api/info").status == 405
    text = shared.get("/metrics").body.decode()
    for unknown in ("M1", "/p1", "PROPFIND", "PURGE"):
        assert unknown not in text
    assert 'hfdmd_api_seconds_count{method="unknown",route="unknown",status="404"} 20.0' in text
    assert 'hfdmd_api_seconds_count{method="unknown",route="unknown",status="405"} 2.0' in text


def test_the_long_answer_of_an_action_is_timed_and_a_stream_is_not(daemon: Daemon, hub: HubServer) -> None:
    hub.add_repo("own/many", {f"{number}.txt": b"x" for number in range(150)})
    asked = daemon.ask("own/many")
    with Stream(daemon, {"id": asked["id"]}) as stream:
        assert list(stream)[-1].name == "end"
    assert len(daemon.call("DELETE", "/api/download", {"modelRepo": "own/many"}).json["downloads"]) == 150
    text = daemon.get("/metrics").body.decode()
    assert 'hfdmd_api_seconds_count{method="DELETE",route="/api/download",status="200"} 1.0' in text
    assert 'route="/api/progress"' not in text
