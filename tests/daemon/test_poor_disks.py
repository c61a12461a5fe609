"""Disks without modes, times, links or long names: a download ends as it would on any other disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.repo import BIG, REPO, official
from tests.daemon_process import Daemon
from tests.fakehub import HubServer, seeded
from tests.poor_disk import needs_gcc, poor_disk

LONG = "n" * 128 + ".bin"
CONTENT = seeded(1_000_000, seed=1)
KINDS: list[dict[str, str]] = [
    *({"chmod": error} for error in ("EPERM", "ENOTSUP", "EIO")),
    *({"utime": error} for error in ("EPERM", "EIO")),
    *({"symlink": error} for error in ("EPERM", "EACCES", "EIO", "EROFS")),
    {"chmod": "EPERM", "utime": "EPERM", "symlink": "EPERM"},
]


@needs_gcc
@pytest.mark.parametrize("refuses", KINDS, ids=str)
def test_a_mode_a_time_or_a_link_that_the_disk_refuses_is_no_failure(
    hub: HubServer, tmp_path: Path, refuses: dict[str, str]
) -> None:
    hub.add_repo(REPO, {BIG: CONTENT, "a.json": b"{}"})
    with Daemon(tmp_path / "h", hub.endpoint, **poor_disk(tmp_path, **refuses)) as daemon:
        daemon.wait(daemon.ask(REPO)["id"], "done")
        folder = tmp_path / "mine"
        daemon.wait(daemon.ask(REPO, localDir=str(folder))["id"], "done")
        assert (folder / BIG).stat().st_size == len(CONTENT)
        assert hub.sent_bytes(BIG) == len(CONTENT)
        code = f"from huggingface_hub import hf_hub_download as get; print(open(get('{REPO}', 'a.json')).read())"
        assert official(daemon, code).strip() == "{}"
    assert not [path for path in tmp_path.rglob("hfdmd-*") if path.is_file()]


@needs_gcc
def test_names_are_cut_to_what_the_disk_takes(hub: HubServer, tmp_path: Path) -> None:
    """As in eCryptfs homes; then the state moves to a disk that takes longer ones."""
    hub.add_repo(REPO, {LONG: CONTENT, "a.json": b"{}"})
    daemon = Daemon(tmp_path / "h", hub.endpoint, **poor_disk(tmp_path, short_names=143))
    folder = tmp_path / "mine"
    with daemon:
        keys = [daemon.ask(REPO)["id"], daemon.ask(REPO, LONG, localDir=str(folder))["id"]]
        for key in keys:
            daemon.wait(key, "done")
    assert (folder / LONG).stat().st_size == len(CONTENT)
    names = {path.name for path in daemon.tracker_files()}
    assert max(map(len, names)) + len(".corrupt") == 143
    with Daemon(tmp_path / "h", hub.endpoint) as other:
        assert [other.view(key)["status"] for key in keys] == ["done", "done"]
        assert len(other.trackers()) == len(names)
        assert f"{LONG}.{keys[1]}.json" in {path.name for path in other.tracker_files()}
