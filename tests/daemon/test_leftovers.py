"""Deleting a download removes what a crash left in its local folder, also of files without a tracker."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfdmd.record import RepoSpec
from hfdmd.wire.types import RepoType
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer

REPO = "org/model"


@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_what_a_kill_in_a_listing_left_goes_with_the_download(
    hub: HubServer, narrow: Daemon, tmp_path: Path, action: str
) -> None:
    hub.add_repo(REPO, {f"s/{number}.json": b"{}%d" % number for number in range(300)})
    hub.fault(REPO, None, Fault.delay(5.0))
    folder = tmp_path / "folder"
    key = narrow.download(REPO, localDir=str(folder)).json["id"]
    until(lambda: narrow.view(key)["filesTotal"] == 300, "it is listed")
    narrow.kill()
    narrow.forget_lists()  # as if it had been killed before the list was written
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo=REPO, revision="main", local_dir=str(folder))
    metadata = folder / ".cache/huggingface"
    left = [
        metadata / "download" / f"hfdmd-{spec.file('s/7.json').id}.new",
        metadata / "download" / f"hfdmd-{spec.file('s/8.json').id}.part",
        metadata / "download/s" / f"hfdmd-{spec.file('s/9.json').id}.book",
        metadata / "trees" / f"hfdmd-{spec.id}.tree",
    ]
    others = metadata / "download" / f"hfdmd-{'0' * 32}.new"
    for path in (*left, others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    narrow.start()
    until(lambda: not narrow.get("/api/info").json["loading"], "the trackers are read")
    if action == "cancel":
        narrow.post("/api/cancel", id=key)
    else:
        narrow.call("DELETE", "/api/download", {"id": key})
    assert list(folder.rglob("hfdmd-*")) == [others], "another daemon's stays"
