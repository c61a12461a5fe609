"""Which `hfdmd` the service starts, and whether a service can start it at all."""

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

from hfdmd_client.service.errors import ServiceError

INSTALLER = "packaging/install-opt.sh"
_HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"), Path("/Users"), Path("/var/root"))
"""What ProtectHome=yes hides, here and on macOS, where homes are closed to others."""
_SCRATCH = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108  named to be refused, not used
_FIRST_PERSON_UID = 1000
_OTHERS_READ = stat.S_IROTH
_OTHERS_ENTER = stat.S_IXOTH


def find() -> Path:
    """The `hfdmd` of this very installation: beside the running `hfdm`. Raises ServiceError when there is none."""
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))]
    for folder in folders:
        candidate = Path(folder) / "hfdmd"
        if os.access(candidate, os.X_OK):
            return candidate
    if found := shutil.which("hfdmd"):
        return Path(found).absolute()
    raise ServiceError(f"no hfdmd beside this hfdm (looked into {', '.join(folders)}); install the package again")


def check_user(program: Path) -> None:
    """Raises ServiceError when a person's own service could not start `program` after the next login."""
    _check_runs(program)
    if "uv" in program.parts and any(part.startswith("archive-v") for part in program.parts):
        raise ServiceError(f"{program} is of a temporary environment (uvx); use 'uv tool install hfdmd' or pipx first")
    for place in _SCRATCH:
        if program.is_relative_to(place):
            raise ServiceError(f"{program} lies in {place}, which is emptied; a service needs one that stays")


def check_system(program: Path) -> None:
    """Raises ServiceError when a system service cannot, or must not, run `program`.

    It cannot when the service's own account can't see the code (somebody's home, a private folder), and must not when
    anybody but root could change what it runs.
    """
    _check_runs(program)
    for path in _code(program):
        _check_place(path)
        _check_guarded(path)


def _check_runs(program: Path) -> None:
    if not program.is_absolute():
        raise ServiceError(f"{program} is no absolute path")
    if not program.is_file() or not os.access(program, os.X_OK):
        raise ServiceError(f"{program} is not there, or is no program")


def _code(program: Path) -> Iterator[Path]:
    """Everything that runs when `program` is started, as far as can be told: itself, its interpreter, its package."""
    yield program
    with program.open("rb") as file:
        first = file.readline(512).decode("utf-8", "replace").strip()
    if first.startswith("#!/") and " " not in first:
        yield Path(first[2:])
    if program.resolve().parent == Path(sysconfig.get_path("scripts")).resolve():
        yield Path(sys.executable)
        yield Path(str(resources.files("hfdmd")))


def _chain(path: Path) -> Iterator[Path]:
    """`path`, what it points to, and every folder on the way to either."""
    for end in dict.fromkeys((path, path.resolve())):
        yield end
        yield from end.parents


def _check_place(path: Path) -> None:
    for part in _chain(path):
        if part in _homes():
            what = f"somebody's home ({part}), which a system service cannot see"
        elif part in _SCRATCH:
            what = f"{part}, where anybody may write and which is emptied"
        else:
            continue
        raise ServiceError(
            f"the system service cannot run {path.resolve()}: it lies in {what}."
            f" Install hfdmd for the whole machine with {INSTALLER}, or use 'hfdm service install --user'"
        )


def _check_guarded(path: Path) -> None:
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
    people = {Path(entry.pw_dir) for entry in pwd.getpwall() if entry.pw_uid >= _FIRST_PERSON_UID}
    return (people | set(_HIDDEN)) - {Path("/"), Path("/nonexistent")}


def _uids() -> set[int]:
    return {entry.pw_uid for entry in pwd.getpwall()}
