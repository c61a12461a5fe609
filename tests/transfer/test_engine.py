"""After the last transfer the engine keeps nothing and does not wake up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hfdmd.transfer import engine as engine_module
from hfdmd.transfer.http import pool
from tests.fakehub import HubServer
from tests.transfer.bench import MiB, engine_for, file_download


def keepers() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if "_housekeeping" in repr(task.get_coro())]


async def test_an_engine_without_work_never_wakes_up(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "IDLE_S", 0.2)
    monkeypatch.setattr(engine_module, "HOUSEKEEPING_S", 0.01)
    download = file_download(hub, tmp_path, 3 * MiB)
    async with engine_for(hub) as engine:
        for n in range(2):
            await engine.fetch(download.job(part=tmp_path / str(n), synced=[]))
            keeper = keepers()
            assert len(keeper) == 1
            async with asyncio.timeout(20.0):
                await keeper[0]
            assert not keepers()
