"""Requests to the Hub: proxies, redirects, tokens and certificates."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.wire.types import Reason
from tests.cache.files import COMMIT, REPO, git_oid, spec_of
from tests.fakehub import Fault, HubServer
from tests.hub.conftest import DATA, TOKEN, MakeHub, failure

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
