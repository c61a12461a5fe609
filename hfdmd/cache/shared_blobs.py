"""The Hub client's store of Xet files that repos share: content in it is linked, not fetched.

Source: `huggingface_hub.utils._shared_blobs`. hfdmd links to files of the store, as the client does, and never adds
any: the client adds only files that it fetched through Xet. Unlike the client, hfdmd verifies a file before linking.
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
from hfdmd.wire.environment import is_on

_MARKER = ".huggingface-shared-blobs"
_VERSION = "1\n"
_LOCK_TIMEOUT_S = 5.0
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def find_shared(root: Path, source: Source, stopped: Callable[[], bool]) -> Path | None:
    """The store's file with the content of `source`, verified by reading it. None without one, or when stopped."""
    if source.xet_hash is None or is_on("HF_HUB_DISABLE_SHARED_BLOBS") or is_on("HF_HUB_DISABLE_XET"):
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
    """Make `blob` a symlink to the store's file and register it as a user of the file. Raises OSError.

    False when the file was deleted meanwhile, or its lock is not free within 5 s.
    """
    lock = FileLock(payload.with_name(f"{payload.name}.lock"), mode=0o666, thread_local=False)
    try:
        lock.acquire(timeout=_LOCK_TIMEOUT_S)
    except (Timeout, NotImplementedError, OSError):  # held, or a disk without locks
        return False
    try:
        if not stat.S_ISREG(os.lstat(payload).st_mode):
            return False
        _add_user(payload.with_name(f"{payload.name}.refs"), blob.relative_to(root).as_posix())
        temporary = blob.with_name(layout.temporary_name())
        os.symlink(os.path.relpath(payload, blob.parent), temporary)
        os.replace(temporary, blob)
    except FileNotFoundError:
        return False
    finally:
        lock.release()
    return True


def _add_user(manifest: Path, user: str) -> None:
    """Add a user to the file's list, durably before the symlink exists, so that no clean-up deletes the file."""
    fd = os.open(manifest, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FileNotFoundError(str(manifest))
        with contextlib.suppress(OSError):  # another user's, or a disk without modes
            os.fchmod(fd, 0o666)  # every user of the cache must be able to add lines
        write_all(fd, f"{user}\n".encode())
        os.fsync(fd)
    finally:
        os.close(fd)
