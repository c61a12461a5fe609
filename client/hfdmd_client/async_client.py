"""`AsyncClient`: the API of the daemon for asyncio programs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from hfdmd.wire import types as t
from hfdmd.wire.endpoint import DaemonAddress
from hfdmd.wire.errors import Loading, UnknownDownload
from hfdmd.wire.repo_content import DownloadPlan, RepoFiles
from hfdmd_client import async_transport, calls, handshake, locate, logfile
from hfdmd_client.async_callback import called
from hfdmd_client.environment import hub_token_for
from hfdmd_client.errors import DaemonUnreachable, describe, download_failed
from hfdmd_client.event_state import FINAL, Event, EventState, Item
from hfdmd_client.exchange import ConnectionLost
from hfdmd_client.options import FileOptions, PlanOptions, RepoOptions, Selection, Selector, StrPath, normalised
from hfdmd_client.reconnect import Backoff, deadline, left_s

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 60.0
GIVE_UP_AFTER_S = 60.0
LOADING_TIMEOUT_S = 15.0
IDLE_POLL_S = 2.0
SPAWN_AFTER_S = 5.0
"""How long a service manager may take to restart a daemon that went away, before a client starts one."""


class AsyncClient:
    """The API of a daemon: by default of the one that the environment names (docs/api.md, section 6).

    `socket` or `url` (with `token`) name a daemon; `spawn=True` starts one when none answers (never with `socket` or
    `url`, nor with `HFDMD_NO_SPAWN=1`). `timeout_s` limits the wait for each answer. Every call opens a connection of
    its own, so one client may serve several tasks and threads, and `close` has nothing to do.

    Every call raises `ApiError` or a subclass of it; `DaemonUnreachable` is one of them.
    """

    def __init__(
        self,
        *,
        socket: StrPath | None = None,
        url: str | None = None,
        token: str | None = None,
        spawn: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._socket, self._url, self._token = socket, url, token
        self._spawn = spawn and socket is None and url is None
        self._timeout_s = timeout_s
        self._said_hello, self._hub_endpoint = False, ""
        self._addresses()  # raises at once when the arguments contradict each other

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Does nothing: no connection stays open between calls."""

    # the daemon

    async def hello(self, *, any_version: bool = False) -> t.Info:
        """`info`, after a check that a daemon runs and has this client's API version. Raises `VersionMismatch`.

        Every other call does this once, before its own request.
        """
        try:
            info = await self._send_with_retries(calls.INFO)
        except DaemonUnreachable as error:
            if not self._spawn:
                raise
            info = await self._start(error)
        if not any_version:
            handshake.check(info)
        if self._spawn:  # a client may have started this daemon
            await asyncio.to_thread(logfile.rotate_in_use, Path(info.state_dir) / logfile.NAME)
        self._said_hello, self._hub_endpoint = True, info.hub_endpoint
        return info

    async def info(self) -> t.Info:
        """Version, paths, free space, counts, speed."""
        return await self._call(calls.INFO) if self._said_hello else await self.hello()

    async def health(self) -> t.Health:
        """Whether the scheduler responds. Raises `Loading` until the daemon has read its tracker files."""
        return await async_transport.send(self._addresses(), calls.HEALTH, self._timeout_s)

    async def checks(self, *, offline: bool = False) -> t.Checks:
        """Whether the daemon's machine can download, with a cure for each fault; `offline`: without asking the Hub."""
        return await self._call(calls.checks(offline))

    async def settings(self) -> t.Settings:
        """The settings that can change while the daemon runs."""
        return await self._call(calls.SETTINGS)

    async def change_settings(self, patch: t.SettingsPatch) -> t.Settings:
        """Changes all given settings or none; None resets one to what files, environment and flags say."""
        return await self._call(calls.change_settings(patch))

    async def openapi(self) -> dict[str, Any]:
        """The API's OpenAPI 3.1 document."""
        return await self._call(calls.OPENAPI)

    async def metrics(self) -> str:
        """Prometheus metrics as text."""
        return await self._call(calls.METRICS)

    # downloads

    @overload
    async def ask(self, model_repo: str, file_path: str, **options: Unpack[FileOptions]) -> t.Download: ...
    @overload
    async def ask(self, model_repo: str, file_path: None = None, **options: Unpack[RepoOptions]) -> t.RepoDownload: ...
    async def ask(
        self, model_repo: str, file_path: str | None = None, **options: Unpack[RepoOptions]
    ) -> t.Download | t.RepoDownload:
        """Requests a file, or without `file_path` a repo or the files that the globs match. Idempotent; does not wait.

        `retry=True` queues a failed download again; `update=True` moves it to the commit that the revision names now.
        """
        return await self._call(calls.download(model_repo, file_path, **normalised(options)))

    @overload
    async def download(
        self,
        model_repo: str,
        file_path: str,
        *,
        on_progress: Callable[[t.Download], object] | None = None,
        timeout_s: float | None = None,
        **options: Unpack[FileOptions],
    ) -> t.Download: ...
    @overload
    async def download(
        self,
        model_repo: str,
        file_path: None = None,
        *,
        on_progress: Callable[[t.RepoDownload], object] | None = None,
        timeout_s: float | None = None,
        **options: Unpack[RepoOptions],
    ) -> t.RepoDownload: ...
    async def download(
        self,
        model_repo: str,
        file_path: str | None = None,
        *,
        on_progress: Callable[[Any], object] | None = None,
        timeout_s: float | None = None,
        **options: Unpack[RepoOptions],
    ) -> t.Download | t.RepoDownload:
        """Requests a download and waits until it is done; `on_progress` is called with each state, also with the first.

        A download that failed earlier is retried (unless `retry=False`). A pause is reported and does not end the
        wait. Raises `DownloadFailed` when it fails or is cancelled, and `WaitTimeout` after `timeout_s` seconds (the
        download continues).
        """
        until = deadline(timeout_s)
        last = first = await self._call(calls.download(model_repo, file_path, **normalised({"retry": True, **options})))
        may_be_old = bool(options.get("update")) and first.commit is not None
        while True:
            async with aclosing(self.follow(last, timeout_s=left_s(until))) as states:
                async for last in states:
                    if on_progress is not None:
                        await called(on_progress, last)
            if last.status is not t.Status.DONE:
                raise download_failed(last)
            if may_be_old:
                last = await self.updated(last, timeout_s=left_s(until))
            if last.status is t.Status.DONE:
                return last

    async def updated(self, item: Item, *, timeout_s: float | None = None) -> Item:
        """The state of a done `item` that was requested with `update=True`, once the daemon has asked the Hub for a
        newer commit: done at the commit that the revision names now, or no longer done.

        Without an answer from the Hub, or when it no longer has the repo, the present files stay. Raises
        `UnknownDownload` when the download is deleted meanwhile, `WaitTimeout` after `timeout_s` seconds.
        """
        async with aclosing(self.watch(id=item.id, timeout_s=timeout_s)) as events:
            async for event in events:
                if isinstance(event, t.Removed) and event.id == item.id:
                    raise UnknownDownload(f"{describe(item)} was removed during the wait")
                if isinstance(event, type(item)) and event.id == item.id:
                    item = event
                    if item.status is not t.Status.DONE:
                        break
        return item

    # state

    async def progress(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Download | t.RepoDownload:
        """One download, by `id` or by repo and file. Raises `UnknownDownload`."""
        if selection.get("id") is None and (model_repo is None or file_path is None):
            raise ValueError("name an id, or a repo and a file; downloads() lists several")
        return await self._call(calls.one(calls.selected(model_repo, file_path, selection)))

    async def downloads(
        self, model_repo: str | None = None, *, limit: int | None = None, **selection: Unpack[Selection]
    ) -> t.Downloads:
        """All downloads and repo downloads, or those of a repo or with a `status`, all pages in one.

        With `limit` only about that many; `next_cursor` is set when there are more.
        """
        chosen = calls.selected(model_repo, None, selection)
        found = await self._call(calls.many(chosen, limit, None))
        while found.next_cursor is not None and limit is None:
            page = await self._call(calls.many(chosen, None, found.next_cursor))
            found.downloads += page.downloads
            found.repos += page.repos
            found.next_cursor = page.next_cursor
        return found

    async def files(
        self,
        model_repo: str,
        *,
        revision: str = t.DEFAULT_REVISION,
        repo_type: str = t.DEFAULT_REPO_TYPE,
        hub_token: str | None = None,
    ) -> RepoFiles:
        """The files of the repo on the Hub, and which of them are on disk, all pages in one. Raises `HubRefused`."""
        found = await self._call(calls.files(model_repo, revision, repo_type, None, hub_token))
        while found.next_cursor is not None:
            page = await self._call(calls.files(model_repo, found.commit, repo_type, found.next_cursor, hub_token))
            found.files += page.files
            found.next_cursor = page.next_cursor
        return found

    async def plan(self, model_repo: str, file_path: str | None = None, **options: Unpack[PlanOptions]) -> DownloadPlan:
        """What a download would do, without doing it: files, sizes, what is on disk, whether the rest fits.

        Raises `HubRefused` as `files` does.
        """
        return await self._call(calls.plan(model_repo, file_path, **normalised(options)))

    # actions

    async def pause(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Pauses what repo and file, `id` or `all=True` name. After the answer no byte is transferred."""
        return await self._call(calls.action("pause", calls.selected(model_repo, file_path, selection)))

    async def resume(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Resumes paused downloads."""
        return await self._call(calls.action("resume", calls.selected(model_repo, file_path, selection)))

    async def cancel(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Cancels downloads and deletes their partial data."""
        return await self._call(calls.action("cancel", calls.selected(model_repo, file_path, selection)))

    async def retry(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Queues failed and cancelled downloads again; those that wait for their `retryAt` start now."""
        return await self._call(calls.action("retry", calls.selected(model_repo, file_path, selection)))

    async def reorder(
        self, *, priority: int | None = None, position: int | None = None, **selector: Unpack[Selector]
    ) -> t.Affected:
        """Changes the `priority` or the `position` in the queue."""
        return await self._call(calls.reorder(calls.selector(**normalised(selector)), priority, position))

    async def delete(self, *, delete_file: bool = False, **selector: Unpack[Selector]) -> t.Affected:
        """Cancels and removes downloads; with `delete_file` also deletes their files."""
        return await self._call(calls.delete(calls.selector(**normalised(selector)), delete_file))

    # events

    def watch(
        self,
        model_repo: str | None = None,
        file_path: str | None = None,
        *,
        history: bool = False,
        give_up_after_s: float | None = GIVE_UP_AFTER_S,
        timeout_s: float | None = None,
        **selection: Unpack[Selection],
    ) -> AsyncGenerator[Event, None]:
        """The present state, `Ready`, then every change, across restarts of the daemon, without repetitions.

        Ends with an `End` for one download (when it has ended) and for a repo (when nothing in it can change by
        itself); a watch of everything never ends. To leave it early, use `contextlib.aclosing`, which closes the
        connection at once. Raises `UnknownDownload` for a single download that does not exist, `DaemonUnreachable`
        when no daemon has answered for `give_up_after_s` seconds (None: never), `WaitTimeout` after `timeout_s`.
        """
        call = calls.stream(calls.selected(model_repo, file_path, selection), history)
        return self._watch(call, EventState(), Backoff(give_up_after_s, deadline(timeout_s)))

    async def follow(
        self, item: t.Download | t.RepoDownload, *, timeout_s: float | None = None
    ) -> AsyncGenerator[t.Download | t.RepoDownload, None]:
        """Each state of `item`, the given one first, until it is done, failed or cancelled.

        Raises `UnknownDownload` when it is deleted meanwhile, `WaitTimeout` after `timeout_s` seconds.
        """
        yield item
        backoff = Backoff(GIVE_UP_AFTER_S, deadline(timeout_s))
        state = EventState()
        state.seed(item)
        status = item.status
        call = calls.stream(calls.selector(id=item.id), False)
        while status not in FINAL:
            async with aclosing(self._watch(call, state, backoff)) as events:
                async for event in events:
                    if isinstance(event, t.Removed) and event.id == item.id:
                        raise UnknownDownload(f"{describe(item)} was removed during the wait")
                    if isinstance(event, (t.Download, t.RepoDownload)) and event.id == item.id:
                        status = event.status
                        yield event
            if status not in FINAL:  # the stream of a paused repo download ends
                await asyncio.sleep(backoff.limited(IDLE_POLL_S))

    async def _watch(self, call: calls.Call[bytes], state: EventState, backoff: Backoff) -> AsyncGenerator[Event, None]:
        state.end = None
        while True:
            try:
                stream = await self._open_stream(call, state, backoff)
            except UnknownDownload:
                if not state.last_event_id:
                    raise
                for event in state.all_removed():
                    yield event
                return
            except (DaemonUnreachable, Loading, ConnectionLost) as error:
                await asyncio.sleep(backoff.wait_s(error))
                continue
            backoff.answered()
            state.connected()
            try:
                while not stream.ended:
                    for sse in await stream.read():
                        for event in state.feed(sse):
                            yield event
                        if state.end is not None:
                            return
                return
            except (DaemonUnreachable, ConnectionLost):
                await asyncio.sleep(backoff.wait_s())
            finally:
                await stream.close()

    async def _open_stream(
        self, call: calls.Call[bytes], state: EventState, backoff: Backoff
    ) -> async_transport.Stream:
        if not self._said_hello:
            await self.hello()
        try:
            return await async_transport.Stream.open(self._addresses(), call, state.last_event_id, backoff)
        except DaemonUnreachable as error:
            if self._spawn and not state.stopping and backoff.unreachable_s > SPAWN_AFTER_S:
                await self._start(error)
            raise

    # requests

    def _addresses(self) -> list[DaemonAddress]:
        return locate.candidates(self._socket, self._url, self._token, os.environ)

    async def _call(self, call: calls.Call[T]) -> T:
        if not self._said_hello:
            await self.hello()
        if call.asks_hub and call.hub_token is None:
            call = replace(call, hub_token=hub_token_for(self._hub_endpoint))
        return await self._send_with_retries(call)

    async def _send_with_retries(self, call: calls.Call[T]) -> T:
        """The answer; retries while the daemon loads or was just restarted. All calls are idempotent."""
        backoff = Backoff(LOADING_TIMEOUT_S)
        while True:
            try:
                return await async_transport.send(self._addresses(), call, self._timeout_s)
            except (Loading, ConnectionLost) as error:
                await asyncio.sleep(backoff.wait_s(error))

    async def _start(self, error: DaemonUnreachable) -> t.Info:
        from hfdmd_client import spawn  # only here: most clients find a running daemon

        return await asyncio.to_thread(spawn.start, error, self._addresses, self._timeout_s)
