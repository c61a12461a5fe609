"""Requests to the Hub: proxies, redirects, tokens and certificates."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.net.origin import RedirectPolicy
from hfdmd.net.retry_after import RetryAfter
from hfdmd.record import Source
from hfdmd.wire.types import Reason
from tests.cache.files import COMMIT, REPO, git_oid, spec_of
from tests.fakehub import Fault, HubServer
from tests.fakehub.proxy import ForwardProxy
from tests.hub.conftest import BIG, DATA, TOKEN, MakeHub, failure
from tests.scarcity import no_descriptors

HUB = "http://hub.example"


@pytest.fixture
async def seen(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[web.BaseRequest]]:
    """What a proxy was asked, which answers everything itself."""
    context: list[web.BaseRequest] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        context.append(request)
        if "Proxy-Authorization" not in request.headers:
            return web.Response(status=407)
        return web.Response(headers={"X-Repo-Commit": COMMIT, "X-Linked-Size": "1", "ETag": '"' + "1" * 40 + '"'})

    proxy = web.ServerRunner(web.Server(answer))
    await proxy.setup()
    site = web.TCPSite(proxy, "127.0.0.1", 0)
    await site.start()
    port = proxy.addresses[0][1]
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://user:word@127.0.0.1:{port}")
    yield context
    await proxy.cleanup()


async def test_through_the_proxy(seen: list[web.BaseRequest], make_hub: MakeHub) -> None:
    source, _ = await make_hub(HUB, token=TOKEN).resolve(spec_of("a"))
    assert source.commit == COMMIT
    [request] = seen
    assert request.headers["Host"] == "hub.example"
    assert request.headers["Proxy-Authorization"].startswith("Basic ")


async def test_a_proxy_that_wants_a_name(
    seen: list[web.BaseRequest], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setenv("http_proxy", os.environ["http_proxy"].replace("user:word@", ""))
    with pytest.raises(Failure, match=Reason.NETWORK) as caught:
        await make_hub(HUB).resolve(spec_of("a"))
    assert "proxy" in caught.value.detail


async def test_a_proxy_that_is_not_there(
    seen: list[web.BaseRequest], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(Failure, match="proxy") as caught:
        await make_hub(HUB).resolve(spec_of("a"))
    assert caught.value.reason is Reason.NETWORK


async def test_a_tunnel_through_a_proxy_that_wants_a_name(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with ForwardProxy("user:word") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("user:word@", ""))
        with pytest.raises(Failure, match="user name and a password") as caught:
            await make_hub("https://hub.example").resolve(spec_of("a"))
    assert caught.value.reason is Reason.NETWORK


async def test_a_proxy_that_can_never_work(make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5h://user:word@127.0.0.1:1080")
    with pytest.raises(Failure, match=r"HTTP_PROXY.*'socks5h'") as caught:
        await make_hub(HUB).resolve(spec_of("a"))
    assert caught.value.is_final
    assert "word" not in caught.value.detail


async def test_a_password_in_the_endpoint_is_not_told(make_hub: MakeHub) -> None:
    with pytest.raises(Failure) as caught:
        await make_hub("http://user:password@127.0.0.1:9").resolve(spec_of("a"))
    assert "password" not in caught.value.detail


async def test_no_hub_there(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.hangup(times=None).at("head"))
    assert (await failure(hub)).reason is Reason.NETWORK
    server.down()
    assert (await failure(hub)).reason is Reason.NETWORK
    server.up()


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


@pytest.fixture
def mirror(server: HubServer) -> Iterator[HubServer]:
    """A Hub that sends all requests on to `server`."""
    with HubServer() as mirror:
        mirror.fault(None, None, Fault.onward(server.endpoint))
        yield mirror


@pytest.mark.parametrize("git_route", ["direct", "resolve-cache"])
async def test_a_mirror_that_sends_everything_on(
    server: HubServer, mirror: HubServer, make_hub: MakeHub, commit: str, git_route: str
) -> None:
    server.world.page_size = 1
    server.world.git_route = git_route
    hub = make_hub(mirror.endpoint, token=TOKEN)
    repo = spec_of("x").repo
    assert await hub.head_commit(repo) == commit
    listing = await hub.list_repo(repo)
    listed = {entry.path: entry.source async for page in listing.pages() for entry in page}
    assert list(listed) == ["config.json", "model.safetensors", "sub/ü #1.json"]
    for path, listed_source in listed.items():
        source, target = await hub.resolve(spec_of(path))
        assert source.same_content(listed_source)
        assert not target.headers
        assert (await hub.locate(spec_of(path), source)).url
    assert all(entry.authorization for entry in mirror.log)
    assert not any(entry.authorization for entry in server.log)


async def test_a_list_that_leads_to_a_third_server_is_not_followed(
    server: HubServer, mirror: HubServer, make_hub: MakeHub, commit: str
) -> None:
    server.fault(REPO, "@tree", Fault.say({"Link": '<http://other.example/api/x>; rel="next"'}))
    listing = await make_hub(mirror.endpoint).list_repo(spec_of("x").repo)
    with pytest.raises(Failure, match="another server"):
        _ = [page async for page in listing.pages()]


async def test_one_host_for_hub_and_storage(server: HubServer, make_hub: MakeHub, commit: str) -> None:
    server.world.storage_on_hub = True
    hub = make_hub(server.endpoint)
    source, target = await hub.resolve(spec_of("model.safetensors"))
    assert (source.commit, source.digest) == (commit, f"sha256:{BIG.sha256}")
    assert target.url.startswith(f"{server.endpoint}/storage/")
    assert (await hub.locate(spec_of("model.safetensors"), source)).url
    assert not [entry for entry in server.log if "/storage/" in entry.path]


async def test_a_hub_that_refuses_the_query(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "@revision", Fault.no_query("expand"))
    assert await hub.head_commit(spec_of("x").repo) == commit
    assert len(server.log) == 2


async def test_redirects_without_end(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.loop())
    assert (await failure(hub)).reason is Reason.HUB_UNAVAILABLE
    assert len(server.log) <= 25


async def test_a_moved_repo_is_found(server: HubServer, hub: Hub, commit: str) -> None:
    server.move(REPO, "new/home")
    source, _ = await hub.resolve(spec_of("config.json"))
    assert source.commit == commit
    assert await hub.head_commit(spec_of("x").repo) == commit


async def test_no_descriptor_for_the_file_of_the_token_is_waited_for(
    server: HubServer, commit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    hub = Hub(server.endpoint, RetryAfter(), RedirectPolicy(server.endpoint), "hfdmd-test")
    source = Source(commit=commit, etag="1" * 40, size_bytes=1, digest=None)
    with no_descriptors(), pytest.raises(Failure) as caught:
        hub.direct(spec_of("config.json"), source)
    assert caught.value.reason is Reason.LOCKED
    assert hub.direct(spec_of("config.json"), source).headers == {"Authorization": f"Bearer {TOKEN}"}


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


@pytest.mark.parametrize(("start", "end"), [(-3, -1), (1, 2)], ids=["expired", "not yet valid"])
async def test_a_certificate_out_of_its_time(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, start: int, end: int
) -> None:
    with HubServer(tls=True) as server:
        server.add_repo(REPO, {"config.json": DATA})
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_path)
        server.renew_certificate(start, end)
        hub = make_hub(server.endpoint)
        refused = await failure(hub)
        assert refused.reason is Reason.NETWORK
        assert "clock" in refused.detail
        server.renew_certificate(-1, 1)
        source, _ = await hub.resolve(spec_of("config.json"))
        assert source.size_bytes == len(DATA)
        await hub.close()
