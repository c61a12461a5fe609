"""Whole downloads against nothing but the face of the real Hub: a file, a repo, and errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.repo import FILES, REPO, official
from tests.daemon_process import Daemon, new_folder
from tests.fakehub import HubServer
from tests.fakehub.content import content_of

LARGE = [path for path in FILES if path.endswith(".safetensors")]


@pytest.fixture
def face(hub: HubServer) -> HubServer:
    """The Hub as published captures show it, with two entries on each page of its lists."""
    hub.world.real_face, hub.world.git_route, hub.world.page_size = True, "resolve-cache", 2
    hub.add_repo(REPO, FILES, xet=LARGE)
    hub.add_repo("org/gated", {"a.txt": b"secret"}, gated=True)
    return hub


@pytest.fixture
def daemon(face: HubServer) -> Iterator[Daemon]:
    with new_folder() as folder, Daemon(Path(folder), face.endpoint, HF_HUB_DISABLE_XET="1") as running:
        yield running


@pytest.mark.parametrize("path", ["config.json", LARGE[0]])
def test_one_file(face: HubServer, daemon: Daemon, path: str) -> None:
    done = daemon.wait(daemon.download(REPO, path).json["id"], "done", "failed")
    assert done["status"] == "done", done
    assert Path(done["path"]).read_bytes() == content_of(FILES[path]).read()
    assert len(face.requests("hub", "HEAD")) == 1, "the first redirect says all"


def test_a_whole_repo(face: HubServer, daemon: Daemon) -> None:
    done = daemon.wait(daemon.download(REPO).json["id"], "done", "failed")
    assert (done["status"], done["filesDone"]) == ("done", len(FILES)), done
    for path, content in FILES.items():
        assert Path(done["path"], path).read_bytes() == content_of(content).read()
    code = f"from huggingface_hub import snapshot_download as get; print(get({REPO!r}, local_files_only=True))"
    assert official(daemon, code).strip() == done["path"]
    assert len(face.requests("hub", "GET", "@tree")) == 3


@pytest.mark.parametrize(
    ("repo", "path", "reason"),
    [
        (REPO, "nope.bin", "file_not_found"),
        ("org/gated", "a.txt", "gated"),
        ("org/nowhere", "a.txt", "repo_not_found"),
        ("org/gated", None, "gated"),
    ],
)
def test_errors(daemon: Daemon, repo: str, path: str | None, reason: str) -> None:
    failed = daemon.wait(daemon.download(repo, path).json["id"], "failed")
    assert failed["reason"] == reason, failed
