"""A whole fetch against the test Hub, with real sockets and a real disk."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.wire.types import Reason
from tests.fakehub import HubServer
from tests.transfer.bench import FILE, MiB, cancelled, desk, engine_for, signed_url, until


async def test_fetches_a_large_file_over_many_connections(hub: HubServer, tmp_path: Path) -> None:
    at = desk(hub, tmp_path, 40 * MiB)
    async with engine_for(hub) as engine:
        job = at.job()
        fetched = await engine.fetch(job)
    assert fetched.size_bytes == 40 * MiB
    assert fetched.digest == at.digest
    assert at.is_right()
    assert at.synced == [(0, 40 * MiB)]
    assert job.meter.downloaded_bytes == 40 * MiB
    assert len({request.range for request in hub.requests("cdn", "GET")}) > 4


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, MiB, MiB + 1, 5 * MiB - 1])
async def test_fetches_files_of_awkward_sizes(hub: HubServer, tmp_path: Path, size: int) -> None:
    at = desk(hub, tmp_path, size)
    async with engine_for(hub) as engine:
        fetched = await engine.fetch(at.job())
    assert fetched.size_bytes == size
    assert at.part.stat().st_size == size
    assert at.is_right()


async def test_verifies_a_git_blob(hub: HubServer, tmp_path: Path) -> None:
    at = desk(hub, tmp_path, 3 * MiB)
    at.digest = f"git-sha1:{at.content.git_sha1}"
    async with engine_for(hub) as engine:
        fetched = await engine.fetch(at.job())
    assert fetched.digest == at.digest


async def test_fetches_without_a_digest(hub: HubServer, tmp_path: Path) -> None:
    at = desk(hub, tmp_path, 3 * MiB, digest=None)
    async with engine_for(hub) as engine:
        fetched = await engine.fetch(at.job())
    assert fetched.digest is None
    assert at.is_right()


async def test_resumes_with_exactly_what_is_missing(hub: HubServer, tmp_path: Path) -> None:
    at = desk(hub, tmp_path, 20 * MiB)
    at.part.write_bytes(at.content.read(0, 9 * MiB) + b"?" * MiB + at.content.read(10 * MiB, 12 * MiB))
    at.claims.append([(0, 9 * MiB), (10 * MiB, 12 * MiB)])
    async with engine_for(hub) as engine:
        await engine.fetch(at.job())
    assert at.is_right()
    assert hub.sent_bytes(FILE) == 20 * MiB - 11 * MiB


async def test_a_claim_beyond_the_part_file_is_not_believed(hub: HubServer, tmp_path: Path) -> None:
    at = desk(hub, tmp_path, 4 * MiB)
    at.part.write_bytes(at.content.read(0, MiB))
    at.claims.append([(0, 3 * MiB)])
    async with engine_for(hub) as engine:
        await engine.fetch(at.job())
    assert at.is_right()


async def test_a_symlink_is_not_written_through(hub: HubServer, tmp_path: Path) -> None:
    at = desk(hub, tmp_path, MiB)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    at.part.symlink_to(victim)
    async with engine_for(hub) as engine:
        with pytest.raises(Failure) as failed:
            await engine.fetch(at.job())
    assert failed.value.reason is Reason.DISK_ERROR
    assert victim.read_bytes() == b"precious"


async def test_after_a_cancel_not_a_byte_more_is_read(hub: HubServer, tmp_path: Path) -> None:
    at = desk(hub, tmp_path, 40 * MiB)
    hub.rate_bytes_per_s = 8 * MiB
    async with engine_for(hub) as engine:
        job = at.job()
        task = asyncio.create_task(engine.fetch(job))
        await until(lambda: job.meter.downloaded_bytes > 2 * MiB)
        await cancelled(task)
        kept = job.meter.downloaded_bytes
        assert sum(end - start for start, end in at.synced) == kept
        await until(lambda: not any(request.open for request in hub.log))
        before = hub.sent_bytes(FILE)
        content = at.part.read_bytes()
        hub.rate_bytes_per_s = 0
        await asyncio.sleep(0.2)
        assert hub.sent_bytes(FILE) == before
        assert at.part.read_bytes() == content
        assert job.meter.downloaded_bytes == kept
        await engine.fetch(at.job())
    assert at.is_right()


async def test_a_small_file_comes_into_memory(hub: HubServer, tmp_path: Path) -> None:
    at = desk(hub, tmp_path, 50_000)
    async with engine_for(hub) as engine:
        data = await engine.fetch_small(at.job())
    assert hashlib.sha256(data).hexdigest() == at.content.sha256
    assert not at.part.exists()


async def test_many_small_files_share_few_connections(hub: HubServer, tmp_path: Path) -> None:
    at = desk(hub, tmp_path, 20_000)
    url = signed_url(hub, FILE)
    async with engine_for(hub, max_connections=8) as engine:

        async def one(number: int) -> bytes:
            return await engine.fetch_small(at.job(id=str(number)))

        parts = await asyncio.gather(*(one(number) for number in range(100)))
    assert all(hashlib.sha256(part).hexdigest() == at.content.sha256 for part in parts)
    assert url
    assert len({request.connection for request in hub.requests("cdn")}) <= 8
