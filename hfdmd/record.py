"""What a tracker file holds: the daemon's memory of one download or one repo download."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import msgspec

from hfdmd.migrations import TRACKER_MIGRATIONS, schema_version
from hfdmd.wire.types import Phase, Reason, RepoType, Status, TransportName

SCHEMA_VERSION = schema_version(TRACKER_MIGRATIONS)

Digest = str
"""`sha256:<64 hex>` of the content (LFS and Xet files) or `git-sha1:<40 hex>` of the git blob (all others)."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")

NO_ETAG = "unverified-"
"""How the name of a blob begins whose server gives no etag."""

Span = tuple[int, int]
"""A half-open range of bytes: start, end."""


def is_commit(value: str) -> bool:
    return _COMMIT.fullmatch(value) is not None


def is_etag(value: str) -> bool:
    """Whether `value` may become the name of a blob file."""
    return _ETAG.fullmatch(value) is not None and ".." not in value


class FileSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """What identifies a download: one file of one repo at one revision, and the folder it goes to.

    `confined` is not part of the identity: the first request came from a client that is limited to `allowed_dirs`.
    """

    repo_type: RepoType
    model_repo: str
    revision: str
    file_path: str
    local_dir: str | None = None
    confined: bool = False

    @property
    def id(self) -> str:
        return _file_id(self)

    @property
    def repo(self) -> RepoSpec:
        """The repo it belongs to, without globs."""
        return RepoSpec(
            repo_type=self.repo_type,
            model_repo=self.model_repo,
            revision=self.revision,
            local_dir=self.local_dir,
            confined=self.confined,
        )


class RepoSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """What identifies a repo download; globs are sorted and without doubles. `confined` as in `FileSpec`."""

    repo_type: RepoType
    model_repo: str
    revision: str
    local_dir: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    confined: bool = False

    @property
    def id(self) -> str:
        return _hash(
            "repo",
            self.repo_type,
            self.model_repo,
            self.revision,
            self.local_dir,
            *("+" + glob for glob in self.include),
            *("-" + glob for glob in self.exclude),
        )

    def file(self, path: str) -> FileSpec:
        return FileSpec(
            repo_type=self.repo_type,
            model_repo=self.model_repo,
            revision=self.revision,
            file_path=path,
            local_dir=self.local_dir,
            confined=self.confined,
        )


class Source(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """What a file is according to the Hub, checked by `hfdmd.hub` and pinned at the first resolve.

    `etag` names the blob in the Hub's cache. `size_bytes` is None only when the Hub gives no length. `told_at` is when
    the Hub said that the revision points at the commit, in seconds since the epoch; 0 when that is unknown.
    """

    commit: str
    etag: str
    size_bytes: int | None
    digest: Digest | None
    xet_hash: str | None = None
    told_at: float = 0.0

    @property
    def is_identified(self) -> bool:
        """Whether a digest or the server's etag shows that a later response has other content."""
        return self.digest is not None or not self.etag.startswith(NO_ETAG)

    def same_content(self, other: Source) -> bool:
        """Whether bytes fetched for one may be continued with bytes of the other."""
        return (self.etag, self.size_bytes, self.digest) == (other.etag, other.size_bytes, other.digest)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One file of a repo as a listing named it, checked. `blob_id` is git's own hash of the file or the LFS pointer."""

    path: str
    source: Source
    blob_id: str


@lru_cache(maxsize=1024)  # called several times for each file of a batch
def _file_id(spec: FileSpec) -> str:
    return _hash("file", spec.repo_type, spec.model_repo, spec.revision, spec.file_path, spec.local_dir)


def _hash(*parts: str | None) -> str:
    """32 hex digits over the parts; each is framed by its length, so no two lists of parts look alike."""
    framed = b""
    for part in parts:
        data = b"" if part is None else b"=" + part.encode()
        framed += b"%d:%b" % (len(data), data)
    return hashlib.sha256(framed).hexdigest()[:32]


def rfc3339(epoch_s: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, always with microseconds, so that texts compare as times do."""
    micros = round(epoch_s * 1e6)
    return f"{_seconds(micros // 1_000_000)}.{micros % 1_000_000:06}Z"


@lru_cache(maxsize=4)
def _seconds(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


TrackerStatus = Literal["queued", "in-progress", "paused", "done", "failed", "cancelled"]

_TO_TRACKER: dict[Status, TrackerStatus] = {
    Status.QUEUED: "queued",
    Status.DOWNLOADING: "in-progress",
    Status.PAUSED: "paused",
    Status.DONE: "done",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}
_FROM_TRACKER = {word: status for status, word in _TO_TRACKER.items()}


class _Tracked(msgspec.Struct, kw_only=True, rename="camel"):
    """The three fields that every tracker file begins with, then the fields that both kinds share.

    Times are RFC 3339 in UTC with microseconds (`rfc3339`), so they sort as text.
    """

    status: TrackerStatus = "queued"
    progress: float = 0
    error: str | None = None
    schema_version: int = SCHEMA_VERSION
    id: str
    reason: Reason | None = None
    detail: str | None = None
    priority: int = 0
    order: float = 0.0
    attempt: int = 0
    retry_at: str | None = None
    created_at: str
    updated_at: str
    version: int
    phase: Phase | None = None

    @property
    def state(self) -> Status:
        """The status as the API names it. With `set_state` the only place that translates."""
        return _FROM_TRACKER[self.status]

    def set_state(self, status: Status) -> None:
        self.status = _TO_TRACKER[status]


class FileRecord(_Tracked, kw_only=True, rename="camel", gc=False):  # tens of thousands, none part of a cycle
    """Tracker of one download.

    `adopted`: another program wrote the file, so it stays when the download is deleted.
    `transport`: what brought bytes last. `reused_bytes`: those of its bytes that were copied from other files.
    `mismatches`: how often the content of the present source was wrong, over all attempts since it was asked for.
    """

    kind: Literal["file"] = "file"
    spec: FileSpec
    asked_singly: bool = False
    repo_ids: list[str] = []
    source: Source | None = None
    downloaded_bytes: int = 0
    synced: list[Span] = []
    mismatches: int = 0
    path: str | None = None
    placed_bytes: int | None = None
    placed_mtime_ns: int | None = None
    adopted: bool = False
    transport: TransportName | None = None
    reused_bytes: int = 0

    @property
    def size_bytes(self) -> int | None:
        """None before it is resolved, and when the Hub gives no length."""
        return None if self.source is None else self.source.size_bytes

    @property
    def synced_bytes(self) -> int:
        """How many bytes of the present source are on stable storage, in its part file."""
        return sum(end - start for start, end in self.synced)


class RepoRecord(_Tracked, kw_only=True, rename="camel"):
    """Tracker of one repo download.

    `held`, `cancelled`: it was paused or cancelled, which holds for its files that have not started.
    `revive`: it was asked for again: the listing queues files that were cancelled or are missing.
    `retry`: it was asked for with `retry`: the listing queues failed files too.
    `moving`: an update found a newer commit: the listing moves the files to it.
    `dropped`: paths of files that were deleted from it: the listing leaves them out until it is asked for again.
    `note`: what the listing left out, shown as `detail`.
    `asked_at`: when it was asked for last; None: when it was created.
    `told_at`: when the Hub named the commit, as in `Source`.
    """

    kind: Literal["repo"] = "repo"
    spec: RepoSpec
    listed: bool = False
    held: bool = False
    cancelled: bool = False
    revive: bool = True
    retry: bool = False
    moving: bool = False
    dropped: set[str] = set()
    note: str | None = None
    asked_at: str | None = None
    commit: str | None = None
    told_at: float = 0.0
    files_total: int | None = None
    files_done: int = 0
    files_failed: int = 0
    total_bytes: int | None = None
    downloaded_bytes: int = 0
    reused_bytes: int = 0
    path: str | None = None

    @property
    def implied_status(self) -> Status:
        """The status of its files that have not started."""
        if self.cancelled:
            return Status.CANCELLED
        return Status.PAUSED if self.held else Status.QUEUED


Record = FileRecord | RepoRecord


def new_file(spec: FileSpec, version: int, created_s: float, order: float, **fields: Any) -> FileRecord:
    """The record of a download that is asked for; `created_s` in seconds since the epoch."""
    now = rfc3339(created_s)
    return FileRecord(id=spec.id, spec=spec, created_at=now, updated_at=now, version=version, order=order, **fields)


def new_repo(spec: RepoSpec, version: int, created_s: float, **fields: Any) -> RepoRecord:
    """The record of a repo download that is asked for; `created_s` in seconds since the epoch."""
    now = rfc3339(created_s)
    return RepoRecord(id=spec.id, spec=spec, created_at=now, updated_at=now, version=version, order=created_s, **fields)
