"""Resolving and locating files, against the test Hub."""

from __future__ import annotations

import re
import time

import pytest

from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.record import Source
from hfdmd.wire.types import Reason, RepoType
from tests.cache.files import REPO, git_oid, spec_of
from tests.fakehub import Fault, HubServer
from tests.hub.conftest import BIG, DATA, TOKEN, MakeHub, failure


async def test_a_git_file(server: HubServer, hub: Hub, commit: str) -> None:
    before = time.time()
    source, target = await hub.resolve(spec_of("config.json"))
    oid = git_oid(DATA)
    assert before <= source.told_at <= time.time()
    digest = f"git-sha1:{oid}"
    assert source == Source(commit=commit, etag=oid, size_bytes=len(DATA), digest=digest, told_at=source.told_at)
    assert target.url.startswith(server.endpoint)
    assert {entry.method for entry in server.log} == {"HEAD"}


@pytest.mark.parametrize("path", ["config.json", "sub/ü #1.json"])
async def test_a_git_file_behind_a_redirect_on_the_same_host(
    server: HubServer, hub: Hub, commit: str, path: str
) -> None:
    server.world.git_route = "resolve-cache"
    source, target = await hub.resolve(spec_of(path))
    assert source.digest is not None
    assert source.digest.startswith("git-sha1:")
    assert "/api/resolve-cache/" in target.url


async def test_an_lfs_file_and_its_signed_url(server: HubServer, make_hub: MakeHub, commit: str) -> None:
    server.add_token(TOKEN)
    hub = make_hub(server.endpoint, token=TOKEN)
    source, target = await hub.resolve(spec_of("model.safetensors"))
    assert source.etag == BIG.sha256
    assert source.digest == f"sha256:{BIG.sha256}"
    assert source.size_bytes == 3_000_000
    assert target.url.startswith(server.cdn_url)
    assert not target.headers
    assert "Signature" not in repr(target)
    assert target.url not in repr(target)
    assert [(entry.server, entry.method, entry.authorization) for entry in server.log] == [("hub", "HEAD", True)]


async def test_the_hubs_own_urls_carry_the_token(server: HubServer, make_hub: MakeHub, commit: str) -> None:
    server.add_token(TOKEN)
    hub = make_hub(server.endpoint + "/", token=TOKEN)
    spec = spec_of("config.json")
    source, target = await hub.resolve(spec)
    assert target.headers == {"Authorization": f"Bearer {TOKEN}"}
    direct = hub.direct(spec, source)
    assert direct.url == f"{server.endpoint}/{REPO}/resolve/{commit}/config.json"
    assert direct.headers == target.headers
    assert TOKEN not in repr(direct)


@pytest.mark.parametrize("kind", list(RepoType))
async def test_every_kind_of_repo_and_revision(server: HubServer, hub: Hub, kind: RepoType) -> None:
    first = server.add_repo("owner/kind", {"a.txt": b"1"}, repo_type=kind.value)
    server.ref("owner/kind", "refs/pr/1", first, repo_type=kind.value)
    second = server.commit("owner/kind", {"a.txt": b"22"}, repo_type=kind.value)
    for revision, expected in (("main", second), ("refs/pr/1", first), (first, first), (second, second)):
        spec = spec_of("a.txt", revision=revision, repo_type=kind)
        spec = type(spec)(**{**{f: getattr(spec, f) for f in spec.__struct_fields__}, "model_repo": "owner/kind"})
        source, _ = await hub.resolve(spec)
        assert source.commit == expected
        assert await hub.head_commit(spec.repo) == expected


async def test_a_pinned_commit_stays_although_the_branch_moves(server: HubServer, hub: Hub, commit: str) -> None:
    spec = spec_of("config.json")
    source, _ = await hub.resolve(spec)
    server.commit(REPO, {"config.json": b"new"})
    await hub.locate(spec, source)
    moved, _ = await hub.resolve(spec)
    assert moved.commit != commit


async def test_a_pinned_commit_that_is_gone(server: HubServer, hub: Hub, commit: str) -> None:
    spec = spec_of("config.json")
    source, _ = await hub.resolve(spec)
    server.commit(REPO, {"config.json": b"new"})
    server.forget_commit(REPO, commit)
    with pytest.raises(Failure, match=Reason.REVISION_NOT_FOUND):
        await hub.locate(spec, source)


@pytest.mark.parametrize("etag", ["../../../etc/x", "..", "a/b", "x" * 300, "", "%2e%2e%2f", None, "some-mirrors-etag"])
async def test_unusable_etags_send_us_to_the_listing(
    server: HubServer, hub: Hub, commit: str, etag: str | None
) -> None:
    server.fault(REPO, "model.safetensors", Fault.say({"X-Linked-Etag": etag, "ETag": etag}))
    source, _ = await hub.resolve(spec_of("model.safetensors"))
    assert source.digest == f"sha256:{BIG.sha256}"
    assert re.fullmatch(r"[0-9A-Za-z.-]+", source.etag)
    assert source.etag == BIG.sha256 or source.etag == etag


async def test_a_listing_without_paths_info_is_read_whole(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.say({"ETag": '"mirror"', "Content-Length": None}))
    server.fault(REPO, "@paths-info", Fault.status(404, times=None))
    source, _ = await hub.resolve(spec_of("config.json"))
    assert source.digest == f"git-sha1:{git_oid(DATA)}"
    assert source.etag == "mirror"
    assert source.size_bytes == len(DATA)


@pytest.mark.parametrize("code", [404, 500])
async def test_a_size_that_nobody_tells(server: HubServer, hub: Hub, commit: str, code: int) -> None:
    server.fault(REPO, "model.safetensors", Fault.say({"X-Linked-Size": None}))
    source, _ = await hub.resolve(spec_of("model.safetensors"))
    assert source.size_bytes == 3_000_000
    server.fault(REPO, "@paths-info", Fault.status(code, times=None))
    server.fault(REPO, "@tree", Fault.status(code, times=None))
    source, _ = await hub.resolve(spec_of("model.safetensors"))
    assert source.size_bytes is None
    assert source.digest == f"sha256:{BIG.sha256}"


async def test_no_digest_anywhere(server: HubServer, make_hub: MakeHub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.say({"ETag": '"mirror"'}))
    server.fault(REPO, "@paths-info", Fault.status(404, times=None))
    server.fault(REPO, "@tree", Fault.status(404, times=None))
    assert (await failure(make_hub(server.endpoint))).reason is Reason.UNVERIFIABLE
    source, _ = await make_hub(server.endpoint, allow_unverified=True).resolve(spec_of("config.json"))
    assert source.digest is None
    assert source.etag == "mirror"
