"""Serves a folder as a Hub: `python -m tests.fakehub --from FOLDER`.

The first line on stdout is `HF_ENDPOINT=http://127.0.0.1:PORT`, for `export`; the served repos are listed on stderr.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.fakehub.content import PathContent, Source
from tests.fakehub.server import HubServer

IGNORED = {".git", ".cache", "__pycache__"}


def files_of(folder: Path) -> dict[str, Source]:
    """Every file below `folder` by its path in the repo; links to files are followed."""
    found: dict[str, Source] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - IGNORED)
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = PathContent(path)
    return found


def repos_of(folder: Path) -> dict[str, Path]:
    """OWNER/NAME to folder, if `folder` has two levels of folders and no files in them above; else empty."""
    owners = [path for path in sorted(folder.iterdir()) if path.name not in IGNORED]
    if not owners or not all(owner.is_dir() for owner in owners):
        return {}
    inner = [path for owner in owners for path in sorted(owner.iterdir())]
    if not all(path.is_dir() for path in inner):
        return {}
    return {f"{path.parent.name}/{path.name}": path for path in inner}


def parser() -> argparse.ArgumentParser:
    """The command line's options."""
    made = argparse.ArgumentParser(prog="python -m tests.fakehub", description="Serves a folder as a Hugging Face Hub.")
    made.add_argument(
        "--from", dest="folder", type=Path, required=True, help="a repo, or a folder of OWNER/NAME folders"
    )
    made.add_argument("--port", type=int, default=0, help="the Hub's port (the CDN takes another); default: a free one")
    made.add_argument("--repo", help="OWNER/NAME of the one repo; default: the folders' names, or local/FOLDER")
    made.add_argument("--repo-type", choices=("model", "dataset", "space"), default="model")
    made.add_argument("--token", help="make every repo gated; this token has access")
    made.add_argument("--rate", type=float, default=0, metavar="BYTES/S", help="total limit of all response bodies")
    made.add_argument("--rate-per-connection", type=float, default=0, metavar="BYTES/S")
    made.add_argument("--latency", type=float, default=0, metavar="S", help="delay before every response")
    made.add_argument("--xet", action="store_true", help="serve every file by Xet too")
    made.add_argument("--tls", action="store_true", help="serve HTTPS; the second line on stdout is SSL_CERT_FILE=…")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT."""
    asked = parser().parse_args(arguments)
    folder: Path = asked.folder
    if not folder.is_dir():
        print(f"{folder} is not a folder", file=sys.stderr)
        return 2
    repos = {asked.repo: folder} if asked.repo else repos_of(folder) or {f"local/{folder.resolve().name}": folder}
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    hub = HubServer(port=asked.port, tls=asked.tls, xet=asked.xet)
    hub.rate_bytes_per_s = asked.rate
    hub.per_connection_bytes_per_s = asked.rate_per_connection
    hub.latency_s = asked.latency
    if asked.token:
        hub.add_token(asked.token)
    for name, path in repos.items():
        files = files_of(path)
        commit = hub.add_repo(name, files, repo_type=asked.repo_type, xet=asked.xet, gated=bool(asked.token))
        print(f"{asked.repo_type} {name} at {commit}: {len(files)} files", file=sys.stderr)
    with hub:
        print(f"HF_ENDPOINT={hub.endpoint}", flush=True)
        if asked.tls:
            print(f"SSL_CERT_FILE={hub.ca_path}", flush=True)
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
