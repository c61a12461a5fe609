"""One method per route of `wire.routes`: decode the request, call the scheduler, answer."""

from __future__ import annotations

import asyncio
import base64
import bisect
import os
import re
import shutil
from functools import partialmethod
from typing import Any

from aiohttp import web

from hfdmd import __version__
from hfdmd.api import decode, stream
from hfdmd.api.access import PEER, check_local_dir, is_confined
from hfdmd.api.files import repo_files
from hfdmd.api.metrics import Metrics
from hfdmd.api.planning import plan
from hfdmd.api.responses import HEADERS, affected_response, json_response
from hfdmd.api.scope import OneFile, OneRepoDownload, RepoScope, Scope
from hfdmd.checks import checks as run_checks
from hfdmd.hub.client import Hub
from hfdmd.lifecycle import Stimulus
from hfdmd.record import FileRecord, Record, RepoRecord, RepoSpec
from hfdmd.scheduler.actions import Check
from hfdmd.scheduler.core import Scheduler
from hfdmd.scheduler.index import matches
from hfdmd.scheduler.requests import Ask
from hfdmd.wire import openapi, validate
from hfdmd.wire.environment import hub_token
from hfdmd.wire.errors import InvalidField, Loading, QueueFull, UnknownDownload
from hfdmd.wire.routes import BY_NAME, SELECTOR, SSE
from hfdmd.wire.types import (
    API_VERSION,
    DEFAULT_LIMIT,
    DEFAULT_REVISION,
    Checks,
    DeleteRequest,
    Download,
    DownloadRequest,
    Downloads,
    Health,
    Info,
    ReorderRequest,
    RepoDownload,
    RepoType,
    Selector,
    SettingsPatch,
    Status,
)

LOADING_WAIT_S = 0.5
_SELECTOR_NAMES = frozenset(param.name for param in SELECTOR)
_REFUSED = re.compile(r";\s*q=0(?:\.0*)?\s*(?:;|$)")


class Handlers:
    def __init__(self, scheduler: Scheduler, metrics: Metrics, *, url: str | None, socket: str | None) -> None:
        self._scheduler = scheduler
        self._metrics = metrics
        self._url = url
        self._socket = socket
        self._document = openapi.document(__version__)

    async def download(self, request: web.Request) -> web.Response:
        body = await decode.json_body(request, DownloadRequest)
        repo = self._requested(body, request)
        priority = body.priority if isinstance(body.priority, int) else None
        ask = Ask(priority=priority, retry=body.retry, update=body.update, token=decode.hub_token(request))
        record: Record
        if isinstance(body.file_path, str):
            record, queued = await self._scheduler.requests.file(repo.file(body.file_path), ask)
        else:
            await self._loaded()  # the state of its files decides what a repeated request does
            record, queued = await self._scheduler.requests.repo(repo, ask)
        return json_response(self._scheduler.views.of(record), 202 if queued else 200)

    async def plan(self, request: web.Request) -> web.Response:
        body = await decode.json_body(request, DownloadRequest)
        repo = self._requested(body, request)
        file_path = body.file_path if isinstance(body.file_path, str) else None
        await self._loaded()
        return json_response(await plan(self._scheduler, self._hub_for(request), repo, file_path))

    def _hub_for(self, request: web.Request) -> Hub:
        """The Hub, asked with the caller's token if the request has one. Raises `InvalidField`."""
        token = decode.hub_token(request)
        return self._scheduler.hub.as_caller(lambda: token)

    def _requested(self, body: DownloadRequest, request: web.Request) -> RepoSpec:
        """The repo that a request is for, with its globs. Raises `InvalidField`, `ForbiddenPath`."""
        validate.repo_id(body.model_repo)
        validate.revision(body.revision)
        if body.local_dir is not None:
            validate.local_dir(body.local_dir)
            check_local_dir(body.local_dir, request[PEER], self._scheduler.config.values.allowed_dirs)
        if isinstance(body.file_path, str):
            validate.file_path(body.file_path)
            for name, globs in (("include", body.include), ("exclude", body.exclude)):
                if globs is not None:
                    raise InvalidField(f"{name} cannot be combined with filePath", field=name)
        return RepoSpec(
            repo_type=body.repo_type,
            model_repo=body.model_repo,
            revision=body.revision,
            local_dir=body.local_dir,
            include=_globs(body.include, "include"),
            exclude=_globs(body.exclude, "exclude"),
            confined=is_confined(request[PEER]),
        )

    async def reorder(self, request: web.Request) -> web.StreamResponse:
        body = await decode.json_body(request, ReorderRequest)
        decode.check_selector(body)
        priority = body.priority if isinstance(body.priority, int) else None
        position = body.position if isinstance(body.position, int) else None
        if (priority is None) == (position is None):
            raise InvalidField("give exactly one of priority and position", field="priority")
        await self._loaded()
        return await affected_response(
            request, await self._scheduler.actions.reorder(body, priority=priority, position=position)
        )

    async def delete(self, request: web.Request) -> web.StreamResponse:
        asked = decode.query(request, BY_NAME["delete"].query)
        if request.can_read_body:
            if asked:
                raise InvalidField("give the selector in the query or in the body, not in both", field="body")
            body = await decode.json_body(request, DeleteRequest)
        else:
            body = decode.convert(asked, DeleteRequest)
        decode.check_selector(body)
        await self._loaded()
        check = self._folder_check(request, done=True) if body.delete_file else None
        deleted = await self._scheduler.actions.delete(body, check, delete_file=body.delete_file)
        return await affected_response(request, deleted)

    async def _act(self, request: web.Request, *, stimulus: Stimulus) -> web.StreamResponse:
        selector = await decode.json_body(request, Selector)
        decode.check_selector(selector)
        await self._loaded(selector)
        check = self._folder_check(request, done=False) if stimulus in (Stimulus.RESUME, Stimulus.RETRY) else None
        return await affected_response(request, await self._scheduler.actions.act(stimulus, selector, check))

    pause = partialmethod(_act, stimulus=Stimulus.PAUSE)
    resume = partialmethod(_act, stimulus=Stimulus.RESUME)
    cancel = partialmethod(_act, stimulus=Stimulus.CANCEL)
    retry = partialmethod(_act, stimulus=Stimulus.RETRY)

    def _folder_check(self, request: web.Request, *, done: bool) -> Check | None:
        """A check that raises `ForbiddenPath` if any record is in a folder that the peer may not use.

        One such record refuses the whole action. Records with status `done` are checked only if `done`.
        """
        if not is_confined(request[PEER]):
            return None

        def check(records: list[Record]) -> None:
            folders = {record.spec.local_dir for record in records if done or record.state is not Status.DONE}
            for folder in sorted(folder for folder in folders if folder is not None):
                check_local_dir(folder, request[PEER], self._scheduler.config.values.allowed_dirs)

        return check

    async def progress(self, request: web.Request) -> web.StreamResponse:
        asked = decode.query(request, BY_NAME["progress"].query)
        selector = decode.convert({name: asked[name] for name in asked if name in _SELECTOR_NAMES}, Selector)
        decode.check_selector(selector, may_be_empty=True)
        one = isinstance(selector.id, str) or isinstance(selector.file_path, str)
        await self._loaded(selector)
        if _wants_stream(request):
            for name in ("limit", "cursor"):
                if name in asked:
                    raise InvalidField(f"{name} is not allowed on a stream", field=name)
            if len(self._scheduler.events) >= self._scheduler.config.values.max_listeners:
                raise QueueFull("too many open streams; see max_listeners", retry_after_s=10)
            return await stream.serve(request, self._scope(selector, asked, one=one))
        if one:
            return json_response(self._scheduler.views.of(self._one(selector)))
        return json_response(self._page(selector, asked))

    async def files(self, request: web.Request) -> web.Response:
        asked = decode.query(request, BY_NAME["files"].query)
        if "modelRepo" not in asked:
            raise InvalidField("modelRepo is required", field="modelRepo")
        spec = RepoSpec(
            repo_type=RepoType(asked.get("repoType", RepoType.MODEL)),
            model_repo=validate.repo_id(asked["modelRepo"]),
            revision=validate.revision(asked.get("revision", DEFAULT_REVISION)),
        )
        await self._loaded()
        limit, cursor = asked.get("limit", DEFAULT_LIMIT), asked.get("cursor")
        return json_response(await repo_files(self._scheduler, self._hub_for(request), spec, limit, cursor))

    async def settings(self, request: web.Request) -> web.Response:
        decode.query(request, ())
        return json_response(self._scheduler.config.settings)

    async def change_settings(self, request: web.Request) -> web.Response:
        patch = await decode.json_body(request, SettingsPatch)
        settings = self._scheduler.config.patch(patch)
        self._scheduler.apply_settings()
        return json_response(settings)

    async def info(self, request: web.Request) -> web.Response:
        decode.query(request, ())
        paths = self._scheduler.paths
        try:
            free = shutil.disk_usage(paths.cache_dir).free
        except OSError:
            free = None
        return json_response(
            Info(
                version=__version__,
                api_version=API_VERSION,
                pid=os.getpid(),
                hub_endpoint=paths.hub_endpoint,
                cache_dir=str(paths.cache_dir),
                state_dir=str(paths.state_dir),
                socket=self._socket,
                url=self._url,
                has_hub_token=_has_hub_token(),
                free_bytes=free,
                counts={status: self._scheduler.index.counts[status] for status in Status},
                bytes_per_second=self._scheduler.running.total_bytes_per_second,
                loading=self._scheduler.loading,
            )
        )

    async def checks(self, request: web.Request) -> web.Response:
        asked = decode.query(request, BY_NAME["checks"].query)
        await self._loaded()
        scheduler = self._scheduler
        records: list[Record] = [*scheduler.index.repos.values(), *scheduler.index.files.values()]
        hub = None if asked.get("offline", False) else scheduler.hub
        return json_response(Checks(checks=await run_checks(scheduler.paths, scheduler.config.values, hub, records)))

    async def health(self, request: web.Request) -> web.Response:
        decode.query(request, ())
        if self._scheduler.closing:
            raise Loading("the daemon is stopping", retry_after_s=1)
        return json_response(Health())

    async def metrics(self, request: web.Request) -> web.Response:
        decode.query(request, ())
        headers = {**HEADERS, "Content-Type": BY_NAME["metrics"].media}
        return web.Response(body=self._metrics.text(), headers=headers)

    async def openapi(self, request: web.Request) -> web.Response:
        decode.query(request, ())
        return json_response(self._document)

    async def _loaded(self, selector: Selector | None = None) -> None:
        """Wait up to `LOADING_WAIT_S` until the tracker files are loaded. Raises `Loading` after that.

        The records that `selector` names are loaded first.
        """
        scheduler = self._scheduler
        if scheduler.closing:
            raise Loading("the daemon is stopping", retry_after_s=1)
        if not scheduler.loading:
            return
        if selector is not None and isinstance(selector.model_repo, str):
            repo = selector.model_repo
            await scheduler.startup.first(lambda: scheduler.store.load_repo(repo))
            known = [one for one in scheduler.index.of_repo(repo) if isinstance(one, RepoRecord)]
            if not any(scheduler.startup.lacks_files(one) for one in known):
                return
        if selector is not None and isinstance(selector.id, str):
            key = selector.id
            if key not in scheduler.index:
                await scheduler.startup.first(lambda: [found] if (found := scheduler.store.load_id(key)) else [])
            if key in scheduler.index.files:
                return
        try:
            async with asyncio.timeout(LOADING_WAIT_S):
                await scheduler.startup.loaded.wait()
        except TimeoutError:
            raise Loading("the daemon is still loading its tracker files", retry_after_s=1) from None

    def _one(self, selector: Selector) -> Record:
        """The download that the selector means: the one with the defaults, else the newest."""
        matched = self._scheduler.index.match(selector)
        if not matched:
            raise UnknownDownload("no such download")
        for record in matched:
            spec = record.spec
            if (spec.revision, spec.repo_type, spec.local_dir) == (DEFAULT_REVISION, RepoType.MODEL, None):
                return record
        return matched[-1]

    def _scope(self, selector: Selector, asked: dict[str, Any], *, one: bool) -> Scope:
        if one:
            record = self._one(selector)
            scope = OneFile if isinstance(record, FileRecord) else OneRepoDownload
            return scope(self._scheduler, Selector(id=record.id))
        if isinstance(selector.model_repo, str):
            return RepoScope(self._scheduler, selector)
        return Scope(self._scheduler, selector, history=asked.get("history", False))

    def _page(self, selector: Selector, asked: dict[str, Any]) -> Downloads:
        """A page of everything that matches, ordered by `createdAt`, id."""
        limit: int = asked.get("limit", DEFAULT_LIMIT)
        after = _after(asked.get("cursor"))
        index = self._scheduler.index
        if isinstance(selector.model_repo, str):
            order = [(record.created_at, record.id) for record in index.match(selector)]
        else:
            order = index.ordered()
        downloads: list[Download] = []
        repos: list[RepoDownload] = []
        last = ("", "")
        start = 0 if after is None else bisect.bisect_right(order, after)
        for position in order[start:]:
            record = index.get(position[1])
            if record is None or not matches(record, selector):
                continue
            if len(downloads) + len(repos) == limit:
                cursor = base64.urlsafe_b64encode("|".join(last).encode()).decode()
                return Downloads(downloads=downloads, repos=repos, next_cursor=cursor)
            if isinstance(record, FileRecord):
                downloads.append(self._scheduler.views.file(record))
            else:
                repos.append(self._scheduler.views.repo(record))
            last = position
        return Downloads(downloads=downloads, repos=repos)


def _has_hub_token() -> bool:
    """Whether the daemon has a Hub token of its own that can be read."""
    try:
        return hub_token() is not None
    except OSError:
        return False


def _wants_stream(request: web.Request) -> bool:
    """Whether `Accept` names the media type of event streams, and not with `q=0`."""
    accepted = ",".join(request.headers.getall("Accept", [])).lower().split(",")
    return any(one.partition(";")[0].strip() == SSE and not _REFUSED.search(one) for one in accepted)


def _globs(globs: list[str] | None, field: str) -> tuple[str, ...]:
    return tuple(sorted({validate.glob(glob, field) for glob in globs or ()}))


def _after(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    try:
        created_at, _, key = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
    except ValueError:
        key = ""
    if not key:
        raise InvalidField("cursor must be the nextCursor of the previous page", field="cursor")
    return created_at, key
