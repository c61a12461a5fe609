"""Disk space reserved for downloads in flight."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.wire.types import Reason
from hfdmd.wire.units import format_size

GiB = 1 << 30


def free(path: Path) -> int:
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize


def test_sums_what_is_still_to_come(tmp_path: Path) -> None:
    space = DiskReservations(lambda: 0)
    half = free(tmp_path) * 6 // 10
    space.reserve("a", tmp_path / "not" / "there" / "yet", half)
    with pytest.raises(Failure) as failed:
        space.reserve("b", tmp_path, half)
    assert failed.value.reason is Reason.DISK_FULL
    mount = Path(tmp_path)
    while not mount.is_mount():
        mount = mount.parent
    free_now = re.escape(f" free on {mount}, {format_size(half)} of it for other downloads")
    assert re.fullmatch(rf"needs {format_size(half)}, [\d.]+ \w+{free_now}", failed.value.detail)
    space.update("a", half // 2)
    space.reserve("b", tmp_path, half)
    space.release("b")
    space.reserve("a", tmp_path, half)
    space.update("nobody", 5)
    space.release("nobody")


def test_a_look_reserves_nothing(tmp_path: Path) -> None:
    space = DiskReservations(lambda: 0)
    for _ in range(3):
        space.check(tmp_path, free(tmp_path) * 6 // 10)
    with pytest.raises(Failure, match="needs"):
        space.check(tmp_path, free(tmp_path) + GiB)


def test_a_refused_one_has_nothing_set_aside(tmp_path: Path) -> None:
    space = DiskReservations(lambda: 0)
    with pytest.raises(Failure):
        space.reserve("a", tmp_path, free(tmp_path) + GiB)
    space.reserve("b", tmp_path, free(tmp_path) // 2)


def test_min_free_stays_free_but_what_needs_nothing_may_go_on(tmp_path: Path) -> None:
    space = DiskReservations(lambda: free(tmp_path) + GiB)
    with pytest.raises(Failure, match=r"needs 1 B, .* must stay free \(min_free_bytes\)"):
        space.reserve("a", tmp_path, 1)
    space.reserve("a", tmp_path, 0)


def test_what_is_held_is_let_go_whatever_happens(tmp_path: Path) -> None:
    space = DiskReservations(lambda: 0)
    most = free(tmp_path) * 9 // 10

    def copy() -> None:
        with space.reserved("a", tmp_path, most) as still_to_come:
            with pytest.raises(Failure):
                space.reserve("b", tmp_path, most)
            still_to_come(0)
            space.reserve("b", tmp_path, most)
            space.release("b")
            still_to_come(most)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        copy()
    space.reserve("b", tmp_path, most)


def test_what_needs_nothing_more_leaves_nothing_behind(tmp_path: Path) -> None:
    space = DiskReservations(lambda: 0)
    half = free(tmp_path) * 6 // 10
    for first, second in ((half, 0), (0, half), (0, 0), (half // 2, half // 2)):
        space.reserve("a", tmp_path, first)
        space.reserve("b", tmp_path, second)
        space.update("a", 0)
        space.release("b")
        space.reserve("c", tmp_path, half)
        space.release("a")
        space.release("c")
    space.reserve("all", tmp_path, half)


def test_nothing_is_kept_of_thousands_of_downloads(tmp_path: Path) -> None:
    space = DiskReservations(lambda: 0)
    for number in range(5000):
        with space.reserved(str(number), tmp_path, number % 3):
            pass
    assert not space._reservations
    assert not space._reserved_bytes
