"""The Hub client's store of Xet files that several repos share: what is there already need not be fetched.

Source: `huggingface_hub.utils._shared_blobs`. We only link to what others put there, as the client does, and never
publish: the client itself publishes only what it fetched through Xet. Unlike the client we read what we link to.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from hfdmd.cache import layout
from hfdmd.cache.content import has_content
from hfdmd.durable import write_all
from hfdmd.record import Source

_MARKER = ".huggingface-shared-blobs"
_VERSION = "1\n"
_TRUE = {"1", "ON", "YES", "TRUE"}
_WAIT_S = 5.0
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def find_shared(root: Path, source: Source, stopped: Callable[[], bool]) -> Path | None:
    """The store's file with the source's content, verified by reading it; None when there is none."""
    disabled = ("HF_HUB_DISABLE_SHARED_BLOBS", "HF_HUB_DISABLE_XET")
    if source.xet_hash is None or any(os.environ.get(name, "").upper() in _TRUE for name in disabled):
        return None
    store = root / "blobs"
    payload = store / source.xet_hash[:2] / source.xet_hash
    try:
        if (store / _MARKER).read_text() != _VERSION:
            return None
        fd = os.open(payload, _READ)
    except (OSError, UnicodeDecodeError):
        return None
    try:
        good = stat.S_ISREG(os.fstat(fd).st_mode) and has_content(fd, source, stopped)
        if good:
            os.fsync(fd)
    finally:
        os.close(fd)
    return payload if good else None


def link_shared(root: Path, payload: Path, blob: Path) -> bool:
    """Make `blob` a link to the store's file, which from then on counts it among its users. Raises OSError.

    False when the file went away meanwhile, or somebody holds its lock for long.
    """
    lock = FileLock(payload.with_name(f"{payload.name}.lock"), mode=0o666, thread_local=False)
    try:
        lock.acquire(timeout=_WAIT_S)
    except (Timeout, NotImplementedError):
        return False
    try:
        if not stat.S_ISREG(os.lstat(payload).st_mode):
            return False
        _count_in(payload.with_name(f"{payload.name}.refs"), blob.relative_to(root).as_posix())
        temporary = blob.with_name(layout.temporary_name())
        os.symlink(os.path.relpath(payload, blob.parent), temporary)
        os.replace(temporary, blob)
    except FileNotFoundError:
        return False
    finally:
        lock.release()
    return True


def _count_in(manifest: Path, user: str) -> None:
    """Name a user of the file, on the disk before the link exists, so that no clean-up takes the file away."""
    fd = os.open(manifest, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FileNotFoundError(str(manifest))
        with contextlib.suppress(PermissionError):
            os.fchmod(fd, 0o666)  # every user of the cache must be able to add himself
        write_all(fd, f"{user}\n".encode())
        os.fsync(fd)
    finally:
        os.close(fd)
