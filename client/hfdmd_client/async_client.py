"""`AsyncClient`: the API of the daemon for asyncio programs. The methods mean what those of `Client` mean."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from hfdmd.wire import types as t
from hfdmd.wire.endpoint import DaemonAddress
from hfdmd.wire.errors import Loading, UnknownDownload
from hfdmd_client import async_transport, calls, handshake, locate, transport
from hfdmd_client.client import (
    DEFAULT_TIMEOUT_S,
    GIVE_UP_AFTER_S,
    IDLE_POLL_S,
    LOADING_PATIENCE_S,
    SPAWN_AFTER_S,
    named,
)
from hfdmd_client.errors import DaemonUnreachable, DownloadFailed, describe
from hfdmd_client.event_state import FINAL, Event, EventState, Item
from hfdmd_client.exchange import ConnectionLost
from hfdmd_client.options import FileOptions, RepoOptions, Selection, Selector, StrPath, normalised
from hfdmd_client.reconnect import Backoff, deadline, left_s

T = TypeVar("T")


class AsyncClient:
    """A daemon, for asyncio. Arguments, errors and meanings are those of `Client`; nothing blocks the loop."""

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
        self._greeted = False
        self._addresses()  # an impossible combination is told at once

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing is kept open between calls; here so that `async with` reads as it does elsewhere."""

    # the daemon itself

    async def hello(self, *, any_version: bool = False) -> t.Info:
        """As `Client.hello`: makes sure that a daemon runs and speaks this client's API."""
        try:
            info = await self._patiently(calls.INFO)
        except DaemonUnreachable as error:
            if not self._spawn:
                raise
            info = await self._start(error)
        if not any_version:
            handshake.check(info)
        self._greeted = True
        return info

    async def info(self) -> t.Info:
        """Version, places, free space, counts, speed."""
        return await self._call(calls.INFO) if self._greeted else await self.hello()

    async def health(self) -> t.Health:
        """Answers when the scheduler does. Raises `Loading` until the daemon has read its tracker files."""
        return await async_transport.send(self._addresses(), calls.HEALTH, self._timeout_s)

    async def settings(self) -> t.Settings:
        """What may change while the daemon runs."""
        return await self._call(calls.SETTINGS)

    async def change_settings(self, patch: t.SettingsPatch) -> t.Settings:
        """Changes settings, all of them or none; None gives one back to files, environment and flags."""
        return await self._call(calls.change_settings(patch))

    async def openapi(self) -> dict[str, Any]:
        """The API's OpenAPI 3.1 document."""
        return await self._call(calls.OPENAPI)

    async def metrics(self) -> str:
        """Prometheus metrics as text."""
        return await self._call(calls.METRICS)

    # asking

    @overload
    async def ask(self, model_repo: str, file_path: str, **options: Unpack[FileOptions]) -> t.Download: ...
    @overload
    async def ask(self, model_repo: str, file_path: None = None, **options: Unpack[RepoOptions]) -> t.RepoDownload: ...
    async def ask(
        self, model_repo: str, file_path: str | None = None, **options: Unpack[RepoOptions]
    ) -> t.Download | t.RepoDownload:
        """As `Client.ask`: asks and does not wait."""
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
        """As `Client.download`: asks and waits until it is done. `on_progress` is called in the loop."""
        until = deadline(timeout_s)
        last = first = await self._call(calls.download(model_repo, file_path, **normalised({"retry": True, **options})))
        may_be_old = bool(options.get("update")) and first.commit is not None
        while True:
            async with aclosing(self.follow(last, timeout_s=left_s(until))) as states:
                async for last in states:
                    if on_progress is not None:
                        on_progress(last)
            if last.status is not t.Status.DONE:
                raise DownloadFailed(last)
            if may_be_old:
                last = await self.updated(last, timeout_s=left_s(until))
            if last.status is t.Status.DONE:
                return last

    async def updated(self, item: Item, *, timeout_s: float | None = None) -> Item:
        """As `Client.updated`: `item` once the daemon has looked for a newer commit."""
        async with aclosing(self.watch(id=item.id, timeout_s=timeout_s)) as events:
            async for event in events:
                if isinstance(event, t.Removed) and event.id == item.id:
                    raise UnknownDownload(f"{describe(item)} was removed while it was waited for")
                if isinstance(event, type(item)) and event.id == item.id:
                    item = event
                    if item.status is not t.Status.DONE:
                        break
        return item

    # looking

    async def progress(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Download | t.RepoDownload:
        """One download, by `id` or by repo and file. Raises `UnknownDownload`."""
        if selection.get("id") is None and (model_repo is None or file_path is None):
            raise ValueError("name an id, or a repo and a file; for more than one use downloads()")
        return await self._call(calls.one(named(model_repo, file_path, selection)))

    async def downloads(
        self, model_repo: str | None = None, *, limit: int | None = None, **selection: Unpack[Selection]
    ) -> t.Downloads:
        """As `Client.downloads`: all, or those of a repo or with a `status`, all pages in one."""
        chosen = named(model_repo, None, selection)
        found = await self._call(calls.many(chosen, limit, None))
        while found.next_cursor is not None and limit is None:
            page = await self._call(calls.many(chosen, None, found.next_cursor))
            found.downloads += page.downloads
            found.repos += page.repos
            found.next_cursor = page.next_cursor
        return found

    async def files(
        self, model_repo: str, *, revision: str = t.DEFAULT_REVISION, repo_type: str = t.DEFAULT_REPO_TYPE
    ) -> t.RepoFiles:
        """What the repo has on the Hub and what of it is here, all pages in one. Raises `HubRefused`."""
        found = await self._call(calls.files(model_repo, revision, repo_type, None))
        while found.next_cursor is not None:
            page = await self._call(calls.files(model_repo, found.commit, repo_type, found.next_cursor))
            found.files += page.files
            found.next_cursor = page.next_cursor
        return found

    # acting

    async def pause(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Pauses. After the answer not a byte is read or written."""
        return await self._call(calls.action("pause", named(model_repo, file_path, selection)))

    async def resume(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Resumes what is paused."""
        return await self._call(calls.action("resume", named(model_repo, file_path, selection)))

    async def cancel(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Cancels and deletes partial data."""
        return await self._call(calls.action("cancel", named(model_repo, file_path, selection)))

    async def retry(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Queues again what failed or was cancelled; what waits for its `retryAt` goes now."""
        return await self._call(calls.action("retry", named(model_repo, file_path, selection)))

    async def reorder(
        self, *, priority: int | None = None, position: int | None = None, **selector: Unpack[Selector]
    ) -> t.Affected:
        """Changes the `priority` or the `position` in the queue."""
        return await self._call(calls.reorder(calls.selector(**normalised(selector)), priority, position))

    async def delete(self, *, delete_file: bool = False, **selector: Unpack[Selector]) -> t.Affected:
        """Forgets downloads, cancelling them first; with `delete_file` their files too."""
        return await self._call(calls.delete(calls.selector(**normalised(selector)), delete_file))

    # watching

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
        """As `Client.watch`. Leave it early only with `contextlib.aclosing`, so that its connection closes at once."""
        call = calls.stream(named(model_repo, file_path, selection), history)
        return self._watch(call, EventState(), Backoff(give_up_after_s, deadline(timeout_s)))

    async def follow(
        self, item: t.Download | t.RepoDownload, *, timeout_s: float | None = None
    ) -> AsyncGenerator[t.Download | t.RepoDownload, None]:
        """As `Client.follow`: each new state of `item`, this one first, until it is done, failed or cancelled."""
        yield item
        backoff = Backoff(GIVE_UP_AFTER_S, deadline(timeout_s))
        state = EventState()
        state.knows(item)
        status = item.status
        call = calls.stream(calls.selector(id=item.id), False)
        while status not in FINAL:
            async with aclosing(self._watch(call, state, backoff)) as events:
                async for event in events:
                    if isinstance(event, t.Removed) and event.id == item.id:
                        raise UnknownDownload(f"{describe(item)} was removed while it was waited for")
                    if isinstance(event, (t.Download, t.RepoDownload)) and event.id == item.id:
                        status = event.status
                        yield event
            if status not in FINAL:  # the stream ended all the same: a repo download that somebody paused
                await asyncio.sleep(backoff.cut(IDLE_POLL_S))

    async def _watch(self, call: calls.Call[bytes], state: EventState, backoff: Backoff) -> AsyncGenerator[Event, None]:
        state.end = None
        while True:
            if not self._greeted:
                await self.hello()
            opened = False
            try:
                async with aclosing(
                    async_transport.stream(self._addresses(), call, state.last_event_id, backoff)
                ) as events:
                    async for sse in events:
                        if sse is None:
                            opened = True
                            backoff.answered()
                            state.opened()
                            continue
                        for event in state.feed(sse):
                            yield event
                        if state.end is not None:
                            return
                return
            except UnknownDownload:
                if not state.last_event_id:
                    raise
                for event in state.vanished():
                    yield event
                return
            except (DaemonUnreachable, Loading, ConnectionLost) as error:
                if isinstance(error, DaemonUnreachable) and not opened:
                    await self._maybe_start(error, state, backoff)
                await asyncio.sleep(backoff.wait_s(error))

    async def _maybe_start(self, error: DaemonUnreachable, state: EventState, backoff: Backoff) -> None:
        if self._spawn and not state.stopping and backoff.away_s > SPAWN_AFTER_S:
            await self._start(error)

    # how

    def _addresses(self) -> list[DaemonAddress]:
        return locate.candidates(self._socket, self._url, self._token, os.environ)

    async def _call(self, call: calls.Call[T]) -> T:
        if not self._greeted:
            await self.hello()
        return await self._patiently(call)

    async def _patiently(self, call: calls.Call[T]) -> T:
        """The answer, waiting out a daemon that is still loading or was just restarted. All calls are idempotent."""
        backoff = Backoff(LOADING_PATIENCE_S)
        while True:
            try:
                return await async_transport.send(self._addresses(), call, self._timeout_s)
            except (Loading, ConnectionLost) as error:
                await asyncio.sleep(backoff.wait_s(error))

    async def _start(self, error: DaemonUnreachable) -> t.Info:
        from hfdmd_client import spawn  # only here: most clients find a daemon

        def ask() -> t.Info:
            return transport.send(self._addresses(), calls.INFO, self._timeout_s)

        return await asyncio.to_thread(spawn.start, error, ask)
