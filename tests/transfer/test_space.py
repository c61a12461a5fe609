"""Room on the disk for everything in flight."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.transfer.space import Space
from hfdmd.wire.types import Reason

GiB = 1 << 30


def free(path: Path) -> int:
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize


def test_sums_what_is_still_to_come(tmp_path: Path) -> None:
    space = Space()
    half = free(tmp_path) * 6 // 10
    space.reserve("a", tmp_path / "not" / "there" / "yet", half, 0)
    with pytest.raises(Failure) as failed:
        space.reserve("b", tmp_path, half, 0)
    assert failed.value.reason is Reason.DISK_FULL
    assert str(half) in failed.value.detail
    space.update("a", half // 2)
    space.reserve("b", tmp_path, half, 0)
    space.release("b")
    space.reserve("a", tmp_path, half, 0)
    space.update("nobody", 5)
    space.release("nobody")


def test_a_refused_one_has_nothing_set_aside(tmp_path: Path) -> None:
    space = Space()
    with pytest.raises(Failure):
        space.reserve("a", tmp_path, free(tmp_path) + GiB, 0)
    space.reserve("b", tmp_path, free(tmp_path) // 2, 0)


def test_min_free_stays_free_but_what_needs_nothing_may_go_on(tmp_path: Path) -> None:
    space = Space()
    with pytest.raises(Failure):
        space.reserve("a", tmp_path, 1, free(tmp_path) + GiB)
    space.reserve("a", tmp_path, 0, free(tmp_path) + GiB)


def test_what_needs_nothing_more_leaves_nothing_behind(tmp_path: Path) -> None:
    space = Space()
    half = free(tmp_path) * 6 // 10
    for first, second in ((half, 0), (0, half), (0, 0), (half // 2, half // 2)):
        space.reserve("a", tmp_path, first, 0)
        space.reserve("b", tmp_path, second, 0)
        space.update("a", 0)
        space.release("b")
        space.reserve("c", tmp_path, half, 0)
        space.release("a")
        space.release("c")
    space.reserve("all", tmp_path, half, 0)
