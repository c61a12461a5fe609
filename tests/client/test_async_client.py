"""`AsyncClient` against the real daemon: what `Client` does, without blocking the loop."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import pytest

from hfdmd.wire.types import SettingsPatch
from hfdmd_client import (
    AsyncClient,
    DaemonUnreachable,
    Download,
    DownloadFailed,
    End,
    Ready,
    Reason,
    RepoDownload,
    Status,
    Unauthorized,
    UnknownDownload,
    WaitTimeout,
)
from tests.client.conftest import BIG, BIG_BYTES, REPO
from tests.daemon_process import Daemon
from tests.fakehub import HubServer


@pytest.fixture
def client(daemon: Daemon) -> AsyncClient:
    return AsyncClient(socket=daemon.socket)


async def test_twenty_wait_for_the_same_file(client: AsyncClient, hub: HubServer) -> None:
    states: list[Download] = []
    first = client.download(REPO, BIG, on_progress=states.append)
    done = await asyncio.gather(first, *(client.download(REPO, BIG) for _ in range(19)))
    assert {item.id for item in done} == {states[-1].id}
    assert all(item.status is Status.DONE for item in done)
    assert hub.sent_bytes(BIG) == BIG_BYTES


async def test_a_repo(client: AsyncClient) -> None:
    done = await client.download(REPO, include=["*.json"])
    assert isinstance(done, RepoDownload)
    assert done.files_done == 1


async def test_an_async_callback_is_awaited(client: AsyncClient) -> None:
    states = []

    async def remember(state: Download) -> None:
        await asyncio.sleep(0)
        states.append(state.status)

    await client.download(REPO, "config.json", on_progress=remember)
    assert states[-1] is Status.DONE


async def test_failures_and_time_limits(client: AsyncClient, hub: HubServer) -> None:
    with pytest.raises(DownloadFailed) as caught:
        await client.download("owner/none", "x")
    assert caught.value.reason is Reason.REPO_NOT_FOUND
    hub.rate_bytes_per_s = 50_000
    with pytest.raises(WaitTimeout):
        await client.download(REPO, BIG, timeout_s=0.5)
    with pytest.raises(UnknownDownload):
        await client.progress(REPO, "nothing")


async def test_a_time_limit_holds_while_the_hub_is_asked_for_something_newer(
    client: AsyncClient, hub: HubServer
) -> None:
    await client.download(REPO, "config.json")
    hub.freeze()
    async with asyncio.timeout(10):
        with pytest.raises(WaitTimeout):
            await client.download(REPO, "config.json", update=True, timeout_s=0.5)
    hub.thaw()


async def test_every_call(client: AsyncClient, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 100_000
    asked = await client.ask(REPO, BIG)
    assert (await client.pause(REPO)).downloads[0].status is Status.PAUSED
    assert (await client.resume(id=asked.id)).downloads[0].status is not Status.PAUSED
    assert (await client.cancel(all=True)).downloads[0].status is Status.CANCELLED
    assert (await client.retry(REPO, BIG)).downloads[0].status is not Status.CANCELLED
    await client.change_settings(SettingsPatch(max_active_downloads=1))
    assert (await client.settings()).max_active_downloads == 1
    second = await client.ask(REPO, "config.json")
    assert (await client.reorder(id=second.id, priority=3)).downloads[0].priority == 3
    assert len((await client.downloads()).downloads) == 2
    assert len((await client.files(REPO)).files) == 3
    assert (await client.health()).status == "ok"
    assert (await client.info()).pid
    assert "openapi" in await client.openapi()
    assert "hfdmd" in await client.metrics()
    assert len((await client.delete(all=True)).downloads) == 2


async def test_a_watch_goes_on_over_a_kill_of_the_daemon(client: AsyncClient, daemon: Daemon, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 4_000_000
    asked = await client.ask(REPO, BIG)
    ready = 0
    last: object = None
    async with aclosing(client.watch(id=asked.id)) as events:
        async for event in events:
            last = event
            if isinstance(event, Ready):
                ready += 1
                if ready == 1:
                    await asyncio.to_thread(daemon.kill)
                    await asyncio.to_thread(daemon.start)
                    hub.rate_bytes_per_s = 0
    assert ready == 2
    assert last == End(reason="done")


async def test_a_watch_that_is_left_leaves_nothing_behind(client: AsyncClient, daemon: Daemon) -> None:
    before = len(asyncio.all_tasks())
    async with aclosing(client.watch()) as events:
        assert isinstance(await anext(events), Ready)
    assert len(asyncio.all_tasks()) == before

    async def idle() -> None:
        async for _ in client.watch():
            pass

    task = asyncio.create_task(idle())
    await client.info()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_over_tcp_with_the_token(hub: HubServer, home: Path) -> None:
    with Daemon(home, hub.endpoint, HFDMD_LISTEN="127.0.0.1:0") as daemon:
        endpoint = json.loads((daemon.state / "endpoint.json").read_bytes())
        token = next(path for path in daemon.state.iterdir() if "token" in path.name).read_text().strip()
        async with AsyncClient(url=endpoint["url"], token=token) as client:
            assert (await client.download(REPO, "config.json")).status is Status.DONE
        with pytest.raises(Unauthorized):
            await AsyncClient(url=endpoint["url"]).info()


async def test_no_daemon(home: Path) -> None:
    with pytest.raises(DaemonUnreachable, match="no such socket"):
        await AsyncClient(socket=home / "none").info()
