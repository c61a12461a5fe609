"""Each call of the API as data: the request, and how to decode the answer. Shared by both clients; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, UnsetType

from hfdmd.wire import types as t
from hfdmd.wire.errors import ApiError, InvalidField, from_problem
from hfdmd.wire.repo_content import DownloadPlan, RepoFiles
from hfdmd.wire.types import MALFORMED
from hfdmd_client.errors import ProtocolError
from hfdmd_client.options import normalised

T = TypeVar("T")
JSON = "application/json"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request. `decode` turns the body of a successful answer into the return value.

    `asks_hub`: the daemon asks the Hub for it, in the name of the caller if a `hub_token` is sent.
    """

    method: str
    target: str
    decode: Callable[[bytes], T]
    body: bytes | None = None
    accept: str = JSON
    asks_hub: bool = False
    hub_token: str | None = field(default=None, repr=False)


class _Shape(msgspec.Struct, rename="camel"):
    """The fields that distinguish a download, a repo download and a list."""

    file_path: Any = UNSET
    files_total: Any = UNSET
    downloads: Any = UNSET


def _as(kind: type[T]) -> Callable[[bytes], T]:
    return lambda raw: msgspec.json.decode(raw, type=kind)


def decode_item(raw: bytes) -> t.Download | t.RepoDownload:
    """A download or a repo download, whichever the fields of `raw` belong to."""
    if msgspec.json.decode(raw, type=_Shape).file_path is not UNSET:
        return msgspec.json.decode(raw, type=t.Download)
    return msgspec.json.decode(raw, type=t.RepoDownload)


def _get(path: str, kind: type[T], **query: Any) -> Call[T]:
    return Call("GET", path + query_string(query), _as(kind))


def query_string(query: Mapping[str, Any]) -> str:
    """`query` as a query string: unset and None values left out, keys in camel case. Raises `InvalidField`."""
    pairs = [(_camel(key), _plain(value)) for key, value in query.items() if value is not None and value is not UNSET]
    try:
        return "?" + urlencode(pairs) if pairs else ""
    except UnicodeEncodeError as error:
        raise _not_unicode(error) from None


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise _not_unicode(error) from None


def _not_unicode(error: UnicodeEncodeError) -> InvalidField:
    """A name with bytes that are not UTF-8, which no name on the Hub has."""
    return InvalidField(f"{error.object!a} is not UTF-8")


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.value if isinstance(value, (t.Status, t.RepoType)) else str(value)


def _unset(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value


def download(
    model_repo: str,
    file_path: str | None,
    *,
    revision: str = t.DEFAULT_REVISION,
    repo_type: str = t.DEFAULT_REPO_TYPE,
    local_dir: str | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    priority: int | None = None,
    retry: bool = False,
    update: bool = False,
    hub_token: str | None = None,
) -> Call[t.Download | t.RepoDownload]:
    wanted = _wanted(model_repo, file_path, revision, repo_type, local_dir, include, exclude)
    wanted.priority, wanted.retry, wanted.update = _unset(priority), retry, update
    return Call("POST", "/api/download", decode_item, _body_of(wanted), asks_hub=True, hub_token=hub_token)


def plan(
    model_repo: str,
    file_path: str | None,
    *,
    revision: str = t.DEFAULT_REVISION,
    repo_type: str = t.DEFAULT_REPO_TYPE,
    local_dir: str | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    hub_token: str | None = None,
) -> Call[DownloadPlan]:
    wanted = _wanted(model_repo, file_path, revision, repo_type, local_dir, include, exclude)
    return Call("POST", "/api/plan", _as(DownloadPlan), _body_of(wanted), asks_hub=True, hub_token=hub_token)


def _wanted(
    model_repo: str,
    file_path: str | None,
    revision: str,
    repo_type: str,
    local_dir: str | None,
    include: Sequence[str] | None,
    exclude: Sequence[str] | None,
) -> t.DownloadRequest:
    return t.DownloadRequest(
        model_repo=model_repo,
        file_path=_unset(file_path),
        revision=revision,
        repo_type=t.RepoType(repo_type),
        local_dir=local_dir,
        include=list(include) if include is not None else None,
        exclude=list(exclude) if exclude is not None else None,
    )


def _body_of(wanted: t.DownloadRequest) -> bytes:
    body = msgspec.to_builtins(wanted)
    if wanted.file_path is not UNSET and wanted.include is None and wanted.exclude is None:
        del body["include"], body["exclude"]
    return _encoded(body)


def selector(
    *,
    id: str | None = None,
    all: bool = False,
    model_repo: str | None = None,
    file_path: str | None = None,
    revision: str | None = None,
    repo_type: str | None = None,
    local_dir: str | None = None,
    in_cache: bool = False,
    status: str | None = None,
) -> dict[str, Any]:
    """The fields of a selector, for the structs of `hfdmd.wire.types`. None becomes unset, which matches any."""
    return {
        "id": _unset(id),
        "all": True if all else UNSET,
        "model_repo": _unset(model_repo),
        "file_path": _unset(file_path),
        "revision": _unset(revision),
        "repo_type": UNSET if repo_type is None else t.RepoType(repo_type),
        "local_dir": _unset(local_dir),
        "in_cache": True if in_cache else UNSET,
        "status": UNSET if status is None else t.Status(status),
    }


def selected(model_repo: str | None, file_path: str | None, selection: Mapping[str, Any]) -> dict[str, Any]:
    """A selector for the named repo and file, narrowed by `selection`."""
    return selector(model_repo=model_repo, file_path=file_path, **normalised(selection))


def action(name: str, chosen: Mapping[str, Any]) -> Call[t.Affected]:
    return Call("POST", f"/api/{name}", _as(t.Affected), _encoded(t.Selector(**chosen)))


def reorder(chosen: Mapping[str, Any], priority: int | None, position: int | None) -> Call[t.Affected]:
    request = t.ReorderRequest(**chosen, priority=_unset(priority), position=_unset(position))
    return Call("PATCH", "/api/download", _as(t.Affected), _encoded(request))


def delete(chosen: Mapping[str, Any], delete_file: bool) -> Call[t.Affected]:
    request = t.DeleteRequest(**chosen, delete_file=delete_file)
    return Call("DELETE", "/api/download", _as(t.Affected), _encoded(request))


def one(chosen: Mapping[str, Any]) -> Call[t.Download | t.RepoDownload]:
    return Call("GET", "/api/progress" + query_string(_for_query(chosen)), decode_item)


def many(chosen: Mapping[str, Any], limit: int | None, cursor: str | None) -> Call[t.Downloads]:
    if chosen["id"] is not UNSET:
        raise ValueError("an id selects one download; use progress()")
    return _get("/api/progress", t.Downloads, **_for_query(chosen), limit=limit, cursor=cursor)


def stream(chosen: Mapping[str, Any], history: bool) -> Call[bytes]:
    query = query_string({**_for_query(chosen), "history": True if history else None})
    return Call("GET", "/api/progress" + query, bytes, accept=EVENT_STREAM)


def _for_query(chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in chosen.items() if key != "all"}


def files(model_repo: str, revision: str, repo_type: str, cursor: str | None, hub_token: str | None) -> Call[RepoFiles]:
    call = _get(
        "/api/files",
        RepoFiles,
        model_repo=model_repo,
        revision=revision,
        repo_type=repo_type,
        limit=t.MAX_LIMIT,
        cursor=cursor,
    )
    return replace(call, asks_hub=True, hub_token=hub_token)


def change_settings(patch: t.SettingsPatch) -> Call[t.Settings]:
    return Call("PATCH", "/api/settings", _as(t.Settings), msgspec.json.encode(patch))


def checks(offline: bool) -> Call[t.Checks]:
    return _get("/api/checks", t.Checks, offline=True if offline else None)


INFO = _get("/api/info", t.Info)
HEALTH = _get("/api/health", t.Health)
SETTINGS = _get("/api/settings", t.Settings)
OPENAPI: Call[dict[str, Any]] = _get("/api/openapi.json", dict[str, Any])
METRICS = Call("GET", "/metrics", lambda raw: raw.decode(), accept="text/plain")


def answer(call: Call[T], status: int, headers: Mapping[str, str], body: bytes) -> T:
    """The decoded body. Raises the `ApiError` that the answer describes; `ProtocolError` if unreadable."""
    if 200 <= status < 300:
        try:
            return call.decode(body)
        except MALFORMED as error:
            raise ProtocolError(
                f"{call.method} {_path(call)} answered {status} with an unreadable body: {error}"
            ) from error
    raise failure(call, status, headers, body)


def failure(call: Call[Any], status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error that an answer describes."""
    try:
        problem = msgspec.json.decode(body, type=t.Problem)
    except MALFORMED:
        return ProtocolError(f"{call.method} {_path(call)} answered {status} without a reason; is this hfdmd?")
    wait = headers.get("retry-after", "")
    return from_problem(problem, retry_after_s=int(wait) if wait.isdecimal() else None)


def _path(call: Call[Any]) -> str:
    return call.target.partition("?")[0]
