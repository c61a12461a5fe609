"""Direct writes: always the right bytes, and direct wherever the file system supports it."""

from __future__ import annotations

import ctypes
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfdmd.transfer.disk.buffers import HUGE_PAGE_BYTES, aligned_buffer
from hfdmd.transfer.disk.part_file import MIN_DIRECT_BYTES, UNIT_BYTES, PartFile, file_system_of
from tests.fakehub import HubServer
from tests.transfer.bench import MiB, engine_for, file_download

SIZE_BYTES = 4 * MiB


@pytest.fixture(params=["disk", "memory"])
def part(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PartFile]:
    """On the disk that tests run on, and on a file system that never writes directly."""
    folder = tmp_path
    if request.param == "memory":
        folder = Path("/dev/shm")
        if not os.access(folder, os.W_OK):
            pytest.skip("no /dev/shm")
    part = PartFile(folder / f"hfdmd-test-{os.getpid()}.part")
    part.resize(SIZE_BYTES)
    yield part
    part.close()
    part.delete()


def can_write_directly(part: PartFile) -> bool:
    return hasattr(os, "O_DIRECT") and file_system_of(part.path.stat().st_dev) in ("ext4", "xfs")


def placed(content: bytes, offset: int) -> memoryview:
    """In memory as in the file: at the same distance from a page's beginning."""
    lead = offset % UNIT_BYTES
    buffer = aligned_buffer(lead + max(1, len(content)))
    buffer[lead : lead + len(content)] = content
    return buffer[lead : lead + len(content)]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, SIZE_BYTES),
        (UNIT_BYTES, 3 * MiB),
        (1, 3 * MiB + 1),
        (MiB - 1, SIZE_BYTES),
        (5000, MIN_DIRECT_BYTES + 5000),
        (5, 6),
    ],
)
def test_all_bytes_arrive_whatever_their_edges(part: PartFile, start: int, end: int) -> None:
    content = random.Random(start).randbytes(end - start)
    part.write(placed(content, start), start, is_read_back=False)
    whole = part.path.read_bytes()
    assert whole[start:end] == content
    assert not any(whole[:start])
    assert not any(whole[end:])
    units = max(0, end // UNIT_BYTES - -(-start // UNIT_BYTES)) * UNIT_BYTES
    assert part.direct_bytes == (units if can_write_directly(part) and units >= MIN_DIRECT_BYTES else 0)


def test_both_ways_into_the_file_agree(part: PartFile) -> None:
    """Again and again over the same places, read through the page cache in between."""
    chance = random.Random(7)
    truth = bytearray(SIZE_BYTES)
    buffer = aligned_buffer(SIZE_BYTES)
    for _ in range(30):
        start = chance.randrange(SIZE_BYTES - 1)
        end = chance.randrange(start + 1, SIZE_BYTES + 1)
        content = chance.randbytes(end - start)
        truth[start:end] = content
        part.write(placed(content, start), start, is_read_back=chance.random() < 0.5)
        assert part.read_into(buffer, 0) == SIZE_BYTES
        assert buffer == truth
    assert (part.direct_bytes > 0) == can_write_directly(part)


def test_memory_that_cannot_be_written_directly_is_written_all_the_same(part: PartFile) -> None:
    content = random.Random(3).randbytes(2 * MiB)
    data = aligned_buffer(2 * MiB + 1)
    data[1:] = content
    part.write(data[1:], 0, is_read_back=False)
    part.write(placed(content, 2 * MiB), 2 * MiB, is_read_back=False)
    assert part.path.read_bytes() == content + content


def test_the_kind_of_file_system_is_known(tmp_path: Path) -> None:
    if not Path("/proc/self/mountinfo").exists():
        pytest.skip("no /proc/self/mountinfo")
    if Path("/dev/shm").is_mount():
        assert file_system_of(Path("/dev/shm").stat().st_dev) == "tmpfs"
    assert file_system_of(os.makedev(4095, 1)) is None


def test_a_huge_buffer_begins_at_a_huge_page() -> None:
    for _ in range(3):
        buffer = aligned_buffer(HUGE_PAGE_BYTES)
        assert len(buffer) == HUGE_PAGE_BYTES
        assert ctypes.addressof(ctypes.c_char.from_buffer(buffer)) % HUGE_PAGE_BYTES == 0


@pytest.mark.parametrize("synced_bytes", [0, 3 * MiB + 1234])
async def test_a_file_that_comes_in_order_does_not_fill_the_page_cache(
    hub: HubServer, tmp_path: Path, synced_bytes: int
) -> None:
    download = file_download(hub, tmp_path, 24 * MiB)
    parts: list[PartFile] = []

    def open_part(path: Path) -> PartFile:
        parts.append(PartFile(path))
        return parts[-1]

    if synced_bytes:
        download.part.write_bytes(bytes(download.content.view(0, synced_bytes)))
        download.checkpoints.append([(0, synced_bytes)])
    async with engine_for(hub, open_part=open_part, max_connections_per_file=1) as engine:
        await engine.fetch(download.job())
    assert download.is_right()
    if can_write_directly(parts[0]):
        assert parts[0].direct_bytes >= 12 * MiB
