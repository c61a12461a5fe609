"""Specs, sources, part files and the Hub's own client for tests."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from huggingface_hub import hf_hub_download, scan_cache_dir

from hfdmd.cache.fs_ops import clone_file
from hfdmd.cache.storage import Placed, Storage
from hfdmd.failure import Failure
from hfdmd.record import FileSpec, Source
from hfdmd.wire.types import RepoType

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "f" * 40
REPO = "owner/name"
DATA = b"the content" * 1000


def spec_of(
    path: str, *, revision: str = "main", local_dir: Path | None = None, repo_type: RepoType = RepoType.MODEL
) -> FileSpec:
    return FileSpec(
        repo_type=repo_type,
        model_repo=REPO,
        revision=revision,
        file_path=path,
        local_dir=None if local_dir is None else str(local_dir),
    )


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def source_of(
    data: bytes, *, lfs: bool = False, commit: str = COMMIT, xet_hash: str | None = None, told_at: float = 0.0
) -> Source:
    sha256 = hashlib.sha256(data).hexdigest()
    return Source(
        commit=commit,
        etag=sha256 if lfs else git_oid(data),
        size_bytes=len(data),
        digest=f"sha256:{sha256}" if lfs else f"git-sha1:{git_oid(data)}",
        xet_hash=xet_hash,
        told_at=told_at,
    )


def put(
    storage: Storage,
    spec: FileSpec,
    data: bytes,
    *,
    lfs: bool = True,
    commit: str = COMMIT,
    told_at: float = 0.0,
    previous: Placed | None = None,
) -> Placed:
    """Places a file as the scheduler does: part file, then its place."""
    source = source_of(data, lfs=lfs, commit=commit, told_at=told_at)
    part = storage.part_path(spec, source)
    part.write_bytes(data)
    return storage.place(spec, source, part, previous)


def delete(storage: Storage, spec: FileSpec, source: Source, placed: Placed) -> bool:
    """Deletes one file. Raises `Failure`."""
    [removed] = storage.delete_all([(spec, source, placed)])
    if isinstance(removed, Failure):
        raise removed
    return removed


def tree(root: Path) -> set[str]:
    """All files and links below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}


def shares_blocks(folder: Path) -> bool:
    """Whether the file system of `folder` clones files."""
    with (folder / "a").open("w+b") as source, (folder / "b").open("w+b") as target:
        source.write(b"a")
        source.flush()
        return clone_file(source.fileno(), target.fileno())


def offline(cache: Path, path: str, **more: str) -> bytes:
    return Path(hf_hub_download(REPO, path, cache_dir=cache, local_files_only=True, **more)).read_bytes()


def assert_clean(cache: Path) -> None:
    info = scan_cache_dir(cache)
    assert info.warnings == []
    assert info.incomplete_files == frozenset()


def hf(cache: Path, *arguments: str, endpoint: str = "http://127.0.0.1:9") -> str:
    """The `hf` command over this cache."""
    env = {
        **os.environ,
        "HF_HOME": str(cache.parent),
        "HF_HUB_CACHE": str(cache),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "NO_COLOR": "1",
    }
    command = Path(sys.executable).parent / "hf"
    done = subprocess.run([command, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
