"""The Hub's routes as raw HTTP; the official client is in test_official.py."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.fakehub import HubServer, PathContent, seeded
from tests.fakehub.content import BLOCK_BYTES, MIB, Source
from tests.fakehub.raw import Got, ask, fetch

FILES: dict[str, Source] = {
    "config.json": b"{}",
    "README.md": "# hi\n",
    "sub/dir/model.safetensors": seeded(2_000_000, 1),
    "sub/a.txt": "a",
}


def body_of(got: Got) -> Any:
    """The JSON of a good answer."""
    assert got.status == 200, got
    return json.loads(got.body)


def test_seeded_content_is_the_same_everywhere_and_no_two_mib_alike() -> None:
    content = seeded(20 * MIB + 3, seed=5)
    data = content.read()
    assert len(data) == content.size_bytes == len(content)
    assert content.read(MIB - 2, MIB + 2) == data[MIB - 2 : MIB + 2]
    assert hashlib.sha256(data).hexdigest() == content.sha256 == seeded(20 * MIB + 3, seed=5).sha256
    assert hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == content.git_sha1
    assert len({data[i * MIB : (i + 1) * MIB] for i in range(20)}) == 20
    assert seeded(100, 1).read() != seeded(100, 2).read()
    assert seeded(1 << 40, 1).read((1 << 40) - 5) != b""
    assert seeded(2 * BLOCK_BYTES, 1).read(0, MIB) != seeded(2 * BLOCK_BYTES, 2).read(0, MIB)


def test_head_of_an_lfs_file_points_at_the_cdn(hub: HubServer) -> None:
    commit = hub.add_repo("o/n", FILES)
    got = ask(f"{hub.endpoint}/o/n/resolve/main/sub/dir/model.safetensors", "HEAD")
    assert got.status == 302
    assert got.location.startswith(hub.cdn_url + "/")
    assert hub.cdn_url != hub.endpoint
    assert got.headers["x-repo-commit"] == commit
    assert got.headers["x-linked-size"] == "2000000"
    assert got.headers["x-linked-etag"] == f'"{seeded(2_000_000, 1).sha256}"'
    assert got.headers["etag"] != got.headers["x-linked-etag"]
    body = ask(got.location)
    assert body.body == seeded(2_000_000, 1).read()
    assert body.headers["etag"] not in (got.headers["x-linked-etag"], None)
    assert ask(got.location, "HEAD").headers["content-length"] == "2000000"


def test_git_files_come_from_the_hub_directly_or_by_the_resolve_cache(hub: HubServer) -> None:
    commit = hub.add_repo("o/n", FILES)
    url = f"{hub.endpoint}/o/n/resolve/main/sub/a.txt"
    direct = ask(url, "HEAD")
    sha1 = hashlib.sha1(b"blob 1\0a").hexdigest()
    assert (direct.status, direct.headers["etag"], direct.headers["x-repo-commit"]) == (200, f'"{sha1}"', commit)
    assert direct.headers["content-length"] == "1"
    hub.world.git_route = "resolve-cache"
    turned = ask(url, "HEAD")
    assert turned.status == 307
    assert turned.location.startswith(f"/api/resolve-cache/models/o/n/{commit}/sub%2Fa.txt?")
    for method, body in (("HEAD", b""), ("GET", b"a")):
        cached = ask(hub.endpoint + turned.location, method)
        assert (cached.status, cached.headers["etag"], cached.body) == (200, f'"{sha1}"', body)
        assert cached.headers["x-repo-commit"] == commit


def test_revisions_branches_tags_pull_requests_and_commits(hub: HubServer) -> None:
    first = hub.add_repo("o/n", {"a": "1"}, repo_type="dataset")
    second = hub.commit("o/n", {"a": "2", "b": "b"}, "dev", repo_type="dataset")
    third = hub.commit("o/n", {"a": "3"}, "refs/pr/1", repo_type="dataset")
    hub.ref("o/n", "refs/tags/v1", second, repo_type="dataset")
    base = f"{hub.endpoint}/datasets/o/n/resolve"
    expected = {"main": "1", first: "1", "dev": "2", second: "2", "v1": "2", "refs%2Fpr%2F1": "3", "refs/pr/1": "3"}
    assert {rev: ask(f"{base}/{rev}/a").body.decode() for rev in expected} == expected
    assert ask(f"{base}/{third}/a", "HEAD").headers["x-repo-commit"] == third
    assert ask(f"{base}/main/b").headers["x-error-code"] == "EntryNotFound"
    assert ask(f"{base}/nope/a").headers["x-error-code"] == "RevisionNotFound"
    hub.forget_commit("o/n", third, repo_type="dataset")
    assert ask(f"{base}/{third}/a").headers["x-error-code"] == "RevisionNotFound"
    refs = body_of(ask(f"{hub.endpoint}/api/datasets/o/n/refs"))
    assert [branch["name"] for branch in refs["branches"]] == ["main", "dev"]
    assert refs["tags"] == [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": second}]


def test_listing_shapes_pages_and_folders(hub: HubServer) -> None:
    commit = hub.add_repo("o/n", FILES, xet={"sub/dir/model.safetensors"})
    api = f"{hub.endpoint}/api/models/o/n"
    entries = body_of(ask(f"{api}/tree/{commit}?recursive=true"))
    assert [(entry["type"], entry["path"]) for entry in entries] == [
        ("file", "README.md"),
        ("file", "config.json"),
        ("directory", "sub"),
        ("file", "sub/a.txt"),
        ("directory", "sub/dir"),
        ("file", "sub/dir/model.safetensors"),
    ]
    big = entries[-1]
    assert big["lfs"] == {"oid": seeded(2_000_000, 1).sha256, "size": 2_000_000, "pointerSize": 132}
    assert len(big["oid"]) == 40
    assert len(big["xetHash"]) == 64
    assert "lfs" not in entries[0]
    assert body_of(ask(f"{api}/tree/main/?recursive=true")) == entries  # as mirrors ask
    assert [entry["path"] for entry in body_of(ask(f"{api}/tree/main/sub"))] == ["sub/a.txt", "sub/dir"]
    hub.world.page_size = 4
    page = ask(f"{api}/tree/main?recursive=true&expand=false")
    link = page.headers["link"]
    assert link.endswith('>; rel="next"')
    rest = ask(link[1:].partition(">")[0])
    assert body_of(page) + body_of(rest) == entries
    assert "link" not in rest.headers
    assert ask(f"{api}/tree/main/nowhere").headers["x-error-code"] == "EntryNotFound"


def test_repo_info_paths_info_and_what_is_not_there(hub: HubServer) -> None:
    commit = hub.add_repo("o/n", FILES)
    api = f"{hub.endpoint}/api/models/o/n"
    for url in (api, f"{api}/revision/main", f"{api}/revision/{commit}?blobs=true"):
        info = body_of(ask(url))
        assert (info["id"], info["sha"]) == ("o/n", commit)
        assert [sibling["rfilename"] for sibling in info["siblings"]] == sorted(FILES)
        assert ask(url, "HEAD").status == 200
    assert ask(f"{hub.endpoint}/api/agent-harnesses").status == 404
    assert ask(f"{hub.endpoint}/api/datasets/o/n").headers["x-error-code"] == "RepoNotFound"
    assert ask(f"{api}/xet-read-token/{commit}").status == 404
    hub.world.cas_url = "http://127.0.0.1:9"
    token = ask(f"{api}/xet-read-token/{commit}")
    assert body_of(token)["casUrl"] == token.headers["x-xet-cas-url"] == "http://127.0.0.1:9"


def test_gated_private_and_tokens(hub: HubServer) -> None:
    hub.add_repo("o/gated", {"a": "a"}, gated=True)
    hub.add_repo("o/private", {"a": "a"}, private=True)
    hub.add_token("hf_all")
    hub.add_token("hf_none", opens=())

    def asked(path: str, token: str | None) -> tuple[int, str | None]:
        got = ask(hub.endpoint + path, Authorization=f"Bearer {token}") if token else ask(hub.endpoint + path)
        return got.status, got.headers.get("x-error-code")

    for path in ("/o/gated/resolve/main/a", "/o/private/resolve/main/a", "/api/models/o/private"):
        assert asked(path, "hf_all") == (200, None)
        assert asked(path, "hf_wrong") == (401, None)
    assert asked("/api/models/o/gated", None) == (200, None)  # what is in a gated repo is no secret
    assert asked("/o/gated/resolve/main/a", None) == (401, "GatedRepo")
    assert asked("/o/gated/resolve/main/a", "hf_none") == (403, "GatedRepo")
    assert asked("/o/private/resolve/main/a", None) == (401, "RepoNotFound")
    assert asked("/api/models/o/private", "hf_none") == (404, "RepoNotFound")
    assert [entry.authorization for entry in hub.requests(file="a")].count(True) == 5


def test_a_moved_repo_redirects(hub: HubServer) -> None:
    hub.add_repo("o/old", {"a b.txt": "a"})
    hub.move("o/old", "new/name")
    got = ask(f"{hub.endpoint}/o/old/resolve/main/a%20b.txt")
    assert (got.status, got.location) == (307, "/new/name/resolve/main/a%20b.txt")
    assert ask(hub.endpoint + got.location).body == b"a"
    assert ask(f"{hub.endpoint}/api/models/o/old/tree/main").location == "/api/models/new/name/tree/main"


@pytest.mark.parametrize("path", ["ä/ö ü.txt", "100%.txt", "a#b?c.txt", "..foo/b.txt", "x" * 240])
def test_odd_names(hub: HubServer, path: str) -> None:
    hub.add_repo("o/n", {path: "odd", path + ".bin": "odd too"})
    base = f"{hub.endpoint}/o/n/resolve/main/"
    assert ask(base + quote(path)).body == b"odd"
    assert fetch(base + quote(path) + ".bin").body == b"odd too"
    assert [entry.file for entry in hub.requests(method="GET")] == [path, path + ".bin", path + ".bin"]
    assert hub.sent_bytes(path) == 3


def test_hostile_listings_are_told_as_they_are(hub: HubServer) -> None:
    paths = ["../up", "/abs", "a\0b", "C:\\x", "a/../../b", "x" * 10_000]
    hub.add_repo("o/n", dict.fromkeys(paths, "x"))
    entries = body_of(ask(f"{hub.endpoint}/api/models/o/n/tree/main?recursive=true"))
    assert {entry["path"] for entry in entries if entry["type"] == "file"} == set(paths)
    assert ask(f"{hub.endpoint}/o/n/resolve/main/../up").body == b"x"


def test_files_on_disk_sparse_ones_too(hub: HubServer, tmp_path: Path) -> None:
    small, sparse = tmp_path / "small.bin", tmp_path / "sparse.bin"
    small.write_bytes(seeded(3_000_000, 9).read())
    with sparse.open("wb") as file:
        file.truncate(64 << 30)
        file.seek((64 << 30) - 4)
        file.write(b"last")
    hub.add_repo("o/n", {"small.bin": small, "sparse.bin": PathContent(sparse, sha256="1" * 64)})
    assert fetch(f"{hub.endpoint}/o/n/resolve/main/small.bin").body == seeded(3_000_000, 9).read()
    got = fetch(f"{hub.endpoint}/o/n/resolve/main/sparse.bin", Range=f"bytes={(64 << 30) - 8}-")
    assert got.body == b"\0\0\0\0last"
    assert got.headers["content-range"] == f"bytes {(64 << 30) - 8}-{(64 << 30) - 1}/{64 << 30}"


@pytest.mark.slow
def test_a_listing_of_a_hundred_thousand(hub: HubServer) -> None:
    hub.add_repo("o/many", {f"d{i % 100}/f{i}.txt": b"%d" % i for i in range(100_000)}, lfs=False)
    url, count = f"{hub.endpoint}/api/models/o/many/tree/main?recursive=true", 0
    while url:
        page = ask(url)
        count += len(body_of(page))
        url = page.headers.get("link", "")[1:].partition(">")[0]
    assert count == 100_100
    assert len(hub.log) == 101


def test_tls_with_an_authority_of_its_own() -> None:
    with HubServer(tls=True) as hub:
        hub.add_repo("o/n", FILES)
        url = f"{hub.endpoint}/o/n/resolve/main/sub/dir/model.safetensors"
        assert url.startswith("https://")
        assert fetch(url, ca_path=hub.ca_path).body == seeded(2_000_000, 1).read()
        assert "certificate verify failed" in str(ask(url).problem)


def test_connections_are_told_apart(hub: HubServer) -> None:
    hub.add_repo("o/n", FILES)
    for _ in range(2):
        ask(f"{hub.endpoint}/o/n/resolve/main/config.json", Range="bytes=0-0")
    first, second = hub.log
    assert first.connection != second.connection
    assert (first.range, first.server, first.status, first.sent_bytes) == ("bytes=0-0", "hub", 206, 1)


async def test_async_use() -> None:
    async with HubServer() as hub:
        hub.add_repo("o/n", FILES)
        assert hub.endpoint.startswith("http://127.0.0.1:")
