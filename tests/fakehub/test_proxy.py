"""The official client can use the forward proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakehub import HubServer, seeded
from tests.fakehub.official import official
from tests.fakehub.proxy import ForwardProxy

SCRIPT = 'result = open(hf_hub_download("o/n", "model.safetensors"), "rb").read().hex()[:32]'
CONTENT = seeded(2_000_000, 1)


@pytest.mark.parametrize("credentials", [None, "me:secret"])
@pytest.mark.parametrize("tls", [False, True])
def test_the_official_client_through_the_proxy(tmp_path: Path, credentials: str | None, tls: bool) -> None:
    with HubServer(tls=tls) as hub, ForwardProxy(credentials) as proxy:
        hub.add_repo("o/n", {"model.safetensors": CONTENT})
        more = {"SSL_CERT_FILE": hub.ca_path, "HTTPS_PROXY": proxy.url} if tls else {"HTTP_PROXY": proxy.url}
        got = official(SCRIPT, hub.endpoint, tmp_path, NO_PROXY="", **more)
        assert got == CONTENT.read(0, 16).hex()
        assert proxy.asked
        assert {right for *_, right in proxy.asked} == {credentials is not None}
        if tls:
            assert {target for _, target, _ in proxy.asked} == {hub.endpoint[8:], hub.cdn_url[8:]}
        else:
            assert any(target.startswith(hub.cdn_url) for _, target, _ in proxy.asked)


def test_without_its_credentials_nothing_gets_through(tmp_path: Path) -> None:
    with HubServer() as hub, ForwardProxy("me:secret") as proxy:
        hub.add_repo("o/n", {"model.safetensors": CONTENT})
        bare = proxy.url.replace("me:secret@", "")
        asked = 'result = HfApi().model_info("o/n").sha'
        assert "407" in official(asked, hub.endpoint, tmp_path, NO_PROXY="", HTTP_PROXY=bare)["text"]
        assert hub.log == []
