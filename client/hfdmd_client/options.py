"""The keyword arguments that many methods of both clients share, typed once (PEP 692)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

StrPath = str | os.PathLike[str]


class FileOptions(TypedDict, total=False):
    """How to ask for a file. A relative `local_dir` is taken from the present folder."""

    revision: str
    repo_type: str
    local_dir: StrPath | None
    priority: int | None
    retry: bool
    update: bool


class RepoOptions(FileOptions, total=False):
    """How to ask for a repo, or for the part of it that the globs name."""

    include: Sequence[str] | None
    exclude: Sequence[str] | None


class Where(TypedDict, total=False):
    """Which of several downloads of the same repo or file; left out means any. `in_cache`: what has no `local_dir`."""

    revision: str | None
    repo_type: str | None
    local_dir: StrPath | None
    in_cache: bool
    status: str | None


class Selector(Where, total=False):
    """Which downloads: by `id`, by repo (and file), or `all=True`."""

    id: str | None
    all: bool
    model_repo: str | None
    file_path: str | None


class Selection(Where, total=False):
    """What a selector may add to a repo and a file that were named."""

    id: str | None
    all: bool


def absolute(folder: StrPath | None) -> str | None:
    """`folder` as the daemon wants it: absolute and normalised, `~` expanded. An empty one it is to refuse."""
    text = None if folder is None else os.fspath(folder)
    return os.path.abspath(os.path.expanduser(text)) if text else text


def normalised(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` with an absolute `local_dir`."""
    return {key: absolute(value) if key == "local_dir" else value for key, value in options.items()}
