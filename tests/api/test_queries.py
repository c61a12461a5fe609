"""Queries: long names, and only the parameters of the call."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.daemon_process import Daemon

LONG = "/".join(["長" * 84 + "abc"] * 16)
"""A legal path of 4,095 bytes, and nearly three times as many in percent encoding."""


def test_the_longest_names_fit_into_a_query(shared: Daemon) -> None:
    everything = {
        "modelRepo": f"{'a' * 96}/{'b' * 96}",
        "filePath": LONG,
        "localDir": f"/{LONG}",
        "revision": "長" * 81,
        "repoType": "dataset",
        "status": "downloading",
    }
    assert len(LONG.encode()) == 4095
    assert len(urlencode(everything)) > 25_000
    assert shared.get("/api/progress", **everything).code == "unknown_download"
    key = shared.ask("own/small", LONG)["id"]
    named = {"modelRepo": "own/small", "filePath": LONG}
    assert shared.get("/api/progress", **named).json["id"] == key
    assert shared.call("DELETE", "/api/download", query=named).json["downloads"][0]["id"] == key


def test_a_name_that_is_too_long_is_told_so(shared: Daemon) -> None:
    answer = shared.get("/api/progress", modelRepo="own/small", filePath=f"{LONG}/x")
    assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid_field", "filePath")
    assert shared.get("/api/progress", modelRepo="own/small", filePath="x" * 40_000).code == "malformed"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/download", {"modelRepo": "own/small", "filePath": "config.json"}),
        *(("POST", f"/api/{name}", {"all": True}) for name in ("pause", "resume", "cancel", "retry")),
        ("PATCH", "/api/download", {"all": True, "priority": 1}),
        ("PATCH", "/api/settings", {"maxConnections": 7}),
    ],
)
def test_a_query_beside_a_body_is_refused_and_nothing_done(
    shared: Daemon, method: str, path: str, body: dict[str, Any]
) -> None:
    """`POST /api/cancel?id=…` with the body of another call would cancel everything."""
    moving = [shared.get("/api/progress", status=status) for status in ("queued", "downloading")]
    for view in [one for answer in moving for one in answer.json["downloads"]]:
        shared.wait(view["id"], "done", "failed")
    before = [shared.get("/api/progress").json, shared.get("/api/settings").json]
    for query, field in (("id=x", "id"), ("bogus=1", "bogus"), ("ModelRepo=a/b", "modelRepo"), ("id", "id")):
        answer = shared.call(method, f"{path}?{query}", body)
        assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid_field", field)
    assert shared.call(method, f"{path}?a=%zz", body).code == "malformed"
    assert [shared.get("/api/progress").json, shared.get("/api/settings").json] == before
    assert shared.call(method, f"{path}?", body).status in (200, 202, 404, 409), "a query of nothing says nothing"
