"""Metadata in the headers of the Hub's responses: what is used and what is refused."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.wire.types import Reason
from tests.cache.files import REPO, git_oid, spec_of
from tests.fakehub import Fault, HubServer
from tests.hub.conftest import BIG, DATA, failure

EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # of the empty file, as git names it


async def test_a_page_that_is_no_hubs(server: HubServer, hub: Hub, commit: str) -> None:
    source, _ = await hub.resolve(spec_of("config.json"))
    server.fault(REPO, None, Fault.instead(b"<html>sign in</html>").at("any"))
    server.fault(REPO, None, Fault.say({"X-Repo-Commit": None, "ETag": None}).at("any"))
    refused = await failure(hub)
    assert refused.reason is Reason.HUB_UNAVAILABLE
    assert "HF_ENDPOINT" in refused.detail
    with pytest.raises(Failure, match=Reason.HUB_UNAVAILABLE):
        await hub.locate(spec_of("config.json"), source)


@pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
async def test_a_mirror_that_names_no_commit(server: HubServer, hub: Hub, commit: str, path: str) -> None:
    whole, _ = await hub.resolve(spec_of(path))
    server.fault(REPO, path, Fault.say({"X-Repo-Commit": None}))
    source, target = await hub.resolve(spec_of(path))
    assert source == replace(whole, told_at=source.told_at)
    assert commit in target.url
    assert (await hub.locate(spec_of(path), source)).url


NO_LENGTH = [Fault.instead(b"", on="head"), Fault.say({"ETag": f'"{git_oid(DATA)}"'})]


@pytest.mark.parametrize(
    "faults",
    [NO_LENGTH, [Fault.say({"X-Linked-Size": "7"})], [Fault.say({"X-Linked-Etag": f'"{EMPTY}"'})]],
    ids=["0 bytes", "two sizes", "the digest of nothing"],
)
async def test_what_contradicts_itself_is_asked_of_the_listing(
    server: HubServer, hub: Hub, commit: str, faults: list[Fault]
) -> None:
    whole, _ = await hub.resolve(spec_of("config.json"))
    server.fault(REPO, "config.json", *faults)
    source, _ = await hub.resolve(spec_of("config.json"))
    assert source == replace(whole, told_at=source.told_at)
    assert (await hub.locate(spec_of("config.json"), source)).url


async def test_a_size_that_contradicts_the_digest_where_no_listing_helps(
    server: HubServer, hub: Hub, commit: str
) -> None:
    server.fault(REPO, "config.json", *NO_LENGTH)
    server.fault(REPO, None, Fault.status(404, times=None).at("api"))
    source, _ = await hub.resolve(spec_of("config.json"))
    assert source.size_bytes is None
    assert source.digest is not None


@pytest.mark.parametrize("commit_said", ["../../x", "A" * 40, "a" * 39, "a" * 41, "a" * 39 + "/"])
async def test_commits_that_are_none(server: HubServer, hub: Hub, commit: str, commit_said: str) -> None:
    server.fault(REPO, "config.json", Fault.say({"X-Repo-Commit": commit_said}))
    source, _ = await hub.resolve(spec_of("config.json"))
    assert source.commit == commit


async def test_another_commit_than_asked_for(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.say({"X-Repo-Commit": "a" * 40}))
    assert (await failure(hub, revision=commit)).reason is Reason.HUB_UNAVAILABLE


async def test_the_etag_of_a_xet_file_is_not_taken_for_a_sha256(server: HubServer, hub: Hub) -> None:
    server.add_repo("owner/name", {"x.bin": BIG}, xet=True)
    xet_hash = "d" * 64
    said = {"X-Linked-Etag": None, "ETag": f'"{xet_hash}"', "X-Xet-Hash": xet_hash}
    server.fault(REPO, "x.bin", Fault.say(said))
    source, _ = await hub.resolve(spec_of("x.bin"))
    assert source.digest == f"sha256:{BIG.sha256}"
    assert source.xet_hash == xet_hash


async def test_a_xet_file_without_an_http_way(server: HubServer, hub: Hub, commit: str) -> None:
    said = {"X-Xet-Hash": "d" * 64, "X-Linked-Etag": "e" * 64, "X-Linked-Size": "999"}
    server.fault(REPO, "config.json", Fault.say(said), Fault.say(said))
    source, target = await hub.resolve(spec_of("config.json"))
    assert (source.xet_hash, source.size_bytes, target) == ("d" * 64, 999, None)
    with pytest.raises(Failure, match=Reason.XET_REQUIRED):
        await hub.locate(spec_of("config.json"), source)


@pytest.mark.parametrize(
    "said", [{"X-Linked-Size": "3000001", "X-Linked-Etag": '"mirror"'}, {"X-Linked-Etag": '"' + "e" * 64 + '"'}]
)
async def test_a_file_that_changed_under_its_commit(
    server: HubServer, hub: Hub, commit: str, said: dict[str, str]
) -> None:
    spec = spec_of("model.safetensors")
    source, first = await hub.resolve(spec)
    assert first is not None
    second = await hub.locate(spec, source)
    assert second.url.partition("?")[0] == first.url.partition("?")[0]
    server.fault(REPO, "model.safetensors", Fault.say(said))
    with pytest.raises(Failure, match=Reason.HASH_MISMATCH):
        await hub.locate(spec, source)


async def test_a_wrong_size_beside_the_right_digest_is_no_change(server: HubServer, hub: Hub, commit: str) -> None:
    spec = spec_of("model.safetensors")
    source, _ = await hub.resolve(spec)
    server.fault(REPO, "model.safetensors", Fault.say({"X-Linked-Size": "7"}))
    assert (await hub.locate(spec, source)).url.startswith(server.cdn_url)


async def test_a_pointer_instead_of_the_file(server: HubServer, hub: Hub, commit: str) -> None:
    spec = spec_of("model.safetensors")
    source, _ = await hub.resolve(spec)
    server.fault(REPO, "model.safetensors", Fault.pointer())
    with pytest.raises(Failure, match="LFS pointer") as caught:
        await hub.locate(spec, source)
    assert caught.value.reason is Reason.HASH_MISMATCH
    as_git, _ = await hub.resolve(spec)
    assert as_git.size_bytes == len(server.repo(REPO).commits[commit].files["model.safetensors"].pointer)
    assert await hub.is_in_lfs(spec, commit)
    assert not await hub.is_in_lfs(spec_of("config.json"), commit)
