"""Transfers on full, broken, slow and hanging disks."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.transfer.disk.part_file import PartFile
from hfdmd.wire.types import Reason
from tests.fakehub import HubServer
from tests.scarcity import no_descriptors
from tests.transfer.bench import FILE, MiB, cancelled, engine_for, file_download, limits, until


class FullDisk(PartFile):
    """A disk that is full after a number of bytes."""

    room = 3 * MiB
    error = errno.ENOSPC

    def write(self, data: memoryview, offset: int, *, is_read_back: bool = True) -> None:
        if offset + len(data) > self.room:
            raise OSError(self.error, os.strerror(self.error))
        super().write(data, offset, is_read_back=is_read_back)


class BrokenDisk(FullDisk):
    error = errno.EIO


class FailingSync(PartFile):
    def sync(self) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


class SlowDisk(PartFile):
    """Its writes wait until they are let go."""

    gate = threading.Event()

    def write(self, data: memoryview, offset: int, *, is_read_back: bool = True) -> None:
        self.gate.wait()
        super().write(data, offset, is_read_back=is_read_back)


@contextmanager
def hanging_disk() -> Iterator[None]:
    """Writes of every SlowDisk wait; they go on at the end, also when the test fails: its engine waits for them."""
    SlowDisk.gate.clear()
    try:
        yield
    finally:
        SlowDisk.gate.set()


@pytest.mark.parametrize(
    ("part", "reason"),
    [(FullDisk, Reason.DISK_FULL), (BrokenDisk, Reason.DISK_ERROR), (FailingSync, Reason.DISK_ERROR)],
)
async def test_an_error_of_the_disk_is_told_as_what_it_is(
    hub: HubServer, tmp_path: Path, part: type[PartFile], reason: Reason
) -> None:
    download = file_download(hub, tmp_path, 12 * MiB)
    hub.rate_bytes_per_s = 12 * MiB
    async with engine_for(hub, open_part=part) as engine:
        with pytest.raises(Failure) as failed:
            await engine.fetch(download.job())
    assert failed.value.reason is reason
    assert sum(end - start for start, end in download.synced) <= FullDisk.room


async def test_a_full_disk_goes_on_where_it_stopped(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 12 * MiB)
    hub.rate_bytes_per_s = 12 * MiB
    async with engine_for(hub, open_part=FullDisk) as engine:
        with pytest.raises(Failure):
            await engine.fetch(download.job())
    kept = sum(end - start for start, end in download.synced)
    hub.rate_bytes_per_s = 0
    hub.clear_log()
    async with engine_for(hub) as engine:
        await engine.fetch(download.job())
    assert download.is_right()
    assert hub.sent_bytes(FILE) == 12 * MiB - kept


async def test_a_slow_disk_holds_the_readers_and_not_the_loop(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 100 * MiB)
    async with engine_for(hub, open_part=SlowDisk, stall_timeout_s=20.0) as engine:
        job = download.job()
        with hanging_disk():
            task = asyncio.create_task(engine.fetch(job))
            await until(lambda: job.meter.downloaded_bytes > 4 * MiB)  # sixteen connections have 8 MiB of buffers
            before = -1
            while job.meter.downloaded_bytes != before:  # until all buffers are full
                before = job.meter.downloaded_bytes
                await asyncio.sleep(0.3)
            assert before <= 50 * MiB, "more is in memory than the buffers hold"
            assert engine.unresponsive_s() >= 0.0
            engine.apply(limits(stall_timeout_s=0.5))
            await asyncio.sleep(0.7)  # longer than the stall timeout: it is not the network that stalls
            assert not task.done()
            engine.apply(limits(stall_timeout_s=20.0))
        await task
    assert download.is_right()


async def test_a_cancel_waits_for_the_threads(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 20 * MiB)
    async with engine_for(hub, open_part=SlowDisk) as engine:
        job = download.job()
        with hanging_disk():
            task = asyncio.create_task(engine.fetch(job))
            await until(lambda: job.meter.downloaded_bytes > MiB)
            task.cancel()
            await asyncio.sleep(0.1)
            task.cancel()  # an impatient caller changes nothing
            await asyncio.sleep(0.1)
            assert not task.done()
        await cancelled(task)
        assert sum(end - start for start, end in download.synced) == job.meter.downloaded_bytes


async def test_a_hanging_disk_shows_in_the_beat(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 20 * MiB)
    async with engine_for(hub, open_part=SlowDisk) as engine:
        with hanging_disk():
            jobs = [download.job(id=str(n), part=tmp_path / str(n)) for n in range(4)]
            tasks = [asyncio.create_task(engine.fetch(job)) for job in jobs]
            await until(lambda: engine.unresponsive_s() > 0.2)
        await asyncio.gather(*tasks)
        await until(lambda: engine.unresponsive_s() < 0.1)


async def test_a_folder_that_is_not_there(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, MiB)
    async with engine_for(hub) as engine:
        with pytest.raises(Failure) as failed:
            await engine.fetch(download.job(part=tmp_path / "nowhere" / "file.part"))
    assert failed.value.reason is Reason.DISK_ERROR


@pytest.mark.skipif(sys.platform != "linux", reason="it goes by /proc")
def test_a_sync_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test can observe only the calls."""
    told: list[str] = []
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        told.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    part = PartFile(tmp_path / "part")
    part.write(memoryview(b"bytes"), 0)
    assert told == []
    part.sync()
    assert told == [str(tmp_path / "part")]
    part.close()


async def test_no_descriptor_for_a_moment_is_waited_for(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 3 * MiB)
    async with engine_for(hub) as engine:
        with no_descriptors(), pytest.raises(Failure) as failed:
            await engine.fetch(download.job())
        assert failed.value.reason is Reason.LOCKED
        assert not failed.value.is_final
        assert "Too many open files" in failed.value.detail
        await engine.fetch(download.job())
    assert download.is_right()
