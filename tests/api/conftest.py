"""Fixtures: a Hub and a daemon of one's own, and a pair that a whole module shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import Daemon, new_folder
from tests.fakehub import HubServer, seeded


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A Hub with a small repo `own/small` and a big file in `own/big`."""
    with HubServer() as server:
        fill(server)
        yield server


def fill(server: HubServer) -> None:
    server.add_repo("own/small", {"config.json": b"{}", "sub/a.bin": b"a" * 3000, "b.txt": b"text\n"})
    server.add_repo("own/big", {"model.safetensors": seeded(40_000_000, seed=1)})


@pytest.fixture
def make_daemon(hub: HubServer) -> Iterator[Callable[..., Daemon]]:
    """Daemons that talk to `hub`, each below a folder of its own; killed at the end."""
    with ExitStack() as stack:

        def make(**options: Any) -> Daemon:
            folder = Path(stack.enter_context(new_folder()))
            daemon = Daemon(folder, hub.endpoint, **options)
            stack.callback(daemon.kill)
            return daemon

        yield make


@pytest.fixture
def daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    return make_daemon().start()


@pytest.fixture
def tcp_daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    return make_daemon(tcp=True).start()


@pytest.fixture(scope="module")
def shared_hub() -> Iterator[HubServer]:
    with HubServer() as server:
        fill(server)
        yield server


@pytest.fixture(scope="module")
def shared(shared_hub: HubServer) -> Iterator[Daemon]:
    """A daemon with TCP that the tests of a module share: for those that leave no trace."""
    with new_folder() as folder, Daemon(Path(folder), shared_hub.endpoint, tcp=True) as daemon:
        yield daemon
