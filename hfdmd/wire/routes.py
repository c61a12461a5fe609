"""The API's route table: the server binds it, the OpenAPI document and the clients are made from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from msgspec import Meta

from hfdmd.wire import types as t

JSON = "application/json"
SSE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter. `schema` is a type that msgspec knows."""

    name: str
    schema: Any
    description: str
    aliases: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One call. `answers` maps a success status to its JSON body's type (a tuple: one of them; None: no JSON)."""

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


ALIASES = {"ModelRepo": "modelRepo", "FilePath": "filePath"}
"""Other spellings of a key, in a query or a body."""

_ID = Param("id", str, "The id of a download or a repo download.")
_REPO = Param("modelRepo", str, "Repo id, `owner/name`.", ("ModelRepo",))
_FILE = Param("filePath", str, "Path of the file in the repo.", ("FilePath",))
_REVISION = Param("revision", str, "Branch, tag, commit or `refs/pr/N`.")
_TYPE = Param("repoType", t.RepoType, "`model`, `dataset` or `space`.")
_DIR = Param("localDir", str, "Folder that the file goes to instead of the Hub's cache.")
_IN_CACHE = Param("inCache", bool, "Only what goes to the Hub's cache: what has no `localDir`.")
_STATUS = Param("status", t.Status, "Only what has this status.")
_LIMIT = Param(
    "limit",
    Annotated[int, Meta(ge=1, le=t.MAX_LIMIT)],
    f"At most so many, {t.DEFAULT_LIMIT} unless told, {t.MAX_LIMIT} at most. Not on a stream.",
)
_CURSOR = Param("cursor", str, "Go on where the list before ended: its `nextCursor`. Not on a stream.")
_HISTORY = Param("history", bool, "Stream of everything: begin with all that ever ended, not with the last 24 hours.")
_ALL = Param("all", bool, "Everything.")
_DELETE_FILE = Param("deleteFile", bool, "Delete the file as well.")

SELECTOR = (_ID, _ALL, _REPO, _FILE, _REVISION, _TYPE, _DIR, _IN_CACHE, _STATUS)

_BODY_ERRORS = ("malformed", "unsupported_media_type", "invalid_field", "too_large")
_ACTION_ERRORS = (*_BODY_ERRORS, "unknown_download", "not_allowed_now", "loading")


def _action(name: str, summary: str, *errors: str) -> Route:
    return Route(name, "POST", f"/api/{name}", summary, {200: t.Affected}, (*_ACTION_ERRORS, *errors), body=t.Selector)


ROUTES: tuple[Route, ...] = (
    Route(
        "download",
        "POST",
        "/api/download",
        "Ask for a file, or for a repo or the part of it that globs name. Idempotent; never waits for the Hub.",
        {202: (t.Download, t.RepoDownload), 200: (t.Download, t.RepoDownload)},
        (*_BODY_ERRORS, "forbidden_path", "queue_full", "loading"),
        body=t.DownloadRequest,
    ),
    Route(
        "reorder",
        "PATCH",
        "/api/download",
        "Change the priority or the position of what is queued.",
        {200: t.Affected},
        _ACTION_ERRORS,
        body=t.ReorderRequest,
    ),
    Route(
        "delete",
        "DELETE",
        "/api/download",
        "Forget downloads, cancelling them first; with `deleteFile` delete their files too.",
        {200: t.Affected},
        (*_BODY_ERRORS, "forbidden_path", "unknown_download", "loading"),
        body=t.DeleteRequest,
        query=(*SELECTOR, _DELETE_FILE),
    ),
    Route(
        "progress",
        "GET",
        "/api/progress",
        "How far: one download (`id`, or `modelRepo` and `filePath`), one repo (`modelRepo`) or everything."
        " With `Accept: text/event-stream` as a live stream.",
        {200: (t.Download, t.RepoDownload, t.Downloads)},
        ("malformed", "invalid_field", "unknown_download", "loading", "queue_full"),
        query=(*SELECTOR, _LIMIT, _CURSOR, _HISTORY),
        stream=True,
    ),
    _action("pause", "Pause: after the answer not a byte is read or written."),
    _action("resume", "Resume what is paused.", "forbidden_path"),
    _action("cancel", "Cancel and delete partial data."),
    _action(
        "retry",
        "Queue again what failed or was cancelled; let go at once what waits for its `retryAt`.",
        "forbidden_path",
    ),
    Route(
        "files",
        "GET",
        "/api/files",
        "What a repo has on the Hub, and what of it is here.",
        {200: t.RepoFiles},
        (
            "malformed",
            "invalid_field",
            "repo_not_found",
            "revision_not_found",
            "gated",
            "unauthorized",
            "hub_unavailable",
            "tls",
            "loading",
        ),
        query=(replace(_REPO, required=True), _REVISION, _TYPE, _LIMIT, _CURSOR),
    ),
    Route("settings", "GET", "/api/settings", "What may change while it runs.", {200: t.Settings}),
    Route(
        "change_settings",
        "PATCH",
        "/api/settings",
        "Change settings, all or none; they survive a restart. Null gives one back.",
        {200: t.Settings},
        _BODY_ERRORS,
        body=t.SettingsPatch,
    ),
    Route("info", "GET", "/api/info", "Version, places, free space, counts, speed.", {200: t.Info}),
    Route("health", "GET", "/api/health", "Answers when the scheduler does.", {200: t.Health}, ("loading",)),
    Route("metrics", "GET", "/metrics", "Prometheus metrics.", {200: None}, media="text/plain; version=0.0.4"),
    Route("openapi", "GET", "/api/openapi.json", "This document.", {200: dict[str, Any]}),
)

BY_NAME = {route.name: route for route in ROUTES}
