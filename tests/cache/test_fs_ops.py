"""File operations that the standard library lacks."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from hfdmd.cache import fs_ops
from hfdmd.cache.folders import Folders


def test_a_rename_that_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Folders(tmp_path) as folders:
        root = folders.open(())
        for supported in (True, False):
            if not supported:
                monkeypatch.setattr(fs_ops, "_function", lambda name: None)
            (tmp_path / "new").write_text("new")
            (tmp_path / "old").write_text("old")
            with pytest.raises(FileExistsError):
                fs_ops.rename_new(root, "new", root, "old")
            (tmp_path / "old").unlink()
            fs_ops.rename_new(root, "new", root, "old")
            assert (tmp_path / "old").read_text() == "new"


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_copies_are_exact(tmp_path: Path, size: int) -> None:
    room = partial(fs_ops.no_reservation, "", tmp_path)
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("w+b") as target:
        assert fs_ops.copy_file(source.fileno(), target.fileno(), lambda: False, room)
    assert (tmp_path / "b").read_bytes() == data
    with (tmp_path / "a").open("rb") as source, (tmp_path / "c").open("w+b") as target:
        stopped = not fs_ops.copy_file(source.fileno(), target.fileno(), lambda: True, room)
    assert stopped or (tmp_path / "c").read_bytes() == data
