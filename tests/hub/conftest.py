"""Fixtures of the Hub client: the test Hub, clients of it, and a cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from hfdmd.cache.storage import Storage
from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.net.origin import RedirectPolicy
from hfdmd.net.retry_after import RetryAfter
from tests.cache.files import REPO, spec_of
from tests.fakehub import HubServer, seeded

TOKEN = "hf_secretsecretsecret"
DATA = b'{"a": 1}'
BIG = seeded(3_000_000, seed=7)

MakeHub = Callable[..., Hub]


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as hub:
        yield hub


@pytest.fixture
async def make_hub() -> AsyncIterator[MakeHub]:
    """Makes Hubs for an endpoint, and closes them."""
    made: list[Hub] = []

    def make(endpoint: str, *, token: str | None = None, allow_unverified: bool = False) -> Hub:
        hub = Hub(
            endpoint,
            RetryAfter(),
            RedirectPolicy(endpoint),
            "hfdmd-test",
            token=lambda: token,
            allow_unverified=lambda: allow_unverified,
        )
        made.append(hub)
        return hub

    yield make
    for hub in made:
        await hub.close()


@pytest.fixture
async def hub(server: HubServer, make_hub: MakeHub) -> Hub:
    return make_hub(server.endpoint)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(tmp_path / "hub")
    storage.prepare()
    return storage


@pytest.fixture
def commit(server: HubServer) -> str:
    return server.add_repo(REPO, {"config.json": DATA, "model.safetensors": BIG, "sub/ü #1.json": b"x"})


async def failure(hub: Hub, path: str = "config.json", **more: str) -> Failure:
    with pytest.raises(Failure) as caught:
        await hub.resolve(spec_of(path, **more))  # type: ignore[arg-type]
    assert TOKEN not in caught.value.detail
    return caught.value
