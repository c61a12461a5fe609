"""A Hub with malicious names: they are refused or made safe, and nothing is written outside the cache."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.repo import REPO
from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer

GOOD = b'{"good": 1}'


def entry(path: str, oid: str | None = None) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(GOOD) + GOOD).hexdigest()
    return {"type": "file", "path": path, "size": len(GOOD), "oid": oid or blob}


HOSTILE = (
    "../evil.json", "a/../../evil.json", "/etc/evil.json", "C:/evil.json", "C:\\evil.json", "a\\..\\evil.json",
    "a\0b", "x" * 10_000, "", ".", "..", "a//b", "a/./b", "bad\nname",
)  # fmt: skip


def outside(tmp_path: Path, daemon: Daemon) -> set[Path]:
    inside = (daemon.cache, daemon.state)
    return {path for path in tmp_path.rglob("*") if not any(path.is_relative_to(folder) for folder in inside)}


def ended(daemon: Daemon, key: str) -> dict[str, Any]:
    """The download once it has ended, or waits with a reason."""
    until(lambda: daemon.view(key)["status"] in ("done", "failed") or daemon.view(key)["reason"] is not None, "it ends")
    return daemon.view(key)


@pytest.mark.parametrize("into_folder", [False, True])
def test_unsafe_names_are_left_out_and_said(hub: HubServer, daemon: Daemon, tmp_path: Path, into_folder: bool) -> None:
    hub.add_repo(REPO, {"good.json": GOOD, "twice": GOOD, "twice.d/below": GOOD})
    entries = [entry("good.json"), *(entry(path) for path in HOSTILE)]
    hub.fault(REPO, "@tree", Fault.instead(json.dumps(entries).encode()))
    before = outside(tmp_path, daemon)
    folder = tmp_path / "mine"
    more = {"localDir": str(folder)} if into_folder else {}
    done = daemon.wait(daemon.download(REPO, **more).json["id"], "done", "failed")
    assert (done["status"], done["filesTotal"]) == ("done", 1), done
    assert f"{len(HOSTILE)} files are left out" in done["detail"]
    here = Path(done["path"])
    assert [path.name for path in here.rglob("*") if path.is_file() and ".cache" not in path.parts] == ["good.json"]
    new = outside(tmp_path, daemon) - before
    assert all(path.is_relative_to(folder) for path in new)
    assert not any("evil" in path.name for path in tmp_path.rglob("*"))


def test_a_file_that_is_also_a_folder_and_names_that_differ_in_case(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {"a": GOOD, "A": GOOD})
    entries = [entry("a"), entry("A"), entry("a/b")]
    hub.fault(REPO, "@tree", Fault.instead(json.dumps(entries).encode()))
    key = daemon.download(REPO).json["id"]
    last = ended(daemon, key)
    assert last["status"] == "done" or last["reason"] in ("path_taken", "disk_error", "hub_unavailable"), last
    assert daemon.get("/api/health").status == 200
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize("oid", ["../../../evil", "x" * 300, "", "g" * 40, "a/b"])
def test_etags_that_are_none(hub: HubServer, daemon: Daemon, tmp_path: Path, oid: str) -> None:
    hub.add_repo(REPO, {"good.json": GOOD})
    hub.fault(REPO, "@tree", Fault.instead(json.dumps([{**entry("good.json"), "oid": oid}]).encode()))
    before = outside(tmp_path, daemon)
    key = daemon.download(REPO).json["id"]
    last = ended(daemon, key)
    assert last["status"] != "done" or Path(last["path"], "good.json").read_bytes() == GOOD
    assert outside(tmp_path, daemon) <= before | {daemon.log_file}
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize("sha", ["../../evil", "main", "", "z" * 40])
def test_commits_that_are_none(hub: HubServer, daemon: Daemon, tmp_path: Path, sha: str) -> None:
    hub.add_repo(REPO, {"good.json": GOOD})
    hub.fault(REPO, "@revision", Fault.instead(json.dumps({"id": REPO, "sha": sha}).encode()))
    key = daemon.download(REPO).json["id"]
    last = ended(daemon, key)
    assert last["status"] in ("failed", "queued")
    assert last["path"] is None
    assert not any("evil" in path.name for path in tmp_path.rglob("*"))
    assert "Traceback" not in daemon.log
