"""Validates what the Hub sends: paths, sizes and etags are untrusted until they pass here. Pure.

Rules for paths: `hfdmd.wire.validate.path_problem`, and no Windows drive letters in any part, as in
`huggingface_hub._local_folder` (the Hub's client would never find a file whose path it refuses).
"""

from __future__ import annotations

import re

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


def client_accepts(path: str) -> bool:
    """Whether the Hub's client accepts `path`. It allows control characters and backslashes.

    As in `huggingface_hub._local_folder`, the path must also be legal with its backslashes read as slashes.
    """
    return path_problem(_CONTROL.sub("_", path).replace("\\", "/")) is None


def size_of(value: str | None) -> int | None:
    """The size in bytes that a header gives, None when it is not a legal size."""
    if value is None or _NUMBER.fullmatch(value.strip()) is None:
        return None
    size_bytes = int(value)
    return size_bytes if size_bytes <= MAX_SIZE_BYTES else None


def normal_etag(value: str | None) -> str | None:
    """An `ETag` header without quotes and weakness prefix: the blob's name in the Hub's cache."""
    if value is None:
        return None
    return value.strip().removeprefix("W/").strip('"') or None


class PathGuard:
    """Checks the paths of a repo one by one: for duplicates, and for files that are folders of other files too.

    Keeps a set of the paths and one of the folders. The strings of the paths are shared with the listing.
    """

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def problem(self, path: str) -> str | None:
        """Why `path` is refused. None accepts it: later paths are checked against it."""
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
                break  # then all folders above it are known too
            if folder in self._files:
                return f"lies below {folder!r}, which is a file"
            folders.append(folder)
            end = folder.rfind("/")
        self._files.add(path)
        self._folders.update(folders)
        return None
