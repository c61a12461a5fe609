"""Files are replaced in one step and complete, whatever stops the writing; many are synced at once."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfdmd import durable
from hfdmd.durable import existing_ancestor, mount_point, replace_file, sync_files

NO_ROOM_FOR_A_BYTE = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
"""


def where_nothing_can_be_written(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    """`code` in a process of its own, whose files may not grow."""
    return subprocess.run(
        [sys.executable, "-c", NO_ROOM_FOR_A_BYTE + code, str(path)], capture_output=True, text=True, check=False
    )


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_has_all_the_parts_and_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        for mode, left in ((0o666, 0o640), (0o600, 0o600)):
            path = tmp_path / f"{mode:o}.json"
            path.with_suffix(".tmp").write_bytes(b"what a crash left, which all may read")
            path.with_suffix(".tmp").chmod(0o777)
            replace_file(path, (b"%d\n" % number for number in range(100_000)), mode)
            assert path.read_bytes() == b"".join(b"%d\n" % number for number in range(100_000))
            assert mode_of(path) == left
            assert not path.with_suffix(".tmp").exists()
    finally:
        os.umask(before)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    code = "from hfdmd.durable import replace_file; replace_file(Path(sys.argv[1]), [b'new'])"
    failed = where_nothing_can_be_written(code, path)
    assert "File too large" in failed.stderr
    assert [name.name for name in tmp_path.iterdir()] == ["a.json"]
    assert path.read_bytes() == b"old"


def test_links_are_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"another's")
    path = tmp_path / "a.json"
    for link in (path, path.with_suffix(".tmp")):
        link.symlink_to(other)
    replace_file(path, [b"new"])
    assert other.read_bytes() == b"another's"
    assert path.read_bytes() == b"new"
    assert not path.is_symlink()


def test_it_is_on_disk_before_it_has_its_name_and_the_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def recording(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def record_and_call(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            return step(*arguments, **options)

        return record_and_call

    for place, name in ((durable, "sync_file"), (durable.os, "replace"), (durable, "sync_folders")):
        monkeypatch.setattr(place, name, recording(name, getattr(place, name)))
    replace_file(tmp_path / "a.json", [b"new"])
    assert calls == ["sync_file", "replace", "sync_folders"]


def test_a_first_start_without_room_leaves_no_token_that_is_none(tmp_path: Path) -> None:
    code = "from hfdmd.api.access import load_token; load_token(Path(sys.argv[1]))"
    failed = where_nothing_can_be_written(code, tmp_path / "token")
    assert "File too large" in failed.stderr
    assert list(tmp_path.iterdir()) == []


def test_syncing_without_a_call_for_the_whole_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcdefgh":
        (tmp_path / name).write_text(name)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        sync_files(folder, list("abcdefgh"))
        monkeypatch.setattr(durable, "_libc", None)
        assert not durable.sync_file_system(folder)
        sync_files(folder, list("abcdefgh"))
        with pytest.raises(FileNotFoundError):
            sync_files(folder, ["a", "gone", *"bcdef"])
    finally:
        os.close(folder)


def test_where_a_path_that_does_not_exist_would_be(tmp_path: Path) -> None:
    assert existing_ancestor(tmp_path) == tmp_path
    assert existing_ancestor(tmp_path / "a" / "b") == tmp_path
    (tmp_path / "link").symlink_to("/dev")
    assert mount_point(tmp_path / "link" / "nothing") == mount_point("/dev")
    assert os.path.ismount(mount_point(tmp_path / "a"))
