"""Requests go through the proxy that the environment names, with its own credentials."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from hfdmd.failure import Failure
from hfdmd.wire.types import Reason
from tests.cache.files import COMMIT, spec_of
from tests.hub.conftest import TOKEN, MakeHub

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
