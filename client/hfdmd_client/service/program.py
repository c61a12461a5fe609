"""Finds the `hfdmd` that the service starts, and checks that a service can start it."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

from hfdmd_client.service.command import ServiceError

INSTALLER = "packaging/install-opt.sh"
_HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"), Path("/Users"), Path("/var/root"))
"""Folders that ProtectHome=yes hides, and their counterparts on macOS, where homes are private."""
_SCRATCH = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108  refused, not used
_FIRST_USER_UID = 1000
_OTHERS_READ = stat.S_IROTH
_OTHERS_ENTER = stat.S_IXOTH


def find() -> Path:
    """The `hfdmd` of this installation, beside the running `hfdm`. Raises `ServiceError` when there is none."""
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))]
    for folder in folders:
        candidate = Path(folder) / "hfdmd"
        if os.access(candidate, os.X_OK):
            return candidate
    if found := shutil.which("hfdmd"):
        return Path(found).absolute()
    raise ServiceError(f"no hfdmd beside this hfdm (searched {', '.join(folders)}); install the package again")


def check_user(program: Path) -> None:
    """Raises `ServiceError` when a user service could not start `program` after the next login."""
    _check_runs(program)
    if "uv" in program.parts and any(part.startswith("archive-v") for part in program.parts):
        what = "is in a temporary environment (uvx); install it permanently first, with 'uv tool install' or pipx"
        raise ServiceError(f"{program} {what}")
    for folder in _SCRATCH:
        if program.is_relative_to(folder):
            raise ServiceError(f"{program} is in {folder}, which is emptied; a service needs a permanent one")


def check_system(program: Path) -> None:
    """Raises `ServiceError` when a system service cannot, or must not, run `program`.

    It cannot when the account of the service cannot read the code (a home or another private folder); it must not when
    anyone but root could change that code.
    """
    _check_runs(program)
    for path in _code(program):
        _check_location(path)
        _check_permissions(path)


def _check_runs(program: Path) -> None:
    if not program.is_absolute():
        raise ServiceError(f"{program} is no absolute path")
    if not program.is_file() or not os.access(program, os.X_OK):
        raise ServiceError(f"{program} is not there, or not executable")


def _code(program: Path) -> Iterator[Path]:
    """The code that runs when `program` is started, as far as it is known: the script, its interpreter, its package."""
    yield program
    with program.open("rb") as file:
        first = file.readline(512).decode("utf-8", "replace").strip()
    if first.startswith("#!/") and " " not in first:
        yield Path(first[2:])
    if program.resolve().parent == Path(sysconfig.get_path("scripts")).resolve():
        yield Path(sys.executable)
        yield Path(str(resources.files("hfdmd")))


def _chain(path: Path) -> Iterator[Path]:
    """`path`, the target of its symlinks, and all folders above both."""
    for end in dict.fromkeys((path, path.resolve())):
        yield end
        yield from end.parents


def _check_location(path: Path) -> None:
    for part in _chain(path):
        if part in _homes():
            what = f"a home folder ({part}), which a system service cannot read"
        elif part in _SCRATCH:
            what = f"{part}, where any user may write and which is emptied"
        else:
            continue
        raise ServiceError(
            f"the system service cannot run {path.resolve()}: it is in {what}."
            f" Install hfdmd for the whole machine with {INSTALLER}, or use 'hfdm service install --user'"
        )


def _check_permissions(path: Path) -> None:
    for part in _chain(path):
        info = part.stat()
        others = info.st_mode & (stat.S_IWGRP if info.st_gid else 0) | info.st_mode & stat.S_IWOTH
        if info.st_uid != 0 or (others and not stat.S_ISLNK(info.st_mode)):
            who = pwd.getpwuid(info.st_uid).pw_name if info.st_uid in _uids() else str(info.st_uid)
            raise ServiceError(
                f"the system service must not run {path}: {part} can be changed by others than root"
                f" (owner {who}, mode {stat.S_IMODE(info.st_mode):o}). Install it with {INSTALLER}"
            )
        needed = _OTHERS_ENTER if part.is_dir() else _OTHERS_READ
        if not info.st_mode & needed:
            raise ServiceError(f"the system service cannot run {path}: {part} is closed to it (mode {info.st_mode:o})")


def _homes() -> Iterable[Path]:
    people = {Path(entry.pw_dir) for entry in pwd.getpwall() if entry.pw_uid >= _FIRST_USER_UID}
    return (people | set(_HIDDEN)) - {Path("/"), Path("/nonexistent")}


def _uids() -> set[int]:
    return {entry.pw_uid for entry in pwd.getpwall()}
