"""Buffers: bounded, shared by many users, and no user waits forever."""

from __future__ import annotations

import ctypes
import mmap

from hfdmd.transfer.disk.buffers import BUFFERS_IN_FLIGHT, LARGEST_BUFFER_BYTES, SMALLEST_BUFFER_BYTES, BufferPool
from tests.transfer.bench import MiB


def test_few_users_get_large_buffers_and_many_small_ones() -> None:
    buffers = BufferPool(48 * MiB)
    buffers.users = 1
    large = buffers.acquire(first=True)
    assert large is not None
    assert len(large) == LARGEST_BUFFER_BYTES
    assert buffers.share == BUFFERS_IN_FLIGHT
    buffers.users = 128
    small = buffers.acquire(first=True)
    assert small is not None
    assert SMALLEST_BUFFER_BYTES <= len(small) <= 48 * MiB // 256
    assert buffers.share == 2


def test_is_bounded_but_the_first_buffer_is_always_given() -> None:
    buffers = BufferPool(BUFFERS_IN_FLIGHT * LARGEST_BUFFER_BYTES)
    buffers.users = 1
    held = [buffers.acquire(first=False) for _ in range(BUFFERS_IN_FLIGHT)]
    assert None not in held
    assert buffers.acquire(first=False) is None
    least = buffers.acquire(first=True)
    assert least is not None
    assert len(least) == SMALLEST_BUFFER_BYTES


def test_who_waits_is_told_when_one_comes_back_and_it_is_used_again() -> None:
    buffers = BufferPool(BUFFERS_IN_FLIGHT * LARGEST_BUFFER_BYTES)
    buffers.users = 1
    block = buffers.acquire(first=False)
    assert block is not None
    told: list[bool] = []
    buffers.wake_on_release(lambda: told.append(True))
    buffers.release(block)
    assert told == [True]
    assert buffers.acquire(first=False) is block


def test_trim_lets_unused_memory_go() -> None:
    buffers = BufferPool(48 * MiB)
    buffers.users = 1
    taken = [buffers.acquire(first=True) for _ in range(40)]
    for block in taken:
        assert block is not None
        buffers.release(block)
    buffers.users = 0
    buffers.trim()
    buffers.users = 1
    anew = buffers.acquire(first=True)
    assert all(anew is not block for block in taken)


def test_spare_ones_of_another_size_do_not_stay() -> None:
    buffers = BufferPool(48 * MiB)
    buffers.users = 1
    taken = [buffers.acquire(first=True) for _ in range(8)]
    early, late = taken[:4], taken[4:]
    for block in early:
        assert block is not None
        buffers.release(block)
    assert buffers.has_spare
    buffers.users = 16
    small = buffers.acquire(first=True)
    assert small is not None
    assert not buffers.has_spare
    for block in late:
        assert block is not None
        buffers.release(block)
    assert not buffers.has_spare
    buffers.release(small)
    assert buffers.has_spare


def test_buffers_begin_at_a_page() -> None:
    buffers = BufferPool(48 * MiB)
    for users in (1, 16, 128):
        buffers.users = users
        block = buffers.acquire(first=True)
        assert block is not None
        assert ctypes.addressof(ctypes.c_char.from_buffer(block)) % mmap.PAGESIZE == 0
