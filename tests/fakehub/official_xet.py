"""Runs the official hf_xet, unchanged, against the test Hub's CAS, in a process and a HOME of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.fakehub.official import environment

TIMEOUT_S = 120

_PROGRAM = """
import hf_xet, json, sys
asked = json.loads(sys.argv[1])
session = hf_xet.XetSession()
if "upload" in asked:
    with session.new_upload_commit(token_refresh_url=asked["token_url"]) as commit:
        handles = [commit.start_upload_file(path) for path in asked["upload"]]
    print(json.dumps([handle.result().xet_info.hash for handle in handles]))
else:
    with session.new_file_download_group(token_refresh_url=asked["token_url"]) as group:
        for name, size, path in asked["download"]:
            group.start_download_file(hf_xet.XetFileInfo(name, size), path)
"""


def xet_upload(endpoint: str, repo: str, home: Path, files: Sequence[Path], **environ: str) -> list[str]:
    """Uploads the files with the repo's write token; returns their Xet hashes. `home` has its shard cache."""
    asked = {"token_url": _token_url(endpoint, repo, "write"), "upload": [str(path) for path in files]}
    found = json.loads(_run(_command(asked), endpoint, home, environ))
    assert isinstance(found, list)
    return found


def xet_download(endpoint: str, repo: str, home: Path, files: Sequence[tuple[str, int, Path]], **environ: str) -> None:
    """Downloads (Xet hash, size in bytes, destination) with the repo's read token, all at the same time."""
    _run(download_command(endpoint, repo, files), endpoint, home, environ)


def download_command(endpoint: str, repo: str, files: Sequence[tuple[str, int, Path]]) -> list[str]:
    """The command line of `xet_download`."""
    wanted = [(name, size_bytes, str(path)) for name, size_bytes, path in files]
    return _command({"token_url": _token_url(endpoint, repo, "read"), "download": wanted})


def _token_url(endpoint: str, repo: str, scope: str) -> str:
    return f"{endpoint}/api/models/{repo}/xet-{scope}-token/main"


def _command(asked: dict[str, Any]) -> list[str]:
    return [sys.executable, "-c", _PROGRAM, json.dumps(asked)]


def _run(command: Sequence[str], endpoint: str, home: Path, environ: Mapping[str, str]) -> str:
    home.mkdir(parents=True, exist_ok=True)
    env = environment(endpoint, home, **environ)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
