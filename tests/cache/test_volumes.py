"""Which drives are waited for: a folder that is empty because its drive is not mounted, and no other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hfdmd.cache.volumes import Volumes
from hfdmd.failure import Failure
from hfdmd.wire.types import Reason
from tests.loop_disk import needs_mounts

pytestmark = needs_mounts


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Mounts an empty tmpfs at a folder."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
        mounted.append(folder)

    yield mount
    for folder in reversed(mounted):
        if os.path.ismount(folder):
            unmount(folder)


def unmount(folder: Path) -> None:
    subprocess.run(["umount", folder], check=True)


def remembered(tmp_path: Path, folder: Path) -> None:
    """A daemon has used the folder."""
    Volumes(tmp_path / "volumes.json").use(str(folder))
    folder.mkdir(exist_ok=True)


def is_waited_for(tmp_path: Path, folder: Path) -> str | None:
    """Why a daemon that is started anew waits for the folder's drive; None when it uses the folder."""
    volumes = Volumes(tmp_path / "volumes.json")
    outcomes: list[Failure | None] = []
    for _ in range(2):
        try:
            volumes.use(str(folder))
            outcomes.append(None)
        except Failure as failure:
            outcomes.append(failure)
    first, second = outcomes
    if first is None:
        assert second is None
        return None
    assert (first.reason, first.retry_after_s is None) == (Reason.LOCKED, False)
    assert str(first) == str(second)
    return first.detail


@pytest.mark.parametrize("below", [".", "models", "a/b"])
def test_a_drive_that_is_not_mounted_is_waited_for(tmp_path: Path, mount: Callable[[Path], None], below: str) -> None:
    point = tmp_path / "drive"
    mount(point)
    folder = (point / below).resolve()
    folder.parent.mkdir(exist_ok=True)
    remembered(tmp_path, folder)
    unmount(point)
    why = is_waited_for(tmp_path, folder)
    assert why is not None
    assert f"nothing is mounted at {point}" in why
    assert str(folder) in why
    mount(point)
    if below == ".":
        assert is_waited_for(tmp_path, folder) is None


def test_a_mount_point_that_is_gone_too_is_waited_for(tmp_path: Path, mount: Callable[[Path], None]) -> None:
    point = tmp_path / "media" / "stick"
    mount(point)
    remembered(tmp_path, point / "models")
    unmount(point)
    shutil.rmtree(point)
    assert is_waited_for(tmp_path, point / "models") is not None


def test_another_drive_at_the_same_place_is_used_when_its_owner_made_the_folder(
    tmp_path: Path, mount: Callable[[Path], None]
) -> None:
    point = tmp_path / "drive"
    mount(point)
    remembered(tmp_path, point / "models")
    unmount(point)
    mount(point)
    assert is_waited_for(tmp_path, point / "models") is not None
    (point / "models").mkdir()
    assert is_waited_for(tmp_path, point / "models") is None


def test_a_link_that_leads_nowhere_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "drive" / "hf")
    why = is_waited_for(tmp_path, tmp_path / "link" / "hub")
    assert why is not None
    assert f"{tmp_path / 'link'} is a link to {tmp_path / 'drive' / 'hf'}, which is not there" in why


def test_a_link_that_leads_elsewhere_now_is_followed(tmp_path: Path, mount: Callable[[Path], None]) -> None:
    mount(tmp_path / "old")
    (tmp_path / "old" / "hf").mkdir()
    (tmp_path / "new").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "old" / "hf")
    remembered(tmp_path, link / "hub")
    link.unlink()
    link.symlink_to(tmp_path / "new")
    unmount(tmp_path / "old")
    assert is_waited_for(tmp_path, link / "hub") is None


def test_what_moved_to_the_systems_disk_is_used_there(tmp_path: Path, mount: Callable[[Path], None]) -> None:
    point = tmp_path / "drive"
    mount(point)
    remembered(tmp_path, point / "models")
    unmount(point)
    (point / "models").mkdir()
    (point / "models" / "a.bin").write_bytes(b"a")
    assert is_waited_for(tmp_path, point / "models") is None


def test_a_drive_that_is_mounted_over_a_folder_is_used(tmp_path: Path, mount: Callable[[Path], None]) -> None:
    folder = tmp_path / "drive"
    folder.mkdir()
    remembered(tmp_path, folder)
    mount(folder)
    assert is_waited_for(tmp_path, folder) is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"schemaVersion": 99, "folders": {}}', b'{"folders": 3}'])
def test_a_damaged_memory_is_replaced(tmp_path: Path, mount: Callable[[Path], None], content: bytes) -> None:
    (tmp_path / "volumes.json").write_bytes(content)
    mount(tmp_path / "drive")
    remembered(tmp_path, tmp_path / "drive" / "models")
    kept = json.loads((tmp_path / "volumes.json").read_bytes())
    assert kept["folders"][str(tmp_path / "drive" / "models")]["mountPoint"] == str(tmp_path / "drive")
