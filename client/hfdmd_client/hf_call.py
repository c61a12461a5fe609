"""One call of a swap-in: what the daemon can serve, what it fetches, what the original then says.

The daemon fetches; what is returned, and what is raised about the Hub, comes from huggingface_hub itself, called
afterwards on what is then in the cache. So both are the originals' own, whatever release is installed.
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
from hfdmd_client.errors import DaemonMismatch, DaemonUnreachable, DownloadFailed, UnsupportedByDaemon
from hfdmd_client.event_state import FINAL

_ASKS_THE_HUB = frozenset(
    {Reason.REPO_NOT_FOUND, Reason.REVISION_NOT_FOUND, Reason.FILE_NOT_FOUND, Reason.GATED, Reason.UNAUTHORIZED}
)
_HUB_AWAY = frozenset({Reason.NETWORK, Reason.HUB_UNAVAILABLE, Reason.STALLED})
_COMMIT = re.compile(r"[0-9a-f]{40}")


class _HubAway(Exception):
    """The Hub cannot be reached and nothing has arrived yet: the originals then look into the cache."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class HfCall:
    """One call of an original, with its arguments."""

    def __init__(
        self, *, original: Callable[..., Any], arguments: dict[str, Any], fallback: bool, client: Client | None
    ) -> None:
        self._original = original
        self._arguments = arguments
        self._fallback = fallback
        self._client = client

    def run(self, *, file_path: str | None, globs: dict[str, list[str] | None]) -> Any:
        """What the original returns, after the daemon has fetched what is missing."""
        if self._arguments["local_files_only"] or self._offline() or self._is_pinned_and_here():
            return self._original(**self._arguments)
        try:
            self._refuse_unsupported()
            self._fetch(file_path, globs)
        except (UnsupportedByDaemon, DaemonMismatch, DaemonUnreachable):
            if self._fallback:
                return self._original(**self._arguments)
            raise
        except InvalidField as invalid:
            self._refused_as_by_the_original(invalid)
        except _HubAway as away:
            return self._from_cache_or_raise(away)
        except DownloadFailed as failed:
            return self._failed(failed)
        return self._from_cache()

    def _offline(self) -> bool:
        from huggingface_hub import is_offline_mode

        return is_offline_mode()

    def _is_pinned_and_here(self) -> bool:
        """A file at a commit that is already in the cache: no request, and no daemon either."""
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
        given = self._arguments
        if given["repo_type"] == "kernel":
            raise UnsupportedByDaemon("repo_type", "it does not download kernels.")
        if not self._is_own_token(given["token"]):
            raise UnsupportedByDaemon("token", "it uses its own (HF_TOKEN of its environment, or `hf auth login`).")
        if given["headers"]:
            raise UnsupportedByDaemon("headers", "its requests are its own.")
        if given["force_download"]:
            raise UnsupportedByDaemon("force_download", "it verifies content and never fetches twice what is right.")
        if given["dry_run"]:
            raise UnsupportedByDaemon("dry_run", "it has no rehearsal.")

    def _is_own_token(self, token: bool | str | None) -> bool:
        """Whether the token is the one that this environment has anyway, so that the daemon need not be told it."""
        from huggingface_hub import get_token
        from huggingface_hub.errors import LocalTokenNotFoundError

        own = get_token()
        if token is True and own is None:
            raise LocalTokenNotFoundError("token=True needs one: set HF_TOKEN, or log in with `hf auth login`.")
        return token in (None, True, own)

    def _fetch(self, file_path: str | None, globs: dict[str, list[str] | None]) -> None:
        from huggingface_hub import constants

        client = self._client if self._client is not None else Client(spawn=True)
        info = client.hello()
        self._must_be("cache_dir", info.cache_dir, constants.HF_HUB_CACHE, same_folder)
        self._must_be("endpoint", info.hub_endpoint, constants.ENDPOINT, lambda a, b: a.rstrip("/") == b.rstrip("/"))
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
                if last.status is Status.QUEUED and last.reason in _HUB_AWAY and not last.downloaded_bytes:
                    raise _HubAway(last.detail or "the Hub does not answer")
        if last.status is not Status.DONE:
            raise DownloadFailed(last)

    def _must_be(self, argument: str, daemons: str, default: str, same: Callable[[str, str], bool]) -> None:
        given = self._arguments[argument]
        if given is not None and not same(str(given), daemons):
            raise UnsupportedByDaemon(argument, f"the daemon's is {daemons}, not {given}.")
        if given is None and not same(default, daemons):
            raise DaemonMismatch(
                f"The daemon's {argument} is {daemons}, this program's {default}: what it fetches would not be found"
                " here. Run both with the same HF_HOME, HF_HUB_CACHE and HF_ENDPOINT (`hfdm doctor` compares them)."
            )

    def _from_cache(self) -> Any:
        return self._original(**{**self._arguments, "local_files_only": True})

    def _from_cache_or_raise(self, away: _HubAway) -> Any:
        """What the originals do without a network: the cache, else their own error, which here also says more."""
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            return self._from_cache()
        except LocalEntryNotFoundError as error:
            raise LocalEntryNotFoundError(
                f"{away.detail} Nothing of it is in the cache yet; the daemon keeps trying, and the same call finds it"
                " when it has arrived."
            ) from error

    def _refused_as_by_the_original(self, invalid: InvalidField) -> NoReturn:
        """The original checks its arguments before all else, then asks the Hub, which has nothing of such a name.

        What it may find in the cache for them is not what was asked for: an empty name finds a folder.
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
        if failed.reason not in _ASKS_THE_HUB:
            raise failed
        if failed.reason is Reason.FILE_NOT_FOUND and "filename" not in self._arguments:
            return self._original(**self._arguments)  # no file matches the patterns: that is no error there
        _ask_the_hub(self._arguments, self._revision())
        raise failed


def _ask_the_hub(given: dict[str, Any], revision: str) -> None:
    """Raises what huggingface_hub raises for this repo, revision or file; returns when the Hub now has it."""
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    if "filename" in given:
        url = hf_hub_url(
            given["repo_id"],
            given["filename"],
            subfolder=given["subfolder"],
            repo_type=given["repo_type"],
            revision=revision,
        )
        get_hf_file_metadata(url)
    else:
        HfApi().repo_info(given["repo_id"], repo_type=given["repo_type"], revision=revision)


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
        """Moves the bar to where `item` is. It appears with the first state that is still at work."""
        if item.total_bytes is None:
            return
        if self._bar is None:
            if item.status in FINAL:
                return  # it was here already: the originals show nothing then
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
            options |= {"name": "huggingface_hub.http_get", "disable": None}  # its own ways to be switched off
        return cls(**options)
