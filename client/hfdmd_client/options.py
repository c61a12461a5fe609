"""The keyword arguments that several methods share (PEP 692)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

StrPath = str | os.PathLike[str]


class SourceOptions(TypedDict, total=False):
    """Where files come from and where they go. A relative `local_dir` is relative to the working directory.

    `hub_token`: the Hub token to ask with, by default that of this environment. The daemon does not store it.
    """

    revision: str
    repo_type: str
    local_dir: StrPath | None
    hub_token: str | None


class PlanOptions(SourceOptions, total=False):
    """Options of a plan: of one file, or of the part of a repo that the globs match."""

    include: Sequence[str] | None
    exclude: Sequence[str] | None


class FileOptions(SourceOptions, total=False):
    """Options of a file download."""

    priority: int | None
    retry: bool
    update: bool


class RepoOptions(FileOptions, total=False):
    """Options of a repo download, or of the part of it that the globs match."""

    include: Sequence[str] | None
    exclude: Sequence[str] | None


class Filter(TypedDict, total=False):
    """Narrows a selection; left out means any. `in_cache`: only downloads without a `local_dir`."""

    revision: str | None
    repo_type: str | None
    local_dir: StrPath | None
    in_cache: bool
    status: str | None


class Selector(Filter, total=False):
    """Selects downloads by `id`, by repo (and file), or with `all=True`."""

    id: str | None
    all: bool
    model_repo: str | None
    file_path: str | None


class Selection(Filter, total=False):
    """What may accompany a repo and a file that are positional arguments."""

    id: str | None
    all: bool


def absolute(folder: StrPath | None) -> str | None:
    """`folder` absolute and normalised, `~` expanded. An empty one stays empty, so that the daemon refuses it."""
    text = None if folder is None else os.fspath(folder)
    return os.path.abspath(os.path.expanduser(text)) if text else text


def normalised(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` with an absolute `local_dir`."""
    return {key: absolute(value) if key == "local_dir" else value for key, value in options.items()}
