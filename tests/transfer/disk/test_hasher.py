"""The streaming hash: from buffers that are fed in order, else from the file, always the same digest."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hfdmd.transfer.disk.hasher import READ_BYTES, SPAN_BYTES, StreamingHasher
from hfdmd.transfer.disk.part_file import IoThreads, PartFile

PIECE_BYTES = 64 * 1024
CONTENT = bytes(range(256)) * 4096  # 1 MiB
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Reading(PartFile):
    """Counts the bytes that were read back."""

    read_bytes = 0

    def read_into(self, buffer: memoryview, offset: int) -> int:
        count = super().read_into(buffer, offset)
        self.read_bytes += count
        return count


def pieces() -> list[tuple[memoryview, int]]:
    view = memoryview(CONTENT)
    return [(view[at : at + PIECE_BYTES], at) for at in range(0, len(CONTENT), PIECE_BYTES)]


async def test_what_is_offered_in_order_is_not_read_back(tmp_path: Path) -> None:
    part, io_threads = Reading(tmp_path / "part"), IoThreads()
    hasher = StreamingHasher(part, DIGEST, len(CONTENT), io_threads)
    returned: list[int] = []
    for data, offset in pieces():
        assert hasher.feed(data, offset, lambda offset=offset: returned.append(offset))  # type: ignore[misc]
    assert await hasher.result() == DIGEST
    assert returned == [offset for _, offset in pieces()]
    assert part.read_bytes == 0
    io_threads.shutdown()


async def test_pieces_larger_than_the_threads_own_buffer(tmp_path: Path) -> None:
    content = bytes(range(251)) * (3 * READ_BYTES // 251)  # about two and a half buffers, then half of one
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    part, io_threads = PartFile(tmp_path / "part"), IoThreads()
    hasher = StreamingHasher(part, digest, len(content), io_threads)
    view, middle = memoryview(content), 5 * READ_BYTES // 2
    assert hasher.feed(view[:middle], 0, lambda: None)
    assert hasher.feed(view[middle:], middle, lambda: None)
    assert await hasher.result() == digest
    io_threads.shutdown()


async def test_a_file_with_much_to_hash_lets_others_have_the_thread(tmp_path: Path) -> None:
    io_threads = IoThreads()
    io_threads.hashers = ThreadPoolExecutor(1)
    much = bytes(3 * SPAN_BYTES)
    long = StreamingHasher(
        PartFile(tmp_path / "long"), f"sha256:{hashlib.sha256(much).hexdigest()}", len(much), io_threads
    )
    short = StreamingHasher(PartFile(tmp_path / "short"), DIGEST, len(CONTENT), io_threads)
    ended: list[str] = []
    for at in range(0, len(much), READ_BYTES):
        assert long.feed(memoryview(much)[at : at + READ_BYTES], at, lambda at=at: ended.append(f"long {at}"))  # type: ignore[misc]
    assert short.feed(memoryview(CONTENT), 0, lambda: ended.append("short"))
    await asyncio.gather(long.result(), short.result())
    assert ended.index("short") == SPAN_BYTES // READ_BYTES
    io_threads.shutdown()


@pytest.mark.parametrize("first", [0, 1, 5])
async def test_what_is_not_next_is_read_back_and_the_follower_catches_up(tmp_path: Path, first: int) -> None:
    """The prefix is there from before, as after a resume; then one piece comes out of order."""
    part, io_threads = Reading(tmp_path / "part"), IoThreads()
    part.write(memoryview(CONTENT), 0)
    hasher = StreamingHasher(part, DIGEST, len(CONTENT), io_threads)
    order = pieces()[first:]
    order[0], order[1] = order[1], order[0]
    hasher.advance(first * PIECE_BYTES)
    taken = 0
    for number, (data, offset) in enumerate(order):
        taken += hasher.feed(data, offset, lambda: None)
        if number:
            hasher.advance(offset + 2 * PIECE_BYTES if number == 1 else offset + PIECE_BYTES)
        goal = offset + PIECE_BYTES if number else first * PIECE_BYTES
        while hasher.hashed_bytes < goal:  # noqa: ASYNC110 - the hasher does not report progress
            await asyncio.sleep(0)
    assert await hasher.result() == DIGEST
    assert taken >= len(order) - 3
    assert part.read_bytes + taken * PIECE_BYTES == len(CONTENT)
    io_threads.shutdown()


async def test_stopping_gives_back_what_was_offered(tmp_path: Path) -> None:
    part, io_threads = PartFile(tmp_path / "part"), IoThreads()
    hasher = StreamingHasher(part, DIGEST, len(CONTENT), io_threads)
    returned: list[int] = []
    data, offset = pieces()[0]
    assert hasher.feed(data, offset, lambda: returned.append(offset))
    await hasher.stop()
    assert returned == [0]
    assert not hasher.feed(*pieces()[1], lambda: returned.append(1))
    assert returned == [0]
    io_threads.shutdown()


async def test_a_file_that_cannot_be_read_fails_the_hash_and_gives_back(tmp_path: Path) -> None:
    part, io_threads = PartFile(tmp_path / "part"), IoThreads()
    part.write(memoryview(CONTENT)[:PIECE_BYTES], 0)
    hasher = StreamingHasher(part, DIGEST, len(CONTENT), io_threads)
    hasher.advance(2 * PIECE_BYTES)  # the file is shorter than it should be
    await asyncio.sleep(0)
    returned: list[int] = []
    assert hasher.feed(*pieces()[2], lambda: returned.append(2))
    with pytest.raises(OSError, match="the part file ends"):
        await hasher.result()
    assert returned == [2]
    io_threads.shutdown()
