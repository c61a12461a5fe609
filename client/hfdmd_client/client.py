"""`Client`: the API of the daemon for programs that block."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from hfdmd.wire import types as t
from hfdmd.wire.endpoint import DaemonAddress
from hfdmd.wire.errors import Loading, UnknownDownload
from hfdmd_client import calls, handshake, locate, logfile, transport
from hfdmd_client.errors import DaemonUnreachable, DownloadFailed, describe
from hfdmd_client.event_state import FINAL, Event, EventState, Item
from hfdmd_client.exchange import ConnectionLost
from hfdmd_client.options import FileOptions, RepoOptions, Selection, Selector, StrPath, normalised
from hfdmd_client.reconnect import Backoff, deadline, left_s

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 60.0
GIVE_UP_AFTER_S = 60.0
LOADING_PATIENCE_S = 15.0
IDLE_POLL_S = 2.0
SPAWN_AFTER_S = 5.0
"""A daemon that vanished is given so long to be restarted by whoever runs it, before a client starts one."""


class Client:
    """A daemon, wherever it listens: by default where the environment says (docs/api.md, section 6).

    `socket` or `url` (with `token`) name one place; `spawn=True` starts a daemon when none answers (never for a place
    that is named so, nor with `HFDMD_NO_SPAWN=1`). `timeout_s` bounds each answer. Safe to use from several threads:
    each call has a connection of its own, so there is nothing to keep open and `close` only marks the end.

    Every call raises `ApiError` or one of its kinds, `DaemonUnreachable` among them.
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
        self._greeted = False
        self._addresses()  # an impossible combination is told at once

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is kept open between calls; here for symmetry with `AsyncClient`."""

    # the daemon itself

    def hello(self, *, any_version: bool = False) -> t.Info:
        """`info`, after making sure that a daemon runs and speaks this client's API. Raises `VersionMismatch`.

        Every other call does the same once, before it does its own work.
        """
        try:
            info = self._patiently(calls.INFO)
        except DaemonUnreachable as error:
            if not self._spawn:
                raise
            info = self._start(error)
        if not any_version:
            handshake.check(info)
        if self._spawn:  # then it may be one that a client started
            logfile.rotate_in_use(Path(info.state_dir) / logfile.NAME)
        self._greeted = True
        return info

    def info(self) -> t.Info:
        """Version, places, free space, counts, speed."""
        return self._call(calls.INFO) if self._greeted else self.hello()

    def health(self) -> t.Health:
        """Answers when the scheduler does. Raises `Loading` until the daemon has read its tracker files."""
        return transport.send(self._addresses(), calls.HEALTH, self._timeout_s)

    def settings(self) -> t.Settings:
        """What may change while the daemon runs."""
        return self._call(calls.SETTINGS)

    def change_settings(self, patch: t.SettingsPatch) -> t.Settings:
        """Changes settings, all of them or none; None gives one back to files, environment and flags."""
        return self._call(calls.change_settings(patch))

    def openapi(self) -> dict[str, Any]:
        """The API's OpenAPI 3.1 document."""
        return self._call(calls.OPENAPI)

    def metrics(self) -> str:
        """Prometheus metrics as text."""
        return self._call(calls.METRICS)

    # asking

    @overload
    def ask(self, model_repo: str, file_path: str, **options: Unpack[FileOptions]) -> t.Download: ...
    @overload
    def ask(self, model_repo: str, file_path: None = None, **options: Unpack[RepoOptions]) -> t.RepoDownload: ...
    def ask(
        self, model_repo: str, file_path: str | None = None, **options: Unpack[RepoOptions]
    ) -> t.Download | t.RepoDownload:
        """Asks for a file, or without `file_path` for a repo or what the globs name, and does not wait. Idempotent.

        `retry=True` queues a failed one again; `update=True` moves to what the revision points at now.
        """
        return self._call(calls.download(model_repo, file_path, **normalised(options)))

    @overload
    def download(
        self,
        model_repo: str,
        file_path: str,
        *,
        on_progress: Callable[[t.Download], object] | None = None,
        timeout_s: float | None = None,
        **options: Unpack[FileOptions],
    ) -> t.Download: ...
    @overload
    def download(
        self,
        model_repo: str,
        file_path: None = None,
        *,
        on_progress: Callable[[t.RepoDownload], object] | None = None,
        timeout_s: float | None = None,
        **options: Unpack[RepoOptions],
    ) -> t.RepoDownload: ...
    def download(
        self,
        model_repo: str,
        file_path: str | None = None,
        *,
        on_progress: Callable[[Any], object] | None = None,
        timeout_s: float | None = None,
        **options: Unpack[RepoOptions],
    ) -> t.Download | t.RepoDownload:
        """Asks and waits until it is done; `on_progress` is called with each new state, the first one included.

        One that failed before is tried again (unless `retry=False`). Raises `DownloadFailed` when it fails or is
        cancelled, `WaitTimeout` after `timeout_s` seconds (the download goes on). A pause is reported and waited out.
        """
        until = deadline(timeout_s)
        last = first = self._call(calls.download(model_repo, file_path, **normalised({"retry": True, **options})))
        may_be_old = bool(options.get("update")) and first.commit is not None
        while True:
            for state in self.follow(last, timeout_s=left_s(until)):
                last = state
                if on_progress is not None:
                    on_progress(last)
            if last.status is not t.Status.DONE:
                raise DownloadFailed(last)
            if may_be_old:
                last = self.updated(last, timeout_s=left_s(until))
            if last.status is t.Status.DONE:
                return last

    def updated(self, item: Item, *, timeout_s: float | None = None) -> Item:
        """`item`, asked for with `update=True` and done before, as it stands once the daemon has looked for a newer
        commit: done at what the revision points at now, or on its way there.

        A Hub that does not answer, or no longer has it, leaves what is here as it is. Raises `UnknownDownload` when
        somebody deletes it meanwhile, `WaitTimeout` after `timeout_s` seconds.
        """
        for event in self.watch(id=item.id, timeout_s=timeout_s):  # ends when the Hub has been asked
            if isinstance(event, t.Removed) and event.id == item.id:
                raise UnknownDownload(f"{describe(item)} was removed while it was waited for")
            if isinstance(event, type(item)) and event.id == item.id:
                item = event
                if item.status is not t.Status.DONE:
                    break
        return item

    # looking

    def progress(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Download | t.RepoDownload:
        """One download, by `id` or by repo and file. Raises `UnknownDownload`."""
        if selection.get("id") is None and (model_repo is None or file_path is None):
            raise ValueError("name an id, or a repo and a file; for more than one use downloads()")
        return self._call(calls.one(named(model_repo, file_path, selection)))

    def downloads(
        self, model_repo: str | None = None, *, limit: int | None = None, **selection: Unpack[Selection]
    ) -> t.Downloads:
        """All downloads and repo downloads, or those of a repo or with a `status`, all pages in one.

        With `limit` about so many; `next_cursor` is then set when there are more.
        """
        chosen = named(model_repo, None, selection)
        found = self._call(calls.many(chosen, limit, None))
        while found.next_cursor is not None and limit is None:
            page = self._call(calls.many(chosen, None, found.next_cursor))
            found.downloads += page.downloads
            found.repos += page.repos
            found.next_cursor = page.next_cursor
        return found

    def files(
        self, model_repo: str, *, revision: str = t.DEFAULT_REVISION, repo_type: str = t.DEFAULT_REPO_TYPE
    ) -> t.RepoFiles:
        """What the repo has on the Hub and what of it is here, all pages in one. Raises `HubRefused`."""
        found = self._call(calls.files(model_repo, revision, repo_type, None))
        while found.next_cursor is not None:
            page = self._call(calls.files(model_repo, found.commit, repo_type, found.next_cursor))
            found.files += page.files
            found.next_cursor = page.next_cursor
        return found

    # acting

    def pause(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Pauses. After the answer not a byte is read or written. Named by repo and file, by `id`, or `all=True`."""
        return self._call(calls.action("pause", named(model_repo, file_path, selection)))

    def resume(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Resumes what is paused."""
        return self._call(calls.action("resume", named(model_repo, file_path, selection)))

    def cancel(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Cancels and deletes partial data."""
        return self._call(calls.action("cancel", named(model_repo, file_path, selection)))

    def retry(
        self, model_repo: str | None = None, file_path: str | None = None, **selection: Unpack[Selection]
    ) -> t.Affected:
        """Queues again what failed or was cancelled; what waits for its `retryAt` goes now."""
        return self._call(calls.action("retry", named(model_repo, file_path, selection)))

    def reorder(
        self, *, priority: int | None = None, position: int | None = None, **selector: Unpack[Selector]
    ) -> t.Affected:
        """Changes the `priority` or the `position` in the queue."""
        return self._call(calls.reorder(calls.selector(**normalised(selector)), priority, position))

    def delete(self, *, delete_file: bool = False, **selector: Unpack[Selector]) -> t.Affected:
        """Forgets downloads, cancelling them first; with `delete_file` their files too."""
        return self._call(calls.delete(calls.selector(**normalised(selector)), delete_file))

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
    ) -> Iterator[Event]:
        """The state now, `Ready`, then every change, across restarts of the daemon. Nothing comes twice.

        Ends with an `End` for one download (when it ended) and for a repo (when nothing in it can move by itself);
        for everything it never ends. Raises `UnknownDownload` when one download is named that does not exist, and
        `DaemonUnreachable` when no daemon answered for `give_up_after_s` (None: never), and `WaitTimeout` when
        `timeout_s` seconds are over.
        """
        call = calls.stream(named(model_repo, file_path, selection), history)
        return self._watch(call, EventState(), Backoff(give_up_after_s, deadline(timeout_s)))

    def follow(
        self, item: t.Download | t.RepoDownload, *, timeout_s: float | None = None
    ) -> Iterator[t.Download | t.RepoDownload]:
        """Each new state of `item`, this one first, until it is done, failed or cancelled.

        Raises `UnknownDownload` when somebody deletes it meanwhile, `WaitTimeout` after `timeout_s` seconds.
        """
        yield item
        backoff = Backoff(GIVE_UP_AFTER_S, deadline(timeout_s))
        state = EventState()
        state.knows(item)
        status = item.status
        call = calls.stream(calls.selector(id=item.id), False)
        while status not in FINAL:
            for event in self._watch(call, state, backoff):
                if isinstance(event, t.Removed) and event.id == item.id:
                    raise UnknownDownload(f"{describe(item)} was removed while it was waited for")
                if isinstance(event, (t.Download, t.RepoDownload)) and event.id == item.id:
                    status = event.status
                    yield event
            if status not in FINAL:  # the stream ended all the same: a repo download that somebody paused
                time.sleep(backoff.cut(IDLE_POLL_S))

    def _watch(self, call: calls.Call[bytes], state: EventState, backoff: Backoff) -> Iterator[Event]:
        state.end = None
        while True:
            try:
                stream = self._open_stream(call, state, backoff)
            except UnknownDownload:
                if not state.last_event_id:
                    raise
                yield from state.vanished()
                return
            except (DaemonUnreachable, Loading, ConnectionLost) as error:
                time.sleep(backoff.wait_s(error))
                continue
            backoff.answered()
            state.opened()
            try:
                if stream.ended:
                    return
                for sse in stream:
                    yield from state.feed(sse)
                    if state.end is not None:
                        return
            except (ConnectionLost, DaemonUnreachable):
                time.sleep(backoff.wait_s())
            finally:
                stream.close()

    def _open_stream(self, call: calls.Call[bytes], state: EventState, backoff: Backoff) -> transport.Stream:
        if not self._greeted:
            self.hello()
        try:
            return transport.Stream(self._addresses(), call, state.last_event_id, backoff)
        except DaemonUnreachable as error:
            if self._spawn and not state.stopping and backoff.away_s > SPAWN_AFTER_S:
                self._start(error)
            raise

    # how

    def _addresses(self) -> list[DaemonAddress]:
        return locate.candidates(self._socket, self._url, self._token, os.environ)

    def _call(self, call: calls.Call[T]) -> T:
        if not self._greeted:
            self.hello()
        return self._patiently(call)

    def _patiently(self, call: calls.Call[T]) -> T:
        """The answer, waiting out a daemon that is still loading or was just restarted. All calls are idempotent."""
        backoff = Backoff(LOADING_PATIENCE_S)
        while True:
            try:
                return transport.send(self._addresses(), call, self._timeout_s)
            except (Loading, ConnectionLost) as error:
                time.sleep(backoff.wait_s(error))

    def _start(self, error: DaemonUnreachable) -> t.Info:
        from hfdmd_client import spawn  # only here: most clients find a daemon

        return spawn.start(error, lambda: transport.send(self._addresses(), calls.INFO, self._timeout_s))


def named(model_repo: str | None, file_path: str | None, selection: Selection) -> dict[str, Any]:
    """A selector for what was named and what narrows it."""
    return calls.selector(model_repo=model_repo, file_path=file_path, **normalised(selection))
