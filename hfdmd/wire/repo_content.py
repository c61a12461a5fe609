"""What a repo has on the Hub, and what a download of it would do, as JSON bodies. See `hfdmd.wire.types`."""

from __future__ import annotations

import msgspec

from hfdmd.wire.types import ResponseBody, Status


class RepoFile(ResponseBody):
    """One file of a repo on the Hub. `status` and `id` are those of its download; `cached`: it is on disk."""

    file_path: str
    size: int | None
    status: Status | None
    id: str | None
    cached: bool


class Quantisation(ResponseBody):
    """One quantisation of a GGUF repo. `files` are all that belong to it: its parts, and `mmproj`, the projector."""

    name: str
    files: list[str]
    mmproj: str | None
    total_bytes: int | None
    recommended: bool


class RepoFiles(ResponseBody):
    """A page of a repo's files. `quantisations` are those of the whole repo, on the first page only."""

    commit: str
    files: list[RepoFile]
    next_cursor: str | None = None
    quantisations: list[Quantisation] = msgspec.field(default_factory=list)


class PlannedFile(ResponseBody):
    """One file of a plan. `cached`: it is on disk already."""

    file_path: str
    size: int | None
    cached: bool


class DownloadPlan(ResponseBody):
    """What a download would do. Sizes are sums over the files whose size is known.

    `reusableBytes` are those that could be copied from other files on this machine; `fetchBytes` those that would come
    over the network. `fits`: the disk has room for all of them. `files` are the first 1000.
    """

    commit: str
    files_total: int
    total_bytes: int
    cached_bytes: int
    reusable_bytes: int
    fetch_bytes: int
    free_bytes: int
    fits: bool
    files: list[PlannedFile]
