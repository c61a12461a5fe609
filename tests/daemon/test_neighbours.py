"""Other users of the Hub's cache: the official client's commands, other processes, other users and groups."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.repo import BIG, REPO, official
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded
from tests.fakehub.content import content_of
from tests.marks import slow

FILES: dict[str, Any] = {BIG: seeded(6_000_000, seed=1), **{f"deep/{n}.json": b"{%d}" % n for n in range(20)}}
NO_WARNINGS = "from huggingface_hub import scan_cache_dir\nassert not scan_cache_dir().warnings"


def hf(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The official client's command, on the daemon's cache and Hub."""
    command = [sys.executable, "-m", "huggingface_hub.cli.hf", *arguments]
    env = {**daemon.env, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def judge(daemon: Daemon, path: str, revision: str = "main", repo_type: str = "model") -> None:
    """The client finds the whole snapshot offline, verifies it against the Hub, and finds no fault with the cache."""
    code = f"from huggingface_hub import snapshot_download\nprint(snapshot_download({REPO!r}, revision={revision!r}, "
    assert official(daemon, f"{code}repo_type={repo_type!r}, local_files_only=True))").strip() == path
    official(daemon, NO_WARNINGS)
    verified = hf(daemon, "cache", "verify", REPO, "--revision", revision, "--repo-type", repo_type)
    assert verified.returncode == 0, verified
    listed = hf(daemon, "cache", "ls")
    assert f"{repo_type}/{REPO}" in listed.stdout, listed


@pytest.mark.slow
@pytest.mark.parametrize("how", ["prune", slow("rm"), slow("by hand")])
@pytest.mark.parametrize("by_commit", [False, slow(True)])
def test_the_cache_is_cleaned_up_while_files_come_in(hub: HubServer, daemon: Daemon, how: str, by_commit: bool) -> None:
    commit = hub.add_repo(REPO, FILES)
    hub.rate_bytes_per_s = 1_500_000
    revision = commit if by_commit else "main"
    key = daemon.download(REPO, revision=revision).json["id"]
    until(lambda: daemon.view(key)["downloadedBytes"] > 2_000_000, "some is there")
    if how == "by hand":
        shutil.rmtree(next(daemon.cache.glob("models--*")))
    else:
        cleaned = hf(daemon, "cache", how, *([f"model/{REPO}"] if how == "rm" else []), "-y")
        assert cleaned.returncode == 0, cleaned
    if how == "prune" and not by_commit:
        assert len(daemon.parts()) == 1
    hub.rate_bytes_per_s = 0
    daemon.wait(key, "done")
    if how != "prune" or by_commit:  # the files that were done were deleted too: a new request downloads them again
        daemon.download(REPO, revision=revision)
        daemon.wait(key, "done")
    judge(daemon, daemon.view(key)["path"], revision)


@pytest.mark.slow
@pytest.mark.parametrize("repo_type", ["dataset", slow("model"), slow("space")])
def test_a_pull_request_of_every_kind_of_repo(hub: HubServer, daemon: Daemon, repo_type: str) -> None:
    hub.add_repo(REPO, FILES, repo_type=repo_type)
    commit = hub.commit(REPO, {"pr.txt": b"pr"}, "refs/pr/3", repo_type=repo_type)
    done = daemon.wait(daemon.download(REPO, revision="refs/pr/3", repoType=repo_type).json["id"], "done")
    assert done["commit"] == commit
    assert Path(done["path"], "pr.txt").read_bytes() == b"pr"
    judge(daemon, done["path"], "refs/pr/3", repo_type)


def test_a_store_that_repos_share_is_read_and_never_written_through(hub: HubServer, daemon: Daemon) -> None:
    content = content_of(seeded(2_000_000, seed=1))
    hub.add_repo(REPO, {BIG: content, "x.json": b"{}"}, xet=[BIG])
    name = hub.repo(REPO).find("main").files[BIG].xet_hash  # type: ignore[union-attr]
    assert name is not None
    payload = daemon.cache / "blobs" / name[:2] / name
    payload.parent.mkdir(parents=True)
    (daemon.cache / "blobs/.huggingface-shared-blobs").write_text("1\n")
    payload.write_bytes(content.read())
    done = daemon.wait(daemon.download(REPO).json["id"], "done")
    assert hub.sent_bytes(BIG) == 0
    (blob,) = daemon.cache.glob(f"models--org--model/blobs/{content.sha256}")
    assert blob.resolve() == payload
    assert payload.with_name(f"{name}.refs").read_text() == f"models--org--model/blobs/{content.sha256}\n"
    damaged = b"x" * 2_000_000
    payload.write_bytes(damaged)
    again = daemon.wait(daemon.download(REPO, BIG, revision=done["commit"]).json["id"], "done")
    assert Path(again["path"]).read_bytes() == content.read()
    assert payload.read_bytes() == damaged
    assert not blob.is_symlink()
    judge(daemon, done["path"])


@pytest.mark.parametrize("mask", [0o002, 0o027])
@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another group, which takes root")
def test_everything_in_a_shared_cache_is_its_groups(hub: HubServer, tmp_path: Path, mask: int) -> None:
    hub.add_repo(REPO, FILES)
    daemon = Daemon(tmp_path / "h", hub.endpoint)
    daemon.cache.mkdir(parents=True)
    os.chown(daemon.cache, -1, 4242)
    daemon.cache.chmod(0o2777 & ~mask)
    before = os.umask(mask)
    try:
        daemon.start()
    finally:
        os.umask(before)
    with_it = daemon.download(REPO).json["id"]
    daemon.wait(with_it, "done")
    assert daemon.stop() == 0
    for path in [path for path in daemon.cache.rglob("*") if not path.is_symlink()]:
        found = path.stat()
        full = 0o2777 if path.is_dir() else 0o664 if path.suffix == ".lock" else 0o666
        assert (found.st_gid, oct(found.st_mode & 0o7777)) == (4242, oct(full & ~mask)), path


@pytest.mark.slow
@pytest.mark.parametrize("into_folder", [False, True])
def test_kills_at_any_moment_of_a_repo(hub: HubServer, daemon: Daemon, tmp_path: Path, into_folder: bool) -> None:
    same = seeded(500_000, seed=77)
    files: dict[str, Any] = {f"d{n % 7}/{n}.json": b"{%d}" % n * 300 for n in range(200)}
    files |= {f"{n}.bin": seeded(900_000, seed=n) for n in range(4)} | {"same1.bin": same, "same2.bin": same}
    hub.add_repo(REPO, files)
    hub.rate_bytes_per_s = 1_500_000
    more = {"localDir": str(tmp_path / "mine")} if into_folder else {}
    key = daemon.download(REPO, **more).json["id"]
    chance = random.Random(5)
    for _ in range(12):
        time.sleep(chance.uniform(0.02, 0.4))  # the random moment is the point; there is no state to wait for
        daemon.kill_and_start()
    hub.rate_bytes_per_s = 0
    done = daemon.wait(key, "done")
    assert done["filesDone"] == len(files) == len(daemon.trackers()) - 1
    for path, content in files.items():
        expected = content_of(content).sha256
        assert hashlib.sha256(Path(done["path"], path).read_bytes()).hexdigest() == expected, path
    if not into_folder:
        judge(daemon, done["path"])
    daemon.stop()
    daemon.start()
    until(lambda: daemon.get("/api/info").json["loading"] is False, "all is loaded")
    assert not [path for path in tmp_path.rglob("hfdmd-*") if path.suffix != ".lock"]
    assert "Traceback" not in daemon.log
