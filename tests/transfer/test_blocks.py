"""Buffers: bounded, shared by many, and nobody waits for ever."""

from __future__ import annotations

import ctypes
import mmap

from hfdmd.transfer.blocks import BLOCKS_IN_FLIGHT, LARGEST_BLOCK_BYTES, SMALLEST_BLOCK_BYTES, Blocks
from tests.transfer.bench import MiB


def test_few_users_get_large_buffers_and_many_small_ones() -> None:
    blocks = Blocks(48 * MiB)
    blocks.users = 1
    large = blocks.take(first=True)
    assert large is not None
    assert len(large) == LARGEST_BLOCK_BYTES
    assert blocks.share == BLOCKS_IN_FLIGHT
    blocks.users = 128
    small = blocks.take(first=True)
    assert small is not None
    assert SMALLEST_BLOCK_BYTES <= len(small) <= 48 * MiB // 256
    assert blocks.share == 2


def test_is_bounded_but_the_first_buffer_is_always_given() -> None:
    blocks = Blocks(BLOCKS_IN_FLIGHT * LARGEST_BLOCK_BYTES)
    blocks.users = 1
    held = [blocks.take(first=False) for _ in range(BLOCKS_IN_FLIGHT)]
    assert None not in held
    assert blocks.take(first=False) is None
    least = blocks.take(first=True)
    assert least is not None
    assert len(least) == SMALLEST_BLOCK_BYTES


def test_who_waits_is_told_when_one_comes_back_and_it_is_used_again() -> None:
    blocks = Blocks(BLOCKS_IN_FLIGHT * LARGEST_BLOCK_BYTES)
    blocks.users = 1
    block = blocks.take(first=False)
    assert block is not None
    told: list[bool] = []
    blocks.wait(lambda: told.append(True))
    blocks.give_back(block)
    assert told == [True]
    assert blocks.take(first=False) is block


def test_trim_lets_unused_memory_go() -> None:
    blocks = Blocks(48 * MiB)
    blocks.users = 1
    taken = [blocks.take(first=True) for _ in range(40)]
    for block in taken:
        assert block is not None
        blocks.give_back(block)
    blocks.users = 0
    blocks.trim()
    blocks.users = 1
    anew = blocks.take(first=True)
    assert all(anew is not block for block in taken)


def test_spare_ones_of_another_size_do_not_stay() -> None:
    blocks = Blocks(48 * MiB)
    blocks.users = 1
    taken = [blocks.take(first=True) for _ in range(8)]
    early, late = taken[:4], taken[4:]
    for block in early:
        assert block is not None
        blocks.give_back(block)
    assert blocks.has_spare
    blocks.users = 16
    small = blocks.take(first=True)
    assert small is not None
    assert not blocks.has_spare
    for block in late:
        assert block is not None
        blocks.give_back(block)
    assert not blocks.has_spare
    blocks.give_back(small)
    assert blocks.has_spare


def test_buffers_begin_at_a_page() -> None:
    blocks = Blocks(48 * MiB)
    for users in (1, 16, 128):
        blocks.users = users
        block = blocks.take(first=True)
        assert block is not None
        assert ctypes.addressof(ctypes.c_char.from_buffer(block)) % mmap.PAGESIZE == 0
