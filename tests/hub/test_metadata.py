"""Metadata in the headers of the Hub's responses: what is used and what is refused."""

from __future__ import annotations

import pytest

from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.wire.types import Reason
from tests.cache.files import REPO, spec_of
from tests.fakehub import Fault, HubServer
from tests.hub.conftest import BIG, failure


async def test_a_page_that_is_no_hubs(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.say({"X-Repo-Commit": None}))
    refused = await failure(hub)
    assert refused.reason is Reason.HUB_UNAVAILABLE
    assert "HF_ENDPOINT" in refused.detail


@pytest.mark.parametrize("commit_said", ["../../x", "A" * 40, "a" * 39, "a" * 41, "a" * 39 + "/"])
async def test_commits_that_are_none(server: HubServer, hub: Hub, commit: str, commit_said: str) -> None:
    server.fault(REPO, "config.json", Fault.say({"X-Repo-Commit": commit_said}))
    assert (await failure(hub)).reason is Reason.HUB_UNAVAILABLE


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


@pytest.mark.parametrize("said", [{"X-Linked-Size": "3000001"}, {"X-Linked-Etag": '"' + "e" * 64 + '"'}])
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
