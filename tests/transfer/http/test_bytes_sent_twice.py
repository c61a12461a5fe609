"""Received bytes are not requested again after a pause or a server's fault, and no server is flooded with requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.wire.types import Reason
from tests.fakehub import Fault, HubServer
from tests.transfer.bench import (
    FILE,
    REPO,
    FileDownload,
    MiB,
    cancelled,
    engine_for,
    file_download,
    limits,
    unread_bytes,
    until,
)

SIZE = 24 * MiB


async def half(hub: HubServer, folder: Path) -> FileDownload:
    """A file with some bytes checkpointed, and the server's rate unlimited again."""
    download = file_download(hub, folder, SIZE)
    hub.rate_bytes_per_s = 8 * MiB
    async with engine_for(hub) as engine:
        job = download.job()
        fetching = asyncio.create_task(engine.fetch(job))
        await until(lambda: job.meter.downloaded_bytes > 6 * MiB)
        await cancelled(fetching)
    hub.rate_bytes_per_s = 0
    assert 5 * MiB < claimed(download) < 20 * MiB
    return download


def claimed(download: FileDownload) -> int:
    return sum(end - start for start, end in download.synced)


@pytest.mark.parametrize("bandwidth", [2 * MiB, 16 * MiB, 40 * MiB])
async def test_a_pause_under_a_limit_keeps_what_has_come_to_this_machine(
    hub: HubServer, tmp_path: Path, bandwidth: int
) -> None:
    """How much of it one connection keeps is exact in test_connection.py."""
    download = file_download(hub, tmp_path, 192 * MiB)
    hub.latency_s = 0.06  # a distant server gets all connections, each with its own buffer in the kernel
    async with engine_for(hub, bandwidth_bytes_per_s=bandwidth) as engine:
        job = download.job()
        fetching = asyncio.create_task(engine.fetch(job))
        await until(lambda: job.meter.downloaded_bytes > bandwidth)
        assert 0 < unread_bytes(engine) < bandwidth * 1.5, "the kernel runs far ahead of the limit"
        await cancelled(fetching)
    assert claimed(download) == job.meter.received_bytes


@pytest.mark.parametrize("far", [False, True], ids=["one connection", "many connections"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_what_a_server_sent_ahead_of_a_limit_is_not_sent_again_after_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, far: bool
) -> None:
    """asyncio's TLS held up to half a MiB per connection, which each pause lost: 2.09 times the file was sent."""
    with HubServer(tls=scheme == "https") as hub:
        if scheme == "https":
            monkeypatch.setenv("SSL_CERT_FILE", hub.ca_path)
        download = file_download(hub, tmp_path, 32 * MiB)
        hub.rate_bytes_per_s = 500e6  # far above the limit
        hub.latency_s = 0.03 if far else 0.0
        async with engine_for(hub, bandwidth_bytes_per_s=16 * MiB) as engine:
            for _ in range(6):
                job = download.job()
                fetching = asyncio.create_task(engine.fetch(job))
                await until(lambda: job.meter.received_bytes > 3 * MiB)  # noqa: B023 - awaited here
                await cancelled(fetching)
            had = claimed(download)
            await until(lambda: hub.sent_bytes(FILE) <= 1.2 * had)  # the Hub notices late
            engine.apply(limits())
            await engine.fetch(download.job())
        assert download.is_right()


@pytest.mark.slow
async def test_many_pauses_under_a_limit_keep_what_has_come_to_this_machine(hub: HubServer, tmp_path: Path) -> None:
    """Some connections have just started, and wait for the limit with bytes that arrived with the head."""
    download = file_download(hub, tmp_path, 256 * MiB)
    hub.latency_s = 0.03
    lost = 0
    async with engine_for(hub, bandwidth_bytes_per_s=16 * MiB) as engine:
        for _ in range(12):
            job = download.job()
            fetching = asyncio.create_task(engine.fetch(job))
            await until(lambda: job.meter.received_bytes > 2 * MiB)  # noqa: B023 - awaited here
            unread, had = unread_bytes(engine), job.meter.received_bytes
            await cancelled(fetching)
            lost += max(0, unread - (job.meter.received_bytes - had))
    assert lost <= 0.08 * claimed(download), f"{lost} bytes had come and are not kept, of {claimed(download)}"


async def test_a_limit_that_comes_late_and_a_pause_keep_what_has_come(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 192 * MiB)
    hub.latency_s = 0.06
    async with engine_for(hub) as engine:
        job = download.job()
        fetching = asyncio.create_task(engine.fetch(job))
        await until(lambda: job.meter.downloaded_bytes > 24 * MiB)
        engine.apply(limits(bandwidth_bytes_per_s=MiB))
        await until(lambda: unread_bytes(engine) > MiB)
        await cancelled(fetching)
    assert claimed(download) == job.meter.received_bytes


async def test_a_pause_waits_no_longer_for_a_line_that_is_silent(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)
    hub.fault(REPO, FILE, Fault.stall(after=MiB, times=None))
    async with engine_for(hub, stall_timeout_s=30.0) as engine:
        job = download.job()
        fetching = asyncio.create_task(engine.fetch(job))
        await until(lambda: job.meter.downloaded_bytes >= MiB)
        began = time.monotonic()
        await cancelled(fetching)
        assert time.monotonic() - began < 10.0  # the window is 15 s


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(400, times=4),
        Fault.status(451, times=4),
        Fault.say({"Content-Encoding": "br"}, times=4, on="body"),
        Fault.range_refused(times=4),
        Fault("status", code=200, text="<html>maintenance</html>", times=4),
    ],
    ids=["400", "451", "coded", "416", "a page instead"],
)
async def test_a_server_out_of_order_costs_no_byte_that_is_there(hub: HubServer, tmp_path: Path, fault: Fault) -> None:
    download = await half(hub, tmp_path)
    had = claimed(download)
    hub.fault(REPO, FILE, fault)
    async with engine_for(hub) as engine:
        with pytest.raises(Failure) as failed:
            await engine.fetch(download.job())
        assert failed.value.reason is Reason.HUB_UNAVAILABLE
        assert not failed.value.is_final
        assert claimed(download) >= had
        hub.clear_faults()
        await engine.fetch(download.job())
    assert download.is_right()
    assert [] not in download.checkpoints
    assert download.sent_twice < MiB


async def test_one_answer_with_all_of_the_file_costs_no_byte_that_is_there(hub: HubServer, tmp_path: Path) -> None:
    download = await half(hub, tmp_path)
    hub.fault(REPO, FILE, Fault.whole(times=1))
    async with engine_for(hub) as engine:
        await engine.fetch(download.job())
    assert download.is_right()
    assert [] not in download.checkpoints
    assert download.sent_twice < 8 * MiB  # what that response had sent when it was refused


async def test_a_server_that_serves_no_ranges_any_more_is_asked_for_all(hub: HubServer, tmp_path: Path) -> None:
    download = await half(hub, tmp_path)
    prefix, before = download.synced[0], len(download.checkpoints)
    hub.fault(REPO, FILE, Fault.whole(times=None))
    async with engine_for(hub) as engine:
        job = download.job()
        await engine.fetch(job)
    assert download.is_right()
    assert job.meter.started_over
    assert all(checkpoint[0][1] >= prefix[1] for checkpoint in download.checkpoints[before:]), (
        "what is there stays while it is sent again"
    )


@pytest.mark.parametrize("break_off", [Fault.hangup, Fault.fin], ids=["at once", "at the first byte"])
async def test_a_server_that_loses_its_ranges_and_goes_away_costs_no_byte_that_is_there(
    hub: HubServer, tmp_path: Path, break_off: Callable[..., Fault]
) -> None:
    download = await half(hub, tmp_path)
    prefix = download.synced[0]
    hub.fault(REPO, FILE, Fault.whole(times=4), break_off(times=None).passing(4))
    async with engine_for(hub, stall_timeout_s=2.0) as engine:
        with pytest.raises(Failure):
            await engine.fetch(download.job())
        assert download.synced[0][1] >= prefix[1]
        hub.clear_faults()
        await engine.fetch(download.job())
    assert download.is_right()


async def test_a_page_that_is_sent_for_everything_harms_no_byte_that_is_there(hub: HubServer, tmp_path: Path) -> None:
    """As hotel and company networks do when a login has expired."""
    download = await half(hub, tmp_path)
    prefix = download.synced[0]
    hub.fault(REPO, FILE, Fault.instead(b"<p>Please log in.</p>" * 1000, times=None, on="body"), Fault.chunked())
    async with engine_for(hub) as engine:
        with pytest.raises(Failure) as failed:
            await engine.fetch(download.job())
        assert failed.value.reason is Reason.HUB_UNAVAILABLE
        assert download.synced[0][1] >= prefix[1]
        had = hub.sent_bytes(FILE)
        hub.clear_faults()
        await engine.fetch(download.job())
    assert download.is_right()
    assert hub.sent_bytes(FILE) - had <= SIZE - prefix[1] + MiB


async def test_a_part_file_that_is_gone_is_not_claimed_any_more(hub: HubServer, tmp_path: Path) -> None:
    download = await half(hub, tmp_path)
    download.part.unlink()
    hub.freeze()
    async with engine_for(hub) as engine:
        fetching = asyncio.create_task(engine.fetch(download.job()))
        await until(lambda: download.part.exists() and download.part.stat().st_size == SIZE)
        assert download.synced == [], "what is claimed by now is a hole"
        await cancelled(fetching)
    hub.break_connections()
    hub.thaw()


@pytest.mark.parametrize("size", [SIZE, 20_000], ids=["large", "small"])
@pytest.mark.parametrize("after", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_a_server_that_says_at_once_is_not_hammered(
    hub: HubServer, tmp_path: Path, after: str, size: int
) -> None:
    download = file_download(hub, tmp_path, size)
    hub.fault(REPO, FILE, Fault("status", code=503, headers={"Retry-After": after}, times=None))
    async with engine_for(hub, stall_timeout_s=2.0) as engine:
        with pytest.raises(Failure) as failed:
            await (engine.fetch(download.job()) if size == SIZE else engine.fetch_small(download.job()))
    assert failed.value.reason is Reason.HUB_UNAVAILABLE
    assert len(hub.requests(file=FILE)) < 60


async def test_a_stricter_limit_holds_at_once(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 256 * MiB)
    hub.latency_s = 0.03
    hub.rate_bytes_per_s = 60 * MiB
    async with engine_for(hub, stall_timeout_s=30.0) as engine:
        job = download.job()
        fetching = asyncio.create_task(engine.fetch(job))
        await until(lambda: job.meter.downloaded_bytes > 24 * MiB)
        engine.apply(limits(bandwidth_bytes_per_s=100_000, stall_timeout_s=30.0))
        had, began = job.meter.received_bytes, time.monotonic()
        await asyncio.sleep(3.0)
        got, took_s = job.meter.received_bytes - had, time.monotonic() - began
        engine.apply(limits())
        await cancelled(fetching)
    assert got < 100_000 * took_s * 1.05 + 20_000, f"{got} bytes in {took_s:.2f} s"


@pytest.mark.parametrize("size", [SIZE, None], ids=["a known size", "a size that nobody knows"])
async def test_a_server_without_ranges_that_always_breaks_off_is_left_alone_for_a_while(
    hub: HubServer, tmp_path: Path, size: int | None
) -> None:
    download = file_download(hub, tmp_path, SIZE, size_bytes=size)
    hub.fault(REPO, FILE, Fault.whole(times=None), Fault.fin(after=SIZE * 9 // 10, times=None))
    async with engine_for(hub) as engine:
        for _ in range(2):
            had, job = hub.sent_bytes(FILE), download.job()
            with pytest.raises(Failure) as failed:
                await engine.fetch(job)
            assert failed.value.reason is Reason.HUB_UNAVAILABLE
            assert job.meter.started_over
            assert hub.sent_bytes(FILE) - had <= 2.5 * SIZE
        hub.clear_faults()
        await engine.fetch(download.job())
    assert download.is_right()


async def test_a_second_mismatch_is_the_second_also_after_a_pause(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)
    hub.fault(REPO, FILE, Fault.corrupt(offset=5 * MiB, times=None))
    async with engine_for(hub) as engine:
        hub.rate_bytes_per_s = 40 * MiB
        fetching = asyncio.create_task(engine.fetch(download.job()))
        await until(lambda: [] in download.checkpoints and claimed(download) > MiB)
        await cancelled(fetching)
        hub.rate_bytes_per_s = 0
        with pytest.raises(Failure) as failed:
            await engine.fetch(download.job())
    assert failed.value.reason is Reason.HASH_MISMATCH
    assert hub.sent_bytes(FILE) < 2.2 * SIZE
