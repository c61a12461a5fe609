"""The API's JSON bodies as typed structs: one struct per schema, camelCase on the wire, snake_case in Python.

Bytes are bytes, times are RFC 3339 in UTC, unknown numbers are null. The structs check types;
`hfdmd.wire.validate` checks the syntax of names.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

API_VERSION = "1"
HUB_TOKEN_HEADER = "X-HF-Token"  # noqa: S105 - a name, no secret
"""Header with the caller's Hub token, of the requests that ask the Hub something."""

DEFAULT_REVISION = "main"
DEFAULT_REPO_TYPE = "model"
PRIORITY_MIN, PRIORITY_MAX = -100, 100
DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
QUEUE_POSITIONS_SHOWN = 100

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for malformed input: not JSON or of another type; not UTF-8; nested too deeply."""

Priority = Annotated[int, Meta(ge=PRIORITY_MIN, le=PRIORITY_MAX)]
Position = Annotated[int, Meta(ge=1, le=1_000_000)]
NonNegative = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Globs = Annotated[list[Annotated[str, Meta(min_length=1, max_length=1024)]], Meta(max_length=1000)]


class RepoType(StrEnum):
    MODEL = "model"
    DATASET = "dataset"
    SPACE = "space"


class Status(StrEnum):
    """Status of a download or a repo download (docs/api.md, section 2)."""

    QUEUED = "queued"
    DOWNLOADING = "downloading"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Phase(StrEnum):
    """Phase of a download with status `downloading`; `listing` only of a repo download."""

    LISTING = "listing"
    RESOLVING = "resolving"
    TRANSFERRING = "transferring"
    VERIFYING = "verifying"
    PLACING = "placing"


class Reason(StrEnum):
    """Why a download failed, waits or is paused: a closed set."""

    status: Status
    """The status that the reason belongs to."""

    def __new__(cls, value: str, status: Status) -> Reason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        return member

    REPO_NOT_FOUND = "repo_not_found", Status.FAILED
    REVISION_NOT_FOUND = "revision_not_found", Status.FAILED
    FILE_NOT_FOUND = "file_not_found", Status.FAILED
    GATED = "gated", Status.FAILED
    UNAUTHORIZED = "unauthorized", Status.FAILED
    HASH_MISMATCH = "hash_mismatch", Status.FAILED
    UNVERIFIABLE = "unverifiable", Status.FAILED
    TLS = "tls", Status.FAILED
    DISK_ERROR = "disk_error", Status.FAILED
    PATH_TAKEN = "path_taken", Status.FAILED
    XET_REQUIRED = "xet_required", Status.FAILED
    INTERNAL = "internal", Status.FAILED
    NETWORK = "network", Status.QUEUED
    HUB_UNAVAILABLE = "hub_unavailable", Status.QUEUED
    RATE_LIMITED = "rate_limited", Status.QUEUED
    STALLED = "stalled", Status.QUEUED
    LOCKED = "locked", Status.QUEUED
    DISK_FULL = "disk_full", Status.QUEUED
    RESTARTED = "restarted", Status.QUEUED
    REQUESTED = "requested", Status.PAUSED


FAILED_REASONS = frozenset(reason for reason in Reason if reason.status is Status.FAILED)
QUEUED_REASONS = frozenset(reason for reason in Reason if reason.status is Status.QUEUED)
OUTAGE_REASONS = frozenset({Reason.NETWORK, Reason.HUB_UNAVAILABLE, Reason.RATE_LIMITED, Reason.STALLED})
"""Why no byte comes: those of `queued` that are also shown while `downloading`."""
PAUSED_REASONS = frozenset(reason for reason in Reason if reason.status is Status.PAUSED)


TransportName = Literal["http", "xet"]
"""How bytes come: over the Hub's HTTP route, or as chunks of Xet."""


class ResponseBody(msgspec.Struct, rename="camel", kw_only=True):
    """Base of response bodies."""


class _RequestBody(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Base of request bodies: an unknown field is an error that names it."""


class Download(ResponseBody, gc=False):  # tens of thousands, none part of a reference cycle
    """One file of one repo at one revision."""

    id: str
    model_repo: str
    file_path: str
    revision: str
    repo_type: RepoType
    local_dir: str | None
    repo_ids: list[str]
    status: Status
    phase: Phase | None
    progress: float
    reason: Reason | None
    detail: str | None
    error: str | None
    total_bytes: int | None
    downloaded_bytes: int
    reused_bytes: int
    bytes_per_second: int | None
    eta_seconds: int | None
    priority: int
    queue_position: int | None
    attempt: int
    retry_at: str | None
    commit: str | None
    digest: str | None
    path: str | None
    transport: TransportName | None
    created_at: str
    updated_at: str
    version: int


class RepoDownload(ResponseBody):
    """One request for many files of a repo, with the sums over them."""

    id: str
    model_repo: str
    revision: str
    repo_type: RepoType
    local_dir: str | None
    include: list[str]
    exclude: list[str]
    status: Status
    phase: Phase | None
    progress: float
    reason: Reason | None
    detail: str | None
    error: str | None
    files_total: int | None
    files_done: int
    files_failed: int
    total_bytes: int | None
    downloaded_bytes: int
    reused_bytes: int
    bytes_per_second: int | None
    eta_seconds: int | None
    priority: int
    queue_position: int | None
    commit: str | None
    path: str | None
    created_at: str
    updated_at: str
    version: int


class DownloadRequest(_RequestBody):
    """Body of `POST /api/download`: one file with `filePath`, else a repo or the files that its globs match."""

    model_repo: str
    file_path: str | UnsetType = UNSET
    revision: str = DEFAULT_REVISION
    repo_type: RepoType = RepoType.MODEL
    local_dir: str | None = None
    include: Globs | None = None
    exclude: Globs | None = None
    priority: Priority | UnsetType = UNSET
    retry: bool = False
    update: bool = False


class Selector(_RequestBody):
    """The downloads of an action; an omitted field matches any value."""

    id: str | UnsetType = UNSET
    all: bool | UnsetType = UNSET
    model_repo: str | UnsetType = UNSET
    file_path: str | UnsetType = UNSET
    revision: str | UnsetType = UNSET
    repo_type: RepoType | UnsetType = UNSET
    local_dir: str | UnsetType = UNSET
    in_cache: bool | UnsetType = UNSET
    status: Status | UnsetType = UNSET


class ReorderRequest(Selector):
    """Body of `PATCH /api/download`: a selector and exactly one of `priority` and `position`."""

    priority: Priority | UnsetType = UNSET
    position: Position | UnsetType = UNSET


class DeleteRequest(Selector):
    """Body or query of `DELETE /api/download`."""

    delete_file: bool = False


class Downloads(ResponseBody):
    """A page of downloads and repo downloads; `nextCursor` requests the next one."""

    downloads: list[Download]
    repos: list[RepoDownload]
    next_cursor: str | None = None


class Affected(ResponseBody):
    """The downloads that an action is for, in their present state.

    By `id` or `filePath` all that match, otherwise those that the action changed. `unchanged`: how many of those that
    match it left as they were.
    """

    downloads: list[Download]
    repos: list[RepoDownload]
    unchanged: int


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
ClockTime = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class ScheduleRule(_RequestBody):
    """A bandwidth limit for some hours of some days, in local time. If `to` is before `from` it ends the next day."""

    days: Annotated[list[Day], Meta(min_length=1, max_length=7)]
    from_: ClockTime = msgspec.field(name="from")
    to: ClockTime
    bandwidth_limit: NonNegative


TransportSetting = Literal["auto", "http", "xet"]
MaxActiveDownloads = Annotated[int, Meta(ge=1, le=1000)]
MaxConnections = Annotated[int, Meta(ge=1, le=1024)]
MaxConnectionsPerFile = Annotated[int, Meta(ge=1, le=64)]
Schedule = Annotated[list[ScheduleRule], Meta(max_length=100)]
StallTimeout = Annotated[float, Meta(ge=1, le=3600)]


class Settings(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """Settings that may change while the daemon runs, with their present values."""

    max_active_downloads: MaxActiveDownloads
    max_connections: MaxConnections
    max_connections_per_file: MaxConnectionsPerFile
    bandwidth_limit: NonNegative
    schedule: Schedule
    stall_timeout: StallTimeout
    min_free_bytes: NonNegative
    transport: TransportSetting


class SettingsPatch(_RequestBody):
    """Body of `PATCH /api/settings`: null returns a setting to `config.toml`, the environment and the flags."""

    max_active_downloads: MaxActiveDownloads | UnsetType | None = UNSET
    max_connections: MaxConnections | UnsetType | None = UNSET
    max_connections_per_file: MaxConnectionsPerFile | UnsetType | None = UNSET
    bandwidth_limit: NonNegative | UnsetType | None = UNSET
    schedule: Schedule | UnsetType | None = UNSET
    stall_timeout: StallTimeout | UnsetType | None = UNSET
    min_free_bytes: NonNegative | UnsetType | None = UNSET
    transport: TransportSetting | UnsetType | None = UNSET


class Info(ResponseBody):
    version: str
    api_version: str
    pid: int
    hub_endpoint: str
    cache_dir: str
    state_dir: str
    socket: str | None
    url: str | None
    has_hub_token: bool
    free_bytes: int | None
    counts: dict[Status, int]
    bytes_per_second: int
    loading: bool


class CheckState(StrEnum):
    """How a check ended. `warning`: it works, but not as one would wish; `problem`: downloads cannot work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Check(ResponseBody):
    """One thing that downloads need. `found`: how it is; `cure`: what to do, empty when there is nothing to do."""

    what: str
    state: CheckState
    found: str
    cure: str = ""


class Checks(ResponseBody):
    checks: list[Check]


class Health(ResponseBody):
    status: Literal["ok"] = "ok"


class Problem(ResponseBody):
    """An error, as RFC 9457 `application/problem+json` with a stable `code`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None


class Endpoint(ResponseBody):
    """`<state dir>/endpoint.json`: where the daemon of this state folder listens."""

    pid: int
    socket: str | None
    url: str | None


class EventName(StrEnum):
    """Names of the server-sent events of `GET /api/progress`."""

    PROGRESS = "progress"
    REPO = "repo"
    REMOVED = "removed"
    READY = "ready"
    END = "end"


class EndReason(StrEnum):
    """Why a stream ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    IDLE = "idle"
    LAGGING = "lagging"
    SHUTDOWN = "shutdown"


RECONNECT_REASONS = frozenset({EndReason.LAGGING, EndReason.SHUTDOWN})
"""After one of these a client reconnects; after any other the stream is complete."""


class Removed(ResponseBody):
    """Data of an SSE `removed` event."""

    id: str


class End(ResponseBody):
    """Data of an SSE `end` event."""

    reason: EndReason
