"""The API's route table, used by the server, the OpenAPI document and the clients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from msgspec import Meta

from hfdmd.wire import types as t
from hfdmd.wire.repo_content import DownloadPlan, RepoFiles

JSON = "application/json"
SSE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter. `schema` is a type for msgspec."""

    name: str
    schema: Any
    description: str
    aliases: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `answers` maps a success status to its JSON body's type (a tuple: one of them; None: no JSON).

    `errors` are the codes of this route beside those of all routes (`openapi.COMMON_ERRORS`).
    """

    name: str
    method: str
    path: str
    summary: str
    answers: dict[int, Any]
    errors: tuple[str, ...] = ()
    body: Any = None
    query: tuple[Param, ...] = ()
    media: str = JSON
    stream: bool = False
    asks_hub: bool = False
    """Whether the caller may bring its own Hub token (`HUB_TOKEN_HEADER`)."""


ALIASES = {"ModelRepo": "modelRepo", "FilePath": "filePath"}
"""Other spellings of a key, in a query or a body."""

_ID = Param("id", str, "The id of a download or a repo download.")
_REPO = Param("modelRepo", str, "Repo id, `owner/name`.", ("ModelRepo",))
_FILE = Param("filePath", str, "Path of the file in the repo.", ("FilePath",))
_REVISION = Param("revision", str, "Branch, tag, commit or `refs/pr/N`.")
_TYPE = Param("repoType", t.RepoType, "`model`, `dataset` or `space`.")
_DIR = Param("localDir", str, "Folder for the file instead of the Hub's cache.")
_IN_CACHE = Param("inCache", bool, "Only downloads in the Hub's cache: those without `localDir`.")
_STATUS = Param("status", t.Status, "Only downloads with this status.")
_LIMIT = Param(
    "limit",
    Annotated[int, Meta(ge=1, le=t.MAX_LIMIT)],
    f"Maximum number of results: {t.DEFAULT_LIMIT} by default, at most {t.MAX_LIMIT}. Not on a stream.",
)
_CURSOR = Param("cursor", str, "The `nextCursor` of the previous page. Not on a stream.")
_HISTORY = Param(
    "history", bool, "Stream of everything: begin with all ended downloads, not only those of the last 24 hours."
)
_OFFLINE = Param("offline", bool, "Do not ask the Hub.")
_ALL = Param("all", bool, "Everything.")
_DELETE_FILE = Param("deleteFile", bool, "Delete the file as well.")

SELECTOR = (_ID, _ALL, _REPO, _FILE, _REVISION, _TYPE, _DIR, _IN_CACHE, _STATUS)

_BODY_ERRORS = ("unsupported_media_type", "too_large")
_HUB_ERRORS = ("repo_not_found", "revision_not_found", "gated", "unauthorized", "hub_unavailable", "tls", "loading")
_ACTION_ERRORS = (*_BODY_ERRORS, "unknown_download", "not_allowed_now", "loading")


def _action(name: str, summary: str, *errors: str) -> Route:
    return Route(name, "POST", f"/api/{name}", summary, {200: t.Affected}, (*_ACTION_ERRORS, *errors), body=t.Selector)


ROUTES: tuple[Route, ...] = (
    Route(
        "download",
        "POST",
        "/api/download",
        "Request a file, or a repo or the part of it that globs match. Idempotent; never waits for the Hub.",
        {202: (t.Download, t.RepoDownload), 200: (t.Download, t.RepoDownload)},
        (*_BODY_ERRORS, "forbidden_path", "queue_full", "loading"),
        body=t.DownloadRequest,
        asks_hub=True,
    ),
    Route(
        "plan",
        "POST",
        "/api/plan",
        "What a download would do, without doing it: files, sizes, what is on disk, whether the rest fits.",
        {200: DownloadPlan},
        (*_BODY_ERRORS, *_HUB_ERRORS, "file_not_found", "forbidden_path"),
        body=t.DownloadRequest,
        asks_hub=True,
    ),
    Route(
        "reorder",
        "PATCH",
        "/api/download",
        "Change the priority or the position of queued downloads.",
        {200: t.Affected},
        _ACTION_ERRORS,
        body=t.ReorderRequest,
    ),
    Route(
        "delete",
        "DELETE",
        "/api/download",
        "Forget downloads, cancelling them first; with `deleteFile` also delete their files.",
        {200: t.Affected},
        (*_BODY_ERRORS, "forbidden_path", "unknown_download", "loading"),
        body=t.DeleteRequest,
        query=(*SELECTOR, _DELETE_FILE),
    ),
    Route(
        "progress",
        "GET",
        "/api/progress",
        "Progress of one download (`id`, or `modelRepo` and `filePath`), one repo (`modelRepo`) or everything."
        " With `Accept: text/event-stream` as a live stream.",
        {200: (t.Download, t.RepoDownload, t.Downloads)},
        ("unknown_download", "loading", "queue_full"),
        query=(*SELECTOR, _LIMIT, _CURSOR, _HISTORY),
        stream=True,
    ),
    _action("pause", "Pause: no byte is read or written after the response."),
    _action("resume", "Resume paused downloads.", "forbidden_path"),
    _action("cancel", "Cancel and delete partial data."),
    _action(
        "retry",
        "Queue failed and cancelled downloads again; start at once those that wait for their `retryAt`.",
        "forbidden_path",
    ),
    Route(
        "files",
        "GET",
        "/api/files",
        "The files of a repo on the Hub, and which of them are on disk.",
        {200: RepoFiles},
        _HUB_ERRORS,
        query=(replace(_REPO, required=True), _REVISION, _TYPE, _LIMIT, _CURSOR),
        asks_hub=True,
    ),
    Route("settings", "GET", "/api/settings", "The settings that may change while the daemon runs.", {200: t.Settings}),
    Route(
        "change_settings",
        "PATCH",
        "/api/settings",
        "Change settings, all or none; they survive a restart. Null resets one.",
        {200: t.Settings},
        _BODY_ERRORS,
        body=t.SettingsPatch,
    ),
    Route("info", "GET", "/api/info", "Version, folders, addresses, free space, counts, speed.", {200: t.Info}),
    Route(
        "checks",
        "GET",
        "/api/checks",
        "Whether this machine can download: folders, disks, proxy, token, downloads that wait or failed, the Hub, the"
        " clock. For `hfdm doctor`.",
        {200: t.Checks},
        ("loading",),
        query=(_OFFLINE,),
    ),
    Route("health", "GET", "/api/health", "Whether the daemon is running.", {200: t.Health}, ("loading",)),
    Route("metrics", "GET", "/metrics", "Prometheus metrics.", {200: None}, media="text/plain; version=0.0.4"),
    Route("openapi", "GET", "/api/openapi.json", "This document.", {200: dict[str, Any]}),
)

BY_NAME = {route.name: route for route in ROUTES}
