"""`GET /api/files` page by page: each page costs the Hub only its own entries (docs/api.md, section 4)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon_process import Daemon
from tests.fakehub import HubServer

REPO = "own/many"


@pytest.fixture
def daemon(shared: Daemon) -> Daemon:
    return shared


@pytest.fixture
def hub(shared_hub: HubServer) -> Iterator[HubServer]:
    """The Hub of the shared daemon, with an empty log; each test replaces `REPO`."""
    page_size = shared_hub.world.page_size
    shared_hub.clear_log()
    yield shared_hub
    shared_hub.world.page_size = page_size


def pages(daemon: Daemon, limit: int) -> list[list[str]]:
    """The paths on each page."""
    found = []
    cursor: dict[str, Any] = {}
    while True:
        answer = daemon.get("/api/files", modelRepo=REPO, limit=limit, **cursor)
        assert answer.status == 200, answer
        found.append([file["filePath"] for file in answer.json["files"]])
        if answer.json["nextCursor"] is None:
            return found
        cursor = {"cursor": answer.json["nextCursor"]}


@pytest.mark.slow
@pytest.mark.parametrize("page_size", [1, 7, 100, 1000])
@pytest.mark.parametrize("limit", [1, 50, 90])
def test_pages_of_any_size_make_the_whole_list(daemon: Daemon, hub: HubServer, page_size: int, limit: int) -> None:
    files = {f"d{number % 7}/{number:03}.json": b"%d" % number for number in range(90)}
    hub.add_repo(REPO, {"0.txt": b"first", **files, "z.txt": b"last"})
    hub.world.page_size = page_size
    found = pages(daemon, limit)
    assert [path for page in found for path in page] == ["0.txt", *sorted(files), "z.txt"]
    assert {len(page) for page in found[:-1]} == {limit}


def test_a_page_asks_the_hub_for_no_page_before_it(daemon: Daemon, hub: HubServer) -> None:
    hub.add_repo(REPO, {f"{number:04}.json": b"%d" % number for number in range(3000)})
    hub.world.page_size = 100
    found = pages(daemon, 100)
    assert len(found) == 30
    assert len(hub.requests(file="@tree")) <= 2 * 30
    assert len(hub.requests(file="@revision")) == 1


def test_the_pages_are_of_one_commit(daemon: Daemon, hub: HubServer) -> None:
    hub.add_repo(REPO, {f"{number}.json": b"%d" % number for number in range(9)})
    hub.world.page_size = 2
    first = daemon.get("/api/files", modelRepo=REPO, limit=5).json
    hub.commit(REPO, {"0.json": None, "00.json": b"new"})
    rest = daemon.get("/api/files", modelRepo=REPO, limit=5, cursor=first["nextCursor"]).json
    assert rest["commit"] == first["commit"]
    assert [file["filePath"] for file in first["files"] + rest["files"]] == [f"{number}.json" for number in range(9)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["a=1 HTTP/1.1\r\nHost: x", "a b", "a=1\n", "ä", "a\0", "@evil/x", "/../../x", "#x", "?x", "cursor=MTAw"]
)
def test_a_cursor_leads_nowhere_else(daemon: Daemon, hub: HubServer, text: str) -> None:
    commit = hub.add_repo(REPO, {"a": b"a"})
    cursor = f"{commit}.0.{base64.urlsafe_b64encode(text.encode()).decode()}"
    answer = daemon.get("/api/files", modelRepo=REPO, cursor=cursor)
    assert answer.status in (200, 422)
    assert (answer.status == 422) == bool(not text.isascii() or {*text} & {*" \r\n\0"})
    for request in hub.requests():
        assert request.path.partition("?")[0] == f"/api/models/{REPO}/tree/{commit}"


@pytest.mark.parametrize("rest", ["0.x", "0.====", "0.A", "0..", "-1", "1e3", "", "1.eA==.x", "9999999999"])
def test_a_cursor_is_one_of_ours(daemon: Daemon, hub: HubServer, rest: str) -> None:
    commit = hub.add_repo(REPO, {"a": b"a"})
    answer = daemon.get("/api/files", modelRepo=REPO, cursor=f"{commit}.{rest}")
    assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid_field", "cursor")
    assert hub.requests() == []
