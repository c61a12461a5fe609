"""Whether what the Hub says may be believed: names, sizes and hashes are hostile until they pass here. Pure.

Rules of paths: `hfdmd.wire.validate.path_problem` and Windows drives in any part, as in `huggingface_hub._local_folder`
(a file that the Hub's client refuses would be found by nobody).
"""

from __future__ import annotations

import re

from hfdmd.record import is_commit
from hfdmd.wire import validate

MAX_SIZE_BYTES = 2**53 - 1
_CONTROL = re.compile(r"[\x01-\x1f\x7f-\x9f\u2028\u2029]")
_NUMBER = re.compile(r"[0-9]{1,16}")


def path_problem(path: str) -> str | None:
    """What is wrong with `path` as a file's path inside a repo, on any system; None when nothing is."""
    if problem := validate.path_problem(path):
        return problem
    if any(part[1:2] == ":" for part in path.split("/")):
        return "has a part with a drive letter"
    return None


def is_clients(path: str) -> bool:
    """Whether the Hub's client takes `path`: control characters and backslashes are no problem to it by themselves.

    As in `huggingface_hub._local_folder`: with its backslashes read as slashes it must not lead elsewhere either.
    """
    return path_problem(_CONTROL.sub("_", path).replace("\\", "/")) is None


def commit_of(value: object) -> str | None:
    """`value` if it is a full commit hash."""
    return value if isinstance(value, str) and is_commit(value) else None


def size_of(value: str | None) -> int | None:
    """A size in bytes as headers spell it, or None for anything else."""
    if value is None or _NUMBER.fullmatch(value.strip()) is None:
        return None
    size_bytes = int(value)
    return size_bytes if size_bytes <= MAX_SIZE_BYTES else None


def normal_etag(value: str | None) -> str | None:
    """An `ETag` header without quotes and weakness, as the Hub's client names blobs after it."""
    if value is None:
        return None
    return value.strip().removeprefix("W/").strip('"') or None


class PathGuard:
    """Checks a repo's paths one by one against each other: doubles, and files that are folders too.

    Holds one set of the paths and one of the folders; both share the strings of whoever keeps the listing.
    """

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def problem(self, path: str) -> str | None:
        """Why `path` is refused; None when it is good, and from now on known."""
        if problem := path_problem(path):
            return problem
        if path in self._files:
            return "is listed twice"
        if path in self._folders:
            return "is a file and a folder"
        folders = []
        end = path.rfind("/")
        while end > 0:
            folder = path[:end]
            if folder in self._folders:
                break  # and so are all above it
            if folder in self._files:
                return f"lies below {folder!r}, which is a file"
            folders.append(folder)
            end = folder.rfind("/")
        self._files.add(path)
        self._folders.update(folders)
        return None

    def forget(self) -> None:
        """Let go of the paths, when there are no more to come."""
        self._files.clear()
        self._folders.clear()
