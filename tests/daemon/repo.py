"""The repo that most tests download, its files, and ways to look at the outcome."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from tests.daemon_process import Daemon
from tests.fakehub import seeded

REPO = "org/model"
BIG = "model.safetensors"
FILES: dict[str, Any] = {
    "README.md": b"# hello",
    "config.json": b'{"a": 1}',
    "tokenizer/vocab.txt": b"a\nb\nc\n",
    "model-00001.safetensors": seeded(3_000_000, seed=1),
    "model-00002.safetensors": seeded(2_000_000, seed=2),
}


def official(daemon: Daemon, code: str) -> str:
    """Run `code` with the real huggingface_hub, offline, on the daemon's cache."""
    env = {**daemon.env, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def children(daemon: Daemon, repo_id: str) -> dict[str, dict[str, Any]]:
    """The views of a repo download's files, by path."""
    page = daemon.get("/api/progress", modelRepo=REPO).json
    return {view["filePath"]: view for view in page["downloads"] if repo_id in view["repoIds"]}
