"""Listing repos: few requests, page by page, and hostile lists."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from huggingface_hub import snapshot_download

from hfdmd.cache.storage import Storage
from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.hub.listing import Listing
from hfdmd.record import Entry
from hfdmd.wire.types import Reason
from tests.cache.files import COMMIT, REPO, git_oid, spec_of, tree
from tests.fakehub import Fault, HubServer, seeded
from tests.hub.conftest import TOKEN, MakeHub

SPEC = spec_of("x").repo
OID = "1" * 40


async def all_of(listing: Listing) -> list[Entry]:
    return [entry async for page in listing.pages() for entry in page]


def node(path: str, **more: Any) -> dict[str, Any]:
    return {"type": "file", "path": path, "oid": OID, "size": 1, **more}


class HostileHub:
    """A Hub that returns given pages of a list."""

    def __init__(self, *pages: Any, links: list[str] | None = None) -> None:
        self.pages = pages
        self.links = links
        self.context: list[tuple[str, str | None]] = []
        app = web.Application(client_max_size=2**30)
        app.router.add_get("/api/models/owner/name/tree/{commit}", self.tree)
        self.server = TestServer(app)

    async def __aenter__(self) -> HostileHub:
        await self.server.start_server()
        self.endpoint = str(self.server.make_url("")).rstrip("/")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.close()

    async def tree(self, request: web.Request) -> web.Response:
        self.context.append((request.path_qs, request.headers.get("Authorization")))
        number = int(request.query.get("cursor", 0))
        body = self.pages[number]
        headers = {}
        if self.links is not None and number < len(self.links):
            headers["Link"] = f'<{self.links[number]}>; rel="next"'
        elif number + 1 < len(self.pages):
            headers["Link"] = f'<{self.endpoint}{request.path}?cursor={number + 1}>; rel="next"'
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(body=data, content_type="application/json", headers=headers)


async def test_sizes_and_digests_of_all_with_few_requests(server: HubServer, hub: Hub) -> None:
    big = seeded(2_000_000, seed=3)
    files: dict[str, Any] = {f"d{i % 7}/f{i}.json": b"%d" % i for i in range(2500)}
    commit = server.add_repo(REPO, {**files, "model.safetensors": big})
    server.clear_log()
    before = time.time()
    listing = await hub.list_repo(SPEC)
    entries = {entry.path: entry for entry in await all_of(listing)}
    assert listing.commit == commit
    assert before <= listing.told_at <= time.time()
    assert {entry.source.told_at for entry in entries.values()} == {listing.told_at}
    assert listing.refused == []
    assert set(entries) == {*files, "model.safetensors"}
    assert entries["d3/f3.json"].source.digest == f"git-sha1:{git_oid(b'3')}"
    assert entries["model.safetensors"].source.digest == f"sha256:{big.sha256}"
    assert entries["model.safetensors"].source.size_bytes == 2_000_000
    assert entries["model.safetensors"].blob_id != entries["model.safetensors"].source.etag
    assert len(server.log) <= 1 + 3


async def test_a_commit_needs_no_request_to_be_known(server: HubServer, hub: Hub) -> None:
    commit = server.add_repo(REPO, {"a": b"1"})
    server.commit(REPO, {"b": b"2"})
    server.clear_log()
    listing = await hub.list_repo(SPEC, commit=commit, told_at=1.5)
    assert [(entry.path, entry.source.told_at) for entry in await all_of(listing)] == [("a", 1.5)]
    pinned = await hub.list_repo(spec_of("x", revision=commit).repo)
    assert pinned.commit == commit
    assert len(server.log) == 1


async def test_what_is_not_there(server: HubServer, hub: Hub) -> None:
    with pytest.raises(Failure, match=Reason.REPO_NOT_FOUND):
        await hub.list_repo(SPEC)
    commit = server.add_repo(REPO, {"a": b"1"})
    with pytest.raises(Failure, match=Reason.REVISION_NOT_FOUND):
        await hub.list_repo(spec_of("x", revision="nope").repo)
    server.commit(REPO, {"b": b"2"})
    server.forget_commit(REPO, commit)
    listing = await hub.list_repo(SPEC, commit=commit)
    with pytest.raises(Failure, match=Reason.REVISION_NOT_FOUND):
        await all_of(listing)


async def test_the_hubs_client_fetches_what_has_a_name_that_is_refused(
    server: HubServer, hub: Hub, storage: Storage, tmp_path: Path
) -> None:
    names = {"a.txt", "Icon\r", "w\\b.txt", "d/x\ty\u2028.txt"}
    commit = server.add_repo(REPO, {name: name.encode() for name in names})
    listing = await hub.list_repo(SPEC)
    entries = await all_of(listing)
    assert [entry.path for entry in entries] == ["a.txt"]
    assert {entry.path for entry in listing.left_out} == names - {"a.txt"}
    storage.write_tree(SPEC, commit, [*entries, *listing.left_out])
    fetch = partial(snapshot_download, REPO, cache_dir=tmp_path / "hub", endpoint=server.endpoint)
    snapshot = Path(await asyncio.to_thread(fetch))
    assert tree(snapshot) == names


async def test_names_that_lead_elsewhere_are_in_no_tree(make_hub: MakeHub) -> None:
    bad = [
        "../a",
        "/a",
        "a/../b",
        "",
        "a//b",
        ".",
        "\x00",
        "a\x00b",
        "a" * 256,
        "x\r/../../y",
        "x\\..\\y",
        "d/\\y",
        "d/c:y",
    ]
    nodes = [*map(node, bad), node("no\rhash", oid="x"), node("fine\r")]
    async with HostileHub(nodes) as hostile:
        listing = await make_hub(hostile.endpoint).list_repo(SPEC, commit=COMMIT)
        assert await all_of(listing) == []
        assert listing.refused_total == len(nodes)
        assert [entry.path for entry in listing.left_out] == ["fine\r"]


async def test_a_page_that_fails_is_asked_for_again(server: HubServer, hub: Hub) -> None:
    server.add_repo(REPO, {f"f{i}": b"%d" % i for i in range(2100)})
    server.fault(REPO, "@tree", Fault.status(503, times=1).passing(1), Fault.hangup(times=1).passing(2))
    assert len(await all_of(await hub.list_repo(SPEC))) == 2100


async def test_hostile_entries_are_refused_and_the_rest_is_had(make_hub: MakeHub) -> None:
    bad = [
        node("../../etc/passwd"),
        node("/etc/passwd"),
        node("C:\\windows"),
        node("d/C:x"),
        node("nul\0"),
        node("x" * 10_000),
        node("a"),  # a folder already
        node("a/b"),  # again
        node("a/b/c"),  # below a file
        node("oid", oid="../../x"),
        node("short", oid="1" * 39),
        node("lfs", lfs={"oid": "../../x", "size": 1}),
        node("lfs-sha1", lfs={"oid": OID, "size": 1}),
        node("minus", size=-1),
        node("huge", size=2**60),
        node("float", size=1.5),
        node("text", size="1"),
        {"type": "file"},
        "nothing",
        None,
        [],
    ]
    good = [node("a/b"), node("ok"), node("OK"), {"type": "directory", "path": "a", "oid": OID}]
    async with HostileHub([*good, *bad]) as hostile:
        listing = await make_hub(hostile.endpoint).list_repo(SPEC, commit=COMMIT)
        assert [entry.path for entry in await all_of(listing)] == ["a/b", "ok", "OK"]
    assert listing.refused_total == len(bad)
    assert all(len(path) <= 200 for path, _ in listing.refused)


@pytest.mark.parametrize("page", [b"<html>", b"{}", b"[1", b"\xff\xfe[]", b'[{"path": "\\ud800"}]', b""])
async def test_what_is_no_list(make_hub: MakeHub, page: bytes) -> None:
    async with HostileHub(page) as hostile:
        listing = await make_hub(hostile.endpoint).list_repo(SPEC, commit=COMMIT)
        with pytest.raises(Failure, match=Reason.HUB_UNAVAILABLE):
            await all_of(listing)


async def test_the_next_page_stays_on_the_hub(make_hub: MakeHub) -> None:
    async with HostileHub([node("stolen")]) as stranger:
        link = f"{stranger.endpoint}/api/models/owner/name/tree/{COMMIT}"
        async with HostileHub([node("a")], links=[link]) as hostile:
            listing = await make_hub(hostile.endpoint, token=TOKEN).list_repo(SPEC, commit=COMMIT)
            with pytest.raises(Failure, match=Reason.HUB_UNAVAILABLE):
                await all_of(listing)
            assert hostile.context[0][1] == f"Bearer {TOKEN}"
        assert stranger.context == []


async def test_pages_in_circles(make_hub: MakeHub) -> None:
    async with HostileHub([node("a")], [node("b")]) as hostile:
        hostile.links = [f"/api/models/owner/name/tree/{COMMIT}?cursor={n}" for n in (1, 1)]
        listing = await make_hub(hostile.endpoint).list_repo(SPEC, commit=COMMIT)
        with pytest.raises(Failure, match=Reason.HUB_UNAVAILABLE):
            await all_of(listing)
        assert len(hostile.context) == 2


async def test_empty_pages_without_end(make_hub: MakeHub) -> None:
    class Endless(HostileHub):
        async def tree(self, request: web.Request) -> web.Response:
            self.context.append((request.path_qs, None))
            number = len(self.context)
            return web.json_response([], headers={"Link": f'<{request.path}?cursor={number}>; rel="next"'})

    async with Endless() as hostile:
        listing = await make_hub(hostile.endpoint).list_repo(SPEC, commit=COMMIT)
        async with asyncio.timeout(30):
            with pytest.raises(Failure, match=Reason.INTERNAL):
                await all_of(listing)
    assert len(hostile.context) <= 2001


async def test_a_long_list_lets_others_have_their_turn(make_hub: MakeHub) -> None:
    """20,000 entries in one page. The bounds are generous: they tell a blocked loop from a busy one."""
    page = json.dumps([node(f"folder{i % 100}/file-{i}.parquet") for i in range(20_000)]).encode()
    async with HostileHub(page) as hostile:
        listing = await make_hub(hostile.endpoint).list_repo(SPEC, commit=COMMIT)
        slowest_s = 0.0

        async def watch() -> None:
            nonlocal slowest_s
            while True:
                before = time.perf_counter()
                await asyncio.sleep(0)
                slowest_s = max(slowest_s, time.perf_counter() - before)

        watcher = asyncio.create_task(watch())
        started = time.perf_counter()
        entries = await all_of(listing)
        took_s = time.perf_counter() - started
        watcher.cancel()
    assert len(entries) == 20_000
    assert took_s < 10
    assert slowest_s < 1
