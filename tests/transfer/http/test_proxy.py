"""Through an HTTP proxy: absolute-form for http, a tunnel for https, credentials for the proxy alone."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.net.origin import Target
from hfdmd.wire.types import Reason
from tests.fakehub import HubServer
from tests.transfer.bench import FILE, MiB, engine_for, file_download, signed_url


class Relay:
    """A small proxy that remembers the heads that it was sent."""

    def __init__(self, refuse: str | None = None) -> None:
        self.heads: list[str] = []
        self.refuse = refuse
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            method, target, _ = head.split(" ", 2)
            if self.refuse:
                writer.write(f"HTTP/1.1 {self.refuse}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            address = target.removeprefix("http://").split("/")[0]
            host, _, port = address.rpartition(":")
            there, to_there = await asyncio.open_connection(host, int(port))
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = "/" + target.removeprefix("http://").partition("/")[2]
                to_there.write(head.replace(target, path, 1).encode("latin-1"))
            await asyncio.gather(self._pipe(reader, to_there), self._pipe(there, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client closed the connection
        finally:
            writer.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


@pytest.fixture
async def relay(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    relay = Relay()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    relay.url = f"http://me:secret@127.0.0.1:{port}"
    monkeypatch.setenv("HTTP_PROXY", relay.url)
    monkeypatch.setenv("HTTPS_PROXY", relay.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    yield relay
    server.close()
    await server.wait_closed()


async def test_http_in_absolute_form(hub: HubServer, tmp_path: Path, relay: Relay) -> None:
    download = file_download(hub, tmp_path, 200_000)

    async def locate() -> Target:
        return Target(url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urllib.request, "getproxies", dict)
        url = await asyncio.to_thread(signed_url, hub, FILE)
    async with engine_for(hub) as engine:
        await engine.fetch_small(download.job(locate=locate))
    assert relay.heads[0].startswith(f"GET {hub.cdn_url}/")
    assert (
        "Proxy-Authorization: Basic bWU6c2VjcmV0" in relay.heads[0] or "proxy-authorization" in relay.heads[0].lower()
    )


async def test_https_through_a_tunnel(tmp_path: Path, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubServer(tls=True) as hub:
        download = file_download(hub, tmp_path, 3 * MiB)
        monkeypatch.setenv("SSL_CERT_FILE", hub.ca_path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(urllib.request, "getproxies", dict)
            url = await asyncio.to_thread(signed_url, hub, FILE)

        async def locate() -> Target:
            return Target(url, {"Authorization": "Bearer hf_secret"})

        async with engine_for(hub) as engine:
            await engine.fetch(download.job(locate=locate))
        assert download.is_right()
    assert all(head.startswith("CONNECT 127.0.0.1:") for head in relay.heads)
    assert not any("hf_secret" in head for head in relay.heads)
    assert all("Proxy-Authorization: Basic bWU6c2VjcmV0" in head for head in relay.heads)


async def test_a_proxy_that_refuses_is_the_network(
    tmp_path: Path, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay.refuse = "407 Proxy Authentication Required"
    with HubServer() as hub:
        download = file_download(hub, tmp_path, MiB)

        async def locate() -> Target:
            return Target("https://127.0.0.1:1/file")

        async with engine_for(hub, stall_timeout_s=1.0) as engine:
            with pytest.raises(Failure) as failed:
                await engine.fetch(download.job(locate=locate))
    assert failed.value.reason is Reason.NETWORK
    assert "407" in failed.value.detail
    assert "secret" not in failed.value.detail
