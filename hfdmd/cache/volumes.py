"""Which drive the cache and each local folder are on: one that is not mounted is waited for.

Without this memory a download would start anew in the empty folder below the mount point, on the system's disk
(docs/decisions/0026).
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import msgspec

from hfdmd.durable import existing_ancestor, mount_point, replace_file
from hfdmd.failure import Failure
from hfdmd.wire.types import MALFORMED, Reason

_log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
FILE = "volumes.json"
RETRY_S = 10.0
_MAX_FOLDERS = 1000


class Volume(msgspec.Struct, frozen=True, rename="camel"):
    """A file system: where it is mounted, and its id (`f_fsid` of statvfs(3)), which most keep between mounts."""

    mount_point: str
    file_system: int


class _Memory(msgspec.Struct, rename="camel"):
    schema_version: int
    folders: dict[str, Volume]


class Volumes:
    """The drives of folders, kept in `file`. Thread-safe. Folders on the root file system are not kept."""

    def __init__(self, file: Path | None = None) -> None:
        """Without `file` only for this process. One that cannot be read is replaced."""
        self._file = file
        self._guard = threading.Lock()
        self._known: dict[str, Volume] = {} if file is None else _read(file)
        self._devices: dict[str, int] = {}
        """The device of each folder that has been used, so that using it again costs one call."""

    def use(self, folder: str) -> None:
        """Check that the folder's drive is there, before the folder is created or written to, and remember the drive.

        Raises `Failure` (locked) when it is not, and OSError.
        """
        try:
            if os.stat(folder).st_dev == self._devices.get(folder):
                return
        except FileNotFoundError:
            pass
        with self._guard:
            self._devices.pop(folder, None)
            if (why := self.missing(folder)) is not None:
                raise _away(folder, why)
            present = _volume_of(folder)
            if self._known.get(folder) != present:
                self._remember(folder, present)
            if os.path.isdir(folder):
                self._devices[folder] = os.stat(folder).st_dev

    @property
    def folders(self) -> list[str]:
        """The folders whose drives are remembered."""
        return list(self._known)

    def missing(self, folder: str) -> str | None:
        """Why the folder's drive is not there; None when it is. Changes nothing."""
        dangling = next((one for one in (folder, *_above(folder)) if _dangles(one)), None)
        if dangling is not None:
            return f"{dangling} is a link to {os.readlink(dangling)}, which is not there"
        known = self._known.get(folder)
        if known is not None and known != _volume_of(folder) and _is_missing(folder, known):
            return f"nothing is mounted at {known.mount_point}, where it was"
        return None

    def _remember(self, folder: str, volume: Volume) -> None:
        was_known = self._known.pop(folder, None) is not None
        if volume.mount_point != "/":
            self._known[folder] = volume
            while len(self._known) > _MAX_FOLDERS:
                del self._known[next(iter(self._known))]
        elif not was_known:
            return
        if self._file is not None:
            try:
                replace_file(self._file, [msgspec.json.encode(_Memory(SCHEMA_VERSION, self._known))], mode=0o600)
            except OSError as error:
                _log.warning("cannot write %s, which says on which drives folders are: %s", self._file, error.strerror)


def _read(file: Path) -> dict[str, Volume]:
    try:
        memory = msgspec.json.decode(file.read_bytes(), type=_Memory)
    except FileNotFoundError:
        return {}
    except (OSError, *MALFORMED) as error:
        _log.warning("%s cannot be read (%s): drives that are not mounted are not noticed", file, error)
        return {}
    return memory.folders if memory.schema_version == SCHEMA_VERSION else {}


def _is_missing(folder: str, known: Volume) -> bool:
    """Whether the folder's drive is not mounted, rather than replaced: then there is content, or a mount point."""
    real = os.path.realpath(folder)
    if not f"{real}/".startswith(f"{known.mount_point}/"):
        return False  # a link on the way leads elsewhere now
    if not os.path.isdir(real):
        return not os.path.ismount(known.mount_point) or _volume_of(folder).file_system != known.file_system
    return not os.path.ismount(known.mount_point) and not os.listdir(real)


def _volume_of(folder: str) -> Volume:
    """The file system that the folder is on, or would be on."""
    existing = existing_ancestor(os.path.realpath(folder))
    return Volume(str(mount_point(existing)), os.statvfs(existing).f_fsid)


def _above(path: str) -> list[str]:
    return [str(parent) for parent in Path(path).parents]


def _dangles(path: str) -> bool:
    return os.path.islink(path) and not os.path.exists(path)


def _away(folder: str, why: str) -> Failure:
    return Failure(
        Reason.LOCKED,
        f"The drive of {folder} is not there: {why}. Mount it, and this goes on by itself.",
        retry_after_s=RETRY_S,
    )
