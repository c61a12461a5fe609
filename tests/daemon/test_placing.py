"""A stop while a file is being placed: the file is placed, done, and belongs to its download."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from hfdmd.cache.storage import Storage
from hfdmd.lifecycle import Stimulus
from hfdmd.wire.types import Selector, Status
from tests.daemon.repo import REPO
from tests.daemon.test_loading import at_work, opened
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded


@pytest.mark.parametrize("action", [Stimulus.PAUSE, Stimulus.CANCEL])
@pytest.mark.parametrize(("file", "entrance"), [("model.bin", "place"), ("small.json", "place_small")])
async def test_what_is_being_placed_is_done(
    hub: HubServer,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    entrance: str,
    action: Stimulus,
) -> None:
    hub.add_repo(REPO, {"model.bin": seeded(400_000, seed=1), "small.json": b"{}"})
    hub.freeze()
    key = (await asyncio.to_thread(daemon.download, REPO, file)).json["id"]
    daemon.kill()
    hub.break_connections()
    hub.thaw()
    placed, go = threading.Event(), threading.Event()
    real = getattr(Storage, entrance)

    def place(*arguments: Any) -> Any:
        result = real(*arguments)
        placed.set()
        go.wait(20)
        return result

    monkeypatch.setattr(Storage, entrance, place)
    scheduler = await opened(daemon)
    async with at_work(scheduler):
        assert await asyncio.to_thread(placed.wait, 20)
        acting = asyncio.create_task(scheduler.actions.act(action, Selector(id=key)))
        await asyncio.to_thread(until, lambda: key in scheduler.running.stopping, "it is being stopped")
        go.set()
        (view,) = (await acting).downloads
        assert view.status is Status.DONE
        assert view.path is not None
        assert await asyncio.to_thread(os.path.exists, view.path)
        await scheduler.actions.delete(Selector(id=key), delete_file=True)
        assert not await asyncio.to_thread(os.path.exists, view.path)
