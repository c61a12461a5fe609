"""A disk that refuses one thing: everything else goes on, and the daemon names what was refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded

OTHER = "other/model"
OBEYS_MODES = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Runs a command of root to whom the modes of files apply."""

root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts, or gives files to another user, which takes root")


def read_only(folder: Path) -> Sequence[str]:
    """A command that runs another one where `folder` is mounted read-only."""
    mounts = f"mount --bind '{folder}' '{folder}' && mount -o remount,ro,bind '{folder}'"
    return ("unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh")


def trackers_check(daemon: Daemon) -> dict[str, Any]:
    (check,) = (one for one in daemon.get("/api/checks", offline="true").json["checks"] if one["what"] == "trackers")
    return dict(check)


@pytest.mark.parametrize(
    "blocked",
    [
        "a plain file",
        pytest.param("another user's", marks=[root, pytest.mark.slow]),
        pytest.param("closed to us", marks=[root, pytest.mark.slow]),
        pytest.param("a read-only mount", marks=root),
    ],
)
def test_an_unwritable_tracker_fails_its_own_download_and_no_other(
    hub: HubServer, tmp_path: Path, blocked: str
) -> None:
    hub.add_repo(REPO, {BIG: seeded(1_000_000, seed=1)})
    hub.add_repo(OTHER, {BIG: seeded(6_000_000, seed=2), "a.json": b"{}", "b.json": b"[]"})
    hub.rate_bytes_per_s = 4_000_000
    home = tmp_path / "h"
    folder = home / "state" / "trackers" / "models--org--model"
    folder.parent.mkdir(parents=True)
    if blocked == "a plain file":
        folder.write_bytes(b"")
    else:
        folder.mkdir(mode=0o000 if blocked == "closed to us" else 0o555)
    wrapper: Sequence[str] = ()
    if blocked in ("another user's", "closed to us"):
        os.chown(folder, 12345, 12345)
        wrapper = OBEYS_MODES
    elif blocked == "a read-only mount":
        wrapper = read_only(folder)
    with Daemon(home, hub.endpoint, wrapper=wrapper) as daemon:
        running = daemon.ask(OTHER)["id"]
        until(lambda: daemon.view(running)["downloadedBytes"], "it moves")
        refused = daemon.download(REPO, BIG)
        assert refused.status == 202, refused.body
        bad = refused.json
        assert (bad["status"], bad["reason"]) == ("failed", "disk_error")
        assert str(folder) in bad["error"]
        whole = daemon.ask(REPO)
        assert (whole["status"], whole["reason"]) == ("failed", "disk_error")
        later = daemon.ask(OTHER, "a.json")
        daemon.wait(running, "done")
        daemon.wait(later["id"], "done")

        def statuses() -> set[str]:
            return {tracker["status"] for tracker in daemon.trackers() if tracker["spec"]["modelRepo"] == OTHER}

        until(lambda: statuses() == {"done"}, "the others' trackers say so")
        assert trackers_check(daemon)["state"] == "problem"
        assert str(folder) in trackers_check(daemon)["found"]
        until(lambda: daemon.log.count("cannot write the tracker file") == 2, "it is logged once for each")
        assert daemon.download(OTHER, "b.json").status == 200
        daemon.stop()
        daemon.start()
        assert daemon.view(running)["status"] == "done"
        if blocked == "a plain file":
            folder.unlink()
            daemon.wait(daemon.ask(REPO, BIG, retry=True)["id"], "done")
            assert trackers_check(daemon)["state"] == "ok"
