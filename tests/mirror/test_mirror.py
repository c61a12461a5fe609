"""Downloads through olah: by the official client, and by the daemon."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import Daemon, until
from tests.fakehub import seeded
from tests.fakehub.content import Source, content_of
from tests.fakehub.official import hf, official
from tests.fakehub.raw import ask
from tests.mirror.conftest import Mirrored
from tests.mirror.olah import storage

pytestmark = pytest.mark.slow  # installs the mirror from PyPI, which takes a minute

FILES: dict[str, Source] = {
    "config.json": b'{"a": 1}',
    "README.md": "# hi\n" * 500,
    "onnx/deep/model.onnx": seeded(1_200_000, 2),
    "model.safetensors": seeded(6_000_000, 1),
    "tokenizer/vocab.txt": seeded(90_000, 3),
}
DEADLINE_S = 60.0  # olah needs a lot of CPU
SCAN = "result = [str(warning) for warning in scan_cache_dir().warnings]"


def test_the_mirror_names_no_cdn_and_serves_ranges(mirrored: Mirrored) -> None:
    commit = mirrored.hub.add_repo("o/n", FILES)
    url = f"{mirrored.endpoint}/o/n/resolve/main/model.safetensors"
    head = ask(url, "HEAD")
    assert (head.status, head.headers["x-repo-commit"]) == (200, commit)
    assert "location" not in head.headers
    got = ask(url, Range="bytes=5000000-5000099")
    assert (got.status, got.body) == (206, seeded(6_000_000, 1).read(5_000_000, 5_000_100))
    assert got.headers["content-range"] == "bytes 5000000-5000099/6000000"


def test_the_official_client_gets_a_whole_repo(mirrored: Mirrored, tmp_path: Path) -> None:
    mirrored.hub.add_repo("o/n", FILES)
    folder = Path(official('result = snapshot_download("o/n")', mirrored.endpoint, tmp_path))
    for path, source in FILES.items():
        assert (folder / path).read_bytes() == content_of(source).read()
    verified = hf(mirrored.endpoint, tmp_path, "cache", "verify", "o/n")
    assert verified.returncode == 0, verified.stderr


def test_the_daemon_gets_a_whole_repo(mirrored: Mirrored, tmp_path: Path) -> None:
    commit = mirrored.hub.add_repo("o/n", FILES)
    with Daemon(tmp_path / "d", mirrored.endpoint) as daemon:
        assert daemon.download("o/n").status == 202
        repo = ended(daemon, "o/n")
        assert (repo["status"], repo["filesDone"], repo["commit"]) == ("done", len(FILES), commit), repo
        downloads = daemon.get("/api/progress", modelRepo="o/n").json["downloads"]
        assert all(download["digest"] for download in downloads)
        assert len(downloads) == len(FILES)
    for path, source in FILES.items():
        assert (Path(repo["path"]) / path).read_bytes() == content_of(source).read()
    offline = official('result = snapshot_download("o/n", local_files_only=True)', mirrored.endpoint, daemon.home)
    assert offline == repo["path"]
    verified = hf(mirrored.endpoint, daemon.home, "cache", "verify", "o/n")
    assert verified.returncode == 0, verified.stderr
    assert official(SCAN, mirrored.endpoint, daemon.home) == []


def test_the_daemon_fails_by_the_right_name_behind_a_mirror(mirrored: Mirrored, tmp_path: Path) -> None:
    mirrored.hub.add_repo("o/n", FILES)
    with Daemon(tmp_path / "d", mirrored.endpoint) as daemon:
        for asked, reason in (({"file_path": "none.txt"}, "file_not_found"), ({}, "repo_not_found")):
            name = "o/n" if asked else "o/none"
            key = daemon.download(name, **asked).json["id"]
            assert daemon.wait(key, "failed", deadline_s=DEADLINE_S)["reason"] == reason


def test_the_daemon_gets_a_repo_from_a_server_without_ranges(olah_python: Path, tmp_path: Path) -> None:
    repo = tmp_path / "repos/models/o/n"
    for path, source in FILES.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_bytes(content_of(source).read())
    for arguments in (["init", "-b", "main"], ["add", "."], ["commit", "-m", "all"]):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
        subprocess.run(["git", "-C", str(repo), *who, *arguments], check=True, capture_output=True)
    with storage(olah_python, tmp_path / "repos", tmp_path / "olah") as endpoint:
        model = f"{endpoint}/o/n/resolve/main/model.safetensors"
        got = ask(model, Range="bytes=0-9")
        assert (got.status, len(got.body), got.headers.get("content-length")) == (200, 6_000_000, None)
        with Daemon(tmp_path / "d", endpoint) as daemon:
            daemon.download("o/n")
            done = ended(daemon, "o/n")
            assert done["status"] == "done", done
    for path, source in FILES.items():
        assert (Path(done["path"]) / path).read_bytes() == content_of(source).read()


def ended(daemon: Daemon, name: str) -> dict[str, Any]:
    """The repo download once it has ended."""
    seen: dict[str, Any] = {}

    def over() -> bool:
        seen.update(daemon.get("/api/progress", modelRepo=name).json["repos"][0])
        return seen["status"] not in ("queued", "downloading")

    until(over, f"{name} has ended", DEADLINE_S, state=lambda: str(seen))
    return seen
