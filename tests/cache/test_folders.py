"""Folders are entered without following links, and their descriptors stay good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hfdmd.cache.folders import Folders, make_folders


def test_what_was_removed_is_made_again(tmp_path: Path) -> None:
    with Folders(tmp_path) as folders:
        folders.open(("a", "b"), make=True)
        (tmp_path / "a" / "b").rmdir()
        (tmp_path / "a").rmdir()
        os.mkdir("c", dir_fd=folders.open(("a", "b"), make=True))
        assert (tmp_path / "a" / "b" / "c").is_dir()


def test_many_folders_take_few_descriptors(tmp_path: Path) -> None:
    with Folders(tmp_path) as folders:
        for number in range(300):
            fd = folders.open((f"f{number}", "x", "y"), make=True)
            first = folders.open((f"f{number}",))
            os.mkdir("z", dir_fd=fd)
            os.mkdir("w", dir_fd=first)
        assert len(os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []) < 150
        folders.sync()
    assert len(list(tmp_path.glob("*/x/y/z"))) == 300


@pytest.mark.parametrize("kind", ["link", "file", "dangling"])
def test_only_folders_are_entered(tmp_path: Path, kind: str) -> None:
    (tmp_path / "real").mkdir()
    match kind:
        case "link":
            (tmp_path / "x").symlink_to("real")
        case "dangling":
            (tmp_path / "x").symlink_to("nothing")
        case "file":
            (tmp_path / "x").write_text("")
    with Folders(tmp_path) as folders, pytest.raises(OSError, match=r"Not a directory|x is a symbolic link"):
        folders.open(("x", "y"), make=True)
    assert not (tmp_path / "real" / "y").exists()


def test_tidying_stops_at_what_is_not_empty(tmp_path: Path) -> None:
    with Folders(tmp_path) as folders:
        folders.open(("a", "b", "c"), make=True)
        (tmp_path / "a" / "mine").write_text("")
        folders.remove_empty(("a", "b", "c"))
    assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "mine").exists()


def test_missing_folders_are_made(tmp_path: Path) -> None:
    make_folders(tmp_path / "a" / "b")
    make_folders(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
