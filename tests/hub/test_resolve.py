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
from tests.fakehub import Fault, HubServer, seeded
from tests.hub.conftest import TOKEN, MakeHub

DATA = b'{"a": 1}'
BIG = seeded(3_000_000, seed=7)


@pytest.fixture
def commit(server: HubServer) -> str:
    return server.add_repo(REPO, {"config.json": DATA, "model.safetensors": BIG, "sub/ü #1.json": b"x"})


async def failure(hub: Hub, path: str = "config.json", **more: str) -> Failure:
    with pytest.raises(Failure) as caught:
        await hub.resolve(spec_of(path, **more))  # type: ignore[arg-type]
    assert TOKEN not in caught.value.detail
    return caught.value


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


async def test_what_is_not_there(server: HubServer, hub: Hub, commit: str) -> None:
    assert (await failure(hub, "nope.bin")).reason is Reason.FILE_NOT_FOUND
    gone = await failure(hub, revision="nope")
    assert gone.reason is Reason.REVISION_NOT_FOUND
    assert "nope" in gone.detail
    server.remove_repo(REPO)
    missing = await failure(hub)
    assert missing.reason is Reason.REPO_NOT_FOUND
    assert REPO in missing.detail
    assert "hf auth login" in missing.detail


async def test_gated_and_private(server: HubServer, make_hub: MakeHub) -> None:
    server.add_repo("owner/gated", {"a": b"1"}, gated=True)
    server.add_repo("owner/private", {"a": b"1"}, private=True)
    server.add_token("hf_nobody", opens=[])
    server.add_token(TOKEN)
    for token, name, expected in (
        (None, "owner/gated", Reason.GATED),
        ("hf_nobody", "owner/gated", Reason.GATED),
        (None, "owner/private", Reason.REPO_NOT_FOUND),
        ("hf_nobody", "owner/private", Reason.REPO_NOT_FOUND),
    ):
        spec = type(spec_of("a"))(repo_type=RepoType.MODEL, model_repo=name, revision="main", file_path="a")
        with pytest.raises(Failure) as caught:
            await make_hub(server.endpoint, token=token).resolve(spec)
        assert caught.value.reason is expected, (token, name)
        if expected is Reason.GATED:
            assert f"{server.endpoint}/{name}" in caught.value.detail
        await make_hub(server.endpoint, token=TOKEN).resolve(spec)


@pytest.mark.parametrize(
    ("token", "code", "expected"),
    [
        (None, 401, Reason.REPO_NOT_FOUND),
        (TOKEN, 401, Reason.UNAUTHORIZED),
        (TOKEN, 403, Reason.UNAUTHORIZED),
        (None, 403, Reason.UNAUTHORIZED),
        (None, 404, Reason.FILE_NOT_FOUND),
        (None, 400, Reason.INTERNAL),
        (None, 500, Reason.HUB_UNAVAILABLE),
        (None, 503, Reason.HUB_UNAVAILABLE),
        (None, 418, Reason.HUB_UNAVAILABLE),
    ],
)
async def test_statuses_without_a_code(
    server: HubServer, make_hub: MakeHub, commit: str, token: str | None, code: int, expected: Reason
) -> None:
    server.add_token(TOKEN)
    server.fault(REPO, "config.json", Fault.status(code, times=None).at("head"))
    assert (await failure(make_hub(server.endpoint, token=token))).reason is expected


async def test_rate_limits_are_passed_on_and_shared(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.busy(reset_s=87, on="head"))
    limited = await failure(hub)
    assert limited.reason is Reason.RATE_LIMITED
    assert limited.retry_after_s == pytest.approx(87, abs=1)
    context = len(server.log)
    assert (await failure(hub, "model.safetensors")).reason is Reason.RATE_LIMITED
    assert len(server.log) == context


async def test_no_hub_there(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.hangup(times=None).at("head"))
    assert (await failure(hub)).reason is Reason.NETWORK
    server.down()
    assert (await failure(hub)).reason is Reason.NETWORK
    server.up()


async def test_a_page_that_is_no_hubs(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.say({"X-Repo-Commit": None}))
    told = await failure(hub)
    assert told.reason is Reason.HUB_UNAVAILABLE
    assert "HF_ENDPOINT" in told.detail


@pytest.mark.parametrize("commit_said", ["../../x", "A" * 40, "a" * 39, "a" * 41, "a" * 39 + "/"])
async def test_commits_that_are_none(server: HubServer, hub: Hub, commit: str, commit_said: str) -> None:
    server.fault(REPO, "config.json", Fault.say({"X-Repo-Commit": commit_said}))
    assert (await failure(hub)).reason is Reason.HUB_UNAVAILABLE


async def test_another_commit_than_asked_for(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.say({"X-Repo-Commit": "a" * 40}))
    assert (await failure(hub, revision=commit)).reason is Reason.HUB_UNAVAILABLE


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
    server.fault(REPO, "config.json", Fault.say(said))
    assert (await failure(hub)).reason is Reason.XET_REQUIRED


@pytest.mark.parametrize("said", [{"X-Linked-Size": "3000001"}, {"X-Linked-Etag": '"' + "e" * 64 + '"'}])
async def test_a_file_that_changed_under_its_commit(
    server: HubServer, hub: Hub, commit: str, said: dict[str, str]
) -> None:
    spec = spec_of("model.safetensors")
    source, first = await hub.resolve(spec)
    second = await hub.locate(spec, source)
    assert second.url.partition("?")[0] == first.url.partition("?")[0]
    server.fault(REPO, "model.safetensors", Fault.say(said))
    with pytest.raises(Failure, match=Reason.HASH_MISMATCH):
        await hub.locate(spec, source)


async def test_a_redirect_to_a_stranger_gets_no_token(server: HubServer, make_hub: MakeHub, commit: str) -> None:
    server.add_token(TOKEN)
    with HubServer() as stranger:
        stranger.add_repo(REPO, {"config.json": b"other"})
        hub = make_hub(server.endpoint, token=TOKEN)
        server.fault(REPO, "config.json", Fault.redirect(f"{stranger.endpoint}/{REPO}/resolve/main/config.json"))
        server.fault(REPO, "config.json", Fault.say({"X-Repo-Commit": None}))
        source, target = await hub.resolve(spec_of("config.json"))
        assert source.digest == f"git-sha1:{git_oid(b'other')}"
        assert not target.headers
        assert [entry.authorization for entry in stranger.log] == [False]


async def test_redirects_without_end(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.loop())
    assert (await failure(hub)).reason is Reason.HUB_UNAVAILABLE
    assert len(server.log) <= 25


async def test_a_moved_repo_is_found(server: HubServer, hub: Hub, commit: str) -> None:
    server.move(REPO, "new/home")
    source, _ = await hub.resolve(spec_of("config.json"))
    assert source.commit == commit
    assert await hub.head_commit(spec_of("x").repo) == commit


@pytest.mark.parametrize("token", ["hf_ü", "hf_a\x00b"])
async def test_a_token_that_no_header_can_carry(server: HubServer, make_hub: MakeHub, commit: str, token: str) -> None:
    assert (await failure(make_hub(server.endpoint, token=token))).reason is Reason.UNAUTHORIZED
    assert not server.log


async def test_a_certificate_that_nobody_signed(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with HubServer(tls=True) as server:
        server.add_repo(REPO, {"config.json": DATA})
        hub = make_hub(server.endpoint)
        refused = await failure(hub)
        assert refused.reason is Reason.TLS
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_path)
        source, _ = await hub.resolve(spec_of("config.json"))
        assert source.size_bytes == len(DATA)
        await hub.close()
