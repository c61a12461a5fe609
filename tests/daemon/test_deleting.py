"""`DELETE` with `deleteFile`: all that hfdmd wrote and nobody else needs goes, and nothing else."""

from __future__ import annotations

import contextlib
import http.client
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.hub import HubServer, seeded
from tests.running import Daemon, until

REPO = "org/model"


def delete(daemon: Daemon, **selector: Any) -> int:
    return daemon.ask("DELETE", "/api/download", {**selector, "deleteFile": True}).status


def entries(daemon: Daemon) -> int:
    """Files in snapshots, as far as they do not go while they are counted."""
    return sum(len(names) for root in daemon.cache.glob("models--*/snapshots") for *_, names in os.walk(root))


def is_loaded(daemon: Daemon) -> bool:
    return not daemon.get("/api/info").json["loading"]


def test_a_kill_in_the_middle_leaves_nothing_that_a_second_one_does_not_delete(hub: HubServer, daemon: Daemon) -> None:
    files = 1500
    hub.add_repo(REPO, {f"{number % 7}/{number}.json": b"{}%d" % number for number in range(files)})
    key = daemon.download(REPO).json["id"]
    daemon.wait(key, "done")

    def first() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            delete(daemon, id=key)

    deleting = threading.Thread(target=first)
    deleting.start()
    until(lambda: entries(daemon) < files, "it deletes")
    daemon.kill()
    deleting.join()
    left = entries(daemon)
    daemon.start()
    until(lambda: is_loaded(daemon), "the trackers are read")
    delete(daemon, all=True)
    assert list(daemon.cache.glob("models--*")) == [], f"{left} entries were left by the kill"


@pytest.mark.parametrize("whole_repo", [False, True])
def test_what_another_revision_of_the_same_commit_is_done_with_stays(
    hub: HubServer, daemon: Daemon, whole_repo: bool
) -> None:
    commit = hub.add_repo(REPO, {"x.bin": seeded(300_000, seed=1), "sub/t.txt": b"one"})
    path = {} if whole_repo else {"file_path": "sub/t.txt"}
    keys = [daemon.download(REPO, revision=revision, **path).json["id"] for revision in ("main", commit)]
    for key in keys:
        daemon.wait(key, "done")
    assert delete(daemon, id=keys[0]) == 200
    kept = daemon.get("/api/progress", modelRepo=REPO).json["downloads"]
    assert len(kept) == (2 if whole_repo else 1)
    assert all(Path(view["path"]).is_file() for view in kept)
    assert delete(daemon, id=keys[1]) == 200
    assert list(daemon.cache.glob("models--*")) == []
