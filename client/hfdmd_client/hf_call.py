"""One call of `hf_hub_download` or `snapshot_download`, performed by the daemon.

The daemon downloads. The return value, and exceptions about the Hub, come from huggingface_hub itself, which is called
afterwards and reads the cache; they are those of the release that is installed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from hfdmd.wire.errors import InvalidField
from hfdmd.wire.types import Download, Reason, RepoDownload, RepoType, Status
from hfdmd_client.client import Client
from hfdmd_client.environment import same_folder
from hfdmd_client.errors import (
    DaemonMismatch,
    DaemonNotStarted,
    DaemonUnreachable,
    DownloadFailed,
    UnsupportedByDaemon,
    download_failed,
)
from hfdmd_client.event_state import FINAL

_HUB_REFUSED = frozenset(
    {Reason.REPO_NOT_FOUND, Reason.REVISION_NOT_FOUND, Reason.FILE_NOT_FOUND, Reason.GATED, Reason.UNAUTHORIZED}
)
_HUB_UNREACHABLE = frozenset({Reason.NETWORK, Reason.HUB_UNAVAILABLE, Reason.STALLED})
_COMMIT = re.compile(r"[0-9a-f]{40}")


class _HubUnreachable(Exception):
    """The Hub cannot be reached and no byte was received: the originals then use the cache."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class HfCall:
    """One call of an original function, with its arguments."""

    def __init__(
        self, *, original: Callable[..., Any], arguments: dict[str, Any], fallback: bool, client: Client | None
    ) -> None:
        self._original = original
        self._arguments = arguments
        self._fallback = fallback
        self._client = client

    def run(self, *, file_path: str | None, globs: dict[str, list[str] | None]) -> Any:
        """Lets the daemon download what is missing, then returns what the original returns."""
        from huggingface_hub.errors import LocalEntryNotFoundError

        if self._arguments["local_files_only"] or self._offline() or self._is_pinned_and_cached():
            return self._original(**self._arguments)
        try:
            self._refuse_unsupported()
            self._fetch(file_path, globs)
        except (UnsupportedByDaemon, DaemonMismatch, DaemonUnreachable) as error:
            if self._fallback:
                return self._original(**self._arguments)
            if isinstance(error, DaemonNotStarted):
                return self._from_cache_or(error)  # as on a read-only disk, where the originals read the cache, too
            raise
        except InvalidField as invalid:
            self._raise_as_original(invalid)
        except _HubUnreachable as unreachable:
            why = f"{unreachable.detail} It is not in the cache yet; the daemon keeps trying. Repeat the call later."
            return self._from_cache_or(LocalEntryNotFoundError(why))
        except DownloadFailed as failed:
            return self._failed(failed)
        return self._from_cache()

    def _offline(self) -> bool:
        from huggingface_hub import is_offline_mode

        return is_offline_mode()

    def _is_pinned_and_cached(self) -> bool:
        """Whether a file at a given commit is already in the cache, so that no daemon is needed."""
        from huggingface_hub import try_to_load_from_cache

        given = self._arguments
        revision = self._revision()
        if "filename" not in given or given["local_dir"] is not None or given["force_download"] or given["dry_run"]:
            return False
        if _COMMIT.fullmatch(revision) is None:
            return False
        path = f"{given['subfolder']}/{given['filename']}" if given["subfolder"] else given["filename"]
        found = try_to_load_from_cache(given["repo_id"], path, given["cache_dir"], revision, given["repo_type"])
        return isinstance(found, str)

    def _revision(self) -> str:
        revision = self._arguments["revision"]
        return "main" if revision is None else str(getattr(revision, "resolved", revision))

    def _refuse_unsupported(self) -> None:
        from huggingface_hub import get_token
        from huggingface_hub.errors import LocalTokenNotFoundError

        given = self._arguments
        if given["repo_type"] == "kernel":
            raise UnsupportedByDaemon("repo_type", "the daemon does not download kernels.")
        if given["token"] is True and get_token() is None:
            raise LocalTokenNotFoundError("token=True needs a token: set HF_TOKEN, or log in with `hfdm login`.")
        if given["token"] is False:
            raise UnsupportedByDaemon("token", "the daemon asks with its own token where no other one is given.")
        if given["headers"]:
            raise UnsupportedByDaemon("headers", "the daemon sends its own headers.")
        if given["force_download"]:
            raise UnsupportedByDaemon("force_download", "the daemon verifies files and keeps those that are correct.")
        if given["dry_run"]:
            raise UnsupportedByDaemon("dry_run", "the daemon has no dry run.")

    def _fetch(self, file_path: str | None, globs: dict[str, list[str] | None]) -> None:
        from huggingface_hub import constants

        client = self._client if self._client is not None else Client(spawn=True)
        info = client.hello()
        self._check_same("cache_dir", info.cache_dir, constants.HF_HUB_CACHE, same_folder)
        self._check_same("endpoint", info.hub_endpoint, constants.ENDPOINT, lambda a, b: a.rstrip("/") == b.rstrip("/"))
        given = self._arguments
        local_dir = given["local_dir"]
        repo_type = given["repo_type"] or "model"
        if repo_type not in set(RepoType):
            raise InvalidField(f"{repo_type!r} is no kind of repo", field="repoType")
        options: dict[str, Any] = {
            "revision": self._revision(),
            "repo_type": repo_type,
            "local_dir": None if local_dir is None else str(Path(local_dir).expanduser().resolve()),
            "retry": True,
            "update": True,
            "hub_token": given["token"] if isinstance(given["token"], str) else None,
            **({} if file_path is not None else globs),
        }
        first: Download | RepoDownload = client.ask(given["repo_id"], file_path, **options)
        if first.status is Status.PAUSED:
            client.resume(id=first.id)
        last = client.updated(first) if first.status is Status.DONE else first
        with _Bar(given["tqdm_class"], file_path or f"Fetching {given['repo_id']}") as bar:
            for state in client.follow(last):
                last = state
                bar.show(last)
                if last.status is Status.QUEUED and last.reason in _HUB_UNREACHABLE and not last.downloaded_bytes:
                    raise _HubUnreachable(last.detail or "the Hub does not answer")
        if last.status is not Status.DONE:
            raise download_failed(last)

    def _check_same(self, argument: str, daemons: str, default: str, same: Callable[[str, str], bool]) -> None:
        given = self._arguments[argument]
        if given is not None and not same(str(given), daemons):
            raise UnsupportedByDaemon(argument, f"the daemon's is {daemons}, not {given}.")
        if given is None and not same(default, daemons):
            raise DaemonMismatch(
                f"The daemon's {argument} is {daemons}, this program's {default}: this program would not find"
                " its downloads. Give both the same HF_HOME, HF_HUB_CACHE and HF_ENDPOINT (see `hfdm doctor`)."
            )

    def _from_cache(self) -> Any:
        return self._original(**{**self._arguments, "local_files_only": True})

    def _from_cache_or(self, error: Exception) -> Any:
        """What the originals do without a network: the cached files, or an error."""
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            return self._from_cache()
        except LocalEntryNotFoundError as missing:
            raise error from missing

    def _raise_as_original(self, invalid: InvalidField) -> NoReturn:
        """Raises what the original raises for invalid arguments: its own check fails, or the Hub has no such name.

        A result from the cache is ignored: an empty file name, for example, matches a folder.
        """
        from huggingface_hub.errors import (
            EntryNotFoundError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        with contextlib.suppress(LocalEntryNotFoundError):
            self._from_cache()
        try:
            _ask_the_hub(self._arguments, self._revision())
        except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError):
            raise
        except Exception as error:  # a Hub that cannot be asked
            raise invalid from error
        raise invalid

    def _failed(self, failed: DownloadFailed) -> Any:
        """Raises the original's own exception where the Hub is the reason: it is asked once more, for its render."""
        if failed.reason not in _HUB_REFUSED:
            raise failed
        if failed.reason is Reason.FILE_NOT_FOUND and "filename" not in self._arguments:
            return self._original(**self._arguments)  # no file matches the patterns, which is no error for the original
        _ask_the_hub(self._arguments, self._revision())
        raise failed


def _ask_the_hub(given: dict[str, Any], revision: str) -> None:
    """Raises what huggingface_hub raises for this repo, revision or file; returns when the Hub has it."""
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    if "filename" in given:
        url = hf_hub_url(
            given["repo_id"],
            given["filename"],
            subfolder=given["subfolder"],
            repo_type=given["repo_type"],
            revision=revision,
        )
        get_hf_file_metadata(url, token=given["token"])
    else:
        HfApi(token=given["token"]).repo_info(given["repo_id"], repo_type=given["repo_type"], revision=revision)


class _Bar:
    """huggingface_hub's progress bar, or the caller's `tqdm_class`, fed by the daemon's events."""

    def __init__(self, tqdm_class: Callable[..., Any] | None, title: str) -> None:
        self._class = tqdm_class
        self._title = title
        self._bar: Any = None
        self._shown_bytes = 0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, item: Download | RepoDownload) -> None:
        """Updates the bar to the state of `item`. The bar appears with the first state that is not final."""
        if item.total_bytes is None:
            return
        if self._bar is None:
            if item.status in FINAL:
                return  # already on disk: the originals show no bar
            self._shown_bytes = item.downloaded_bytes
            self._bar = self._open(item)
        if item.total_bytes != self._bar.total:
            self._bar.total = item.total_bytes
        if item.downloaded_bytes != self._shown_bytes:
            self._bar.update(item.downloaded_bytes - self._shown_bytes)
            self._shown_bytes = item.downloaded_bytes

    def _open(self, item: Download | RepoDownload) -> Any:
        from huggingface_hub.utils.tqdm import tqdm as hub_tqdm

        options: dict[str, Any] = {
            "desc": self._title if len(self._title) <= 40 else f"(…){self._title[-40:]}",
            "total": item.total_bytes,
            "initial": item.downloaded_bytes,
            "unit": "B",
            "unit_scale": True,
        }
        cls = self._class or hub_tqdm
        if isinstance(cls, type) and issubclass(cls, hub_tqdm):
            options |= {"name": "huggingface_hub.http_get", "disable": None}  # so that the user can disable it as usual
        return cls(**options)
