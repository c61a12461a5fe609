"""A whole fetch against the test Hub, with real sockets and a real disk."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.wire.types import Reason
from tests.fakehub import HubServer
from tests.transfer.bench import FILE, MiB, cancelled, engine_for, file_download, signed_url, until


async def test_fetches_a_large_file_over_many_connections(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 40 * MiB)
    async with engine_for(hub) as engine:
        job = download.job()
        fetched = await engine.fetch(job)
    assert fetched.size_bytes == 40 * MiB
    assert fetched.digest == download.digest
    assert download.is_right()
    assert download.synced == [(0, 40 * MiB)]
    assert job.meter.downloaded_bytes == 40 * MiB
    assert len({request.range for request in hub.requests("cdn", "GET")}) > 4


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, MiB, MiB + 1, 5 * MiB - 1])
async def test_fetches_files_of_awkward_sizes(hub: HubServer, tmp_path: Path, size: int) -> None:
    download = file_download(hub, tmp_path, size)
    async with engine_for(hub) as engine:
        fetched = await engine.fetch(download.job())
    assert fetched.size_bytes == size
    assert download.part.stat().st_size == size
    assert download.is_right()


async def test_verifies_a_git_blob(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 3 * MiB)
    download.digest = f"git-sha1:{download.content.git_sha1}"
    async with engine_for(hub) as engine:
        fetched = await engine.fetch(download.job())
    assert fetched.digest == download.digest


async def test_fetches_without_a_digest(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 3 * MiB, digest=None)
    async with engine_for(hub) as engine:
        fetched = await engine.fetch(download.job())
    assert fetched.digest is None
    assert download.is_right()


async def test_resumes_with_exactly_what_is_missing(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 20 * MiB)
    download.part.write_bytes(
        download.content.read(0, 9 * MiB) + b"?" * MiB + download.content.read(10 * MiB, 12 * MiB)
    )
    download.checkpoints.append([(0, 9 * MiB), (10 * MiB, 12 * MiB)])
    async with engine_for(hub) as engine:
        await engine.fetch(download.job())
    assert download.is_right()
    assert hub.sent_bytes(FILE) == 20 * MiB - 11 * MiB


async def test_a_claim_beyond_the_part_file_is_not_believed(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    download = file_download(hub, tmp_path, 4 * MiB)
    download.part.write_bytes(download.content.read(0, MiB))
    download.checkpoints.append([(0, 3 * MiB)])
    async with engine_for(hub) as engine:
        await engine.fetch(download.job())
    assert download.is_right()
    assert f"{download.part} has lost {2 * MiB} synced bytes; they are fetched again" in caplog.messages


async def test_a_symlink_is_not_written_through(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, MiB)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    download.part.symlink_to(victim)
    async with engine_for(hub) as engine:
        with pytest.raises(Failure) as failed:
            await engine.fetch(download.job())
    assert failed.value.reason is Reason.DISK_ERROR
    assert victim.read_bytes() == b"precious"


async def test_after_a_cancel_not_a_byte_more_is_read(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 40 * MiB)
    hub.rate_bytes_per_s = 8 * MiB
    async with engine_for(hub) as engine:
        job = download.job()
        task = asyncio.create_task(engine.fetch(job))
        await until(lambda: job.meter.downloaded_bytes > 2 * MiB)
        await cancelled(task)
        kept = job.meter.downloaded_bytes
        assert sum(end - start for start, end in download.synced) == kept
        await until(lambda: not any(request.open for request in hub.log))
        before = hub.sent_bytes(FILE)
        content = download.part.read_bytes()
        hub.rate_bytes_per_s = 0
        await asyncio.sleep(0.2)
        assert hub.sent_bytes(FILE) == before
        assert download.part.read_bytes() == content
        assert job.meter.downloaded_bytes == kept
        await engine.fetch(download.job())
    assert download.is_right()


async def test_a_small_file_comes_into_memory(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 50_000)
    async with engine_for(hub) as engine:
        data = await engine.fetch_small(download.job())
    assert hashlib.sha256(data).hexdigest() == download.content.sha256
    assert not download.part.exists()


async def test_many_small_files_share_few_connections(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 20_000)
    url = signed_url(hub, FILE)
    async with engine_for(hub, max_connections=8) as engine:

        async def one(number: int) -> bytes:
            return await engine.fetch_small(download.job(id=str(number)))

        parts = await asyncio.gather(*(one(number) for number in range(100)))
    assert all(hashlib.sha256(part).hexdigest() == download.content.sha256 for part in parts)
    assert url
    assert len({request.connection for request in hub.requests("cdn")}) <= 8
