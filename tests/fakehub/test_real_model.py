"""A real model repo through the daemon, then opened offline as a user would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer
from tests.fakehub.__main__ import files_of
from tests.fakehub.official import hf, official
from tests.fakehub.real import MODEL_BYTES, MODEL_FILE, MODEL_SHA256, minilm_folder, sha256_of

NAME = "sentence-transformers/all-MiniLM-L6-v2"
TENSORS = 104
DEADLINE_S = 90.0
OPENED = f"""
import struct
path = hf_hub_download("{NAME}", "{MODEL_FILE}", local_files_only=True)
with open(path, "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
result = {{
    "path": path,
    "tensors": len([name for name in header if name != "__metadata__"]),
    "folder": snapshot_download("{NAME}", local_files_only=True),
    "warnings": [str(warning) for warning in scan_cache_dir().warnings],
}}
"""


def test_the_daemon_gets_a_real_model_and_it_opens_offline(hub: HubServer, tmp_path: Path) -> None:
    folder = minilm_folder()
    if folder is None:
        pytest.skip("the real model is not here: `python -m tests.fakehub.real DIR`, then HFDMD_TEST_MINILM=DIR")
    files = files_of(folder)
    commit = hub.add_repo(NAME, files)
    with Daemon(tmp_path / "d", hub.endpoint) as daemon:
        assert daemon.download(NAME).status == 202
        until(lambda: repo_of(daemon)["status"] in ("done", "failed"), "the model is here", DEADLINE_S)
        repo = repo_of(daemon)
    assert (repo["status"], repo["filesDone"], repo["commit"]) == ("done", len(files), commit), repo
    assert hub.sent_bytes() <= 1.01 * sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    hub.down()
    seen = official(OPENED, hub.endpoint, daemon.home, HF_HUB_OFFLINE="1")
    assert (seen["tensors"], seen["folder"], seen["warnings"]) == (TENSORS, repo["path"], [])
    assert sha256_of(Path(seen["path"])) == MODEL_SHA256
    assert Path(seen["path"]).stat().st_size == MODEL_BYTES
    for path in files:
        assert (Path(seen["folder"]) / path).read_bytes() == (folder / path).read_bytes()
    hub.up()
    verified = hf(hub.endpoint, daemon.home, "cache", "verify", NAME)
    assert verified.returncode == 0, verified.stderr


def repo_of(daemon: Daemon) -> dict[str, object]:
    """The repo download as the API shows it."""
    view: dict[str, object] = daemon.get("/api/progress", modelRepo=NAME).json["repos"][0]
    return view
