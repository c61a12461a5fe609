"""`hf_hub_download` and `snapshot_download` with the signatures of huggingface_hub, performed by the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hfdmd_client.client import Client
from hfdmd_client.hf_call import HfCall

_OWN = ("fallback", "client")
"""The parameters that huggingface_hub's functions do not have."""


def hf_hub_download(
    repo_id: str,
    filename: str,
    *,
    subfolder: str | None = None,
    repo_type: str | None = None,
    revision: str | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    cache_dir: str | Path | None = None,
    local_dir: str | Path | None = None,
    user_agent: dict[str, Any] | str | None = None,
    force_download: bool = False,
    etag_timeout: float = 10,
    token: bool | str | None = None,
    local_files_only: bool = False,
    headers: dict[str, str] | None = None,
    endpoint: str | None = None,
    tqdm_class: type[Any] | None = None,
    dry_run: bool = False,
    fallback: bool = False,
    client: Client | None = None,
) -> Any:
    """Like `huggingface_hub.hf_hub_download`, but the daemon downloads; returns the path of the file.

    `library_name`, `library_version`, `user_agent` and `etag_timeout` are accepted and have no effect, since the daemon
    sends the requests. An argument that it does not support raises `UnsupportedByDaemon`; with `fallback=True` the
    original handles the call. `client` selects a daemon; by default that of this environment, started if needed.

    Raises the exceptions of the original, and `DaemonMismatch`, `DaemonUnreachable` or `DownloadFailed`.
    """
    arguments = {name: value for name, value in locals().items() if name not in _OWN}
    import huggingface_hub

    call = HfCall(
        original=huggingface_hub.hf_hub_download,
        arguments=arguments,
        fallback=fallback,
        client=client,
    )
    path = f"{subfolder}/{filename}" if subfolder else filename
    return call.run(file_path=path, globs={})


def snapshot_download(
    repo_id: str,
    *,
    repo_type: str | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_dir: str | Path | None = None,
    library_name: str | None = None,
    library_version: str | None = None,
    user_agent: dict[str, Any] | str | None = None,
    etag_timeout: float = 10,
    force_download: bool = False,
    token: bool | str | None = None,
    local_files_only: bool = False,
    allow_patterns: list[str] | str | None = None,
    ignore_patterns: list[str] | str | None = None,
    max_workers: int = 8,
    tqdm_class: type[Any] | None = None,
    headers: dict[str, str] | None = None,
    endpoint: str | None = None,
    dry_run: bool = False,
    fallback: bool = False,
    client: Client | None = None,
) -> Any:
    """Like `huggingface_hub.snapshot_download`, but the daemon downloads; returns the folder of the snapshot.

    `max_workers` is accepted and has no effect (the daemon has its own limits). For the rest see `hf_hub_download`.
    """
    arguments = {name: value for name, value in locals().items() if name not in _OWN}
    import huggingface_hub

    call = HfCall(
        original=huggingface_hub.snapshot_download,
        arguments=arguments,
        fallback=fallback,
        client=client,
    )
    return call.run(file_path=None, globs={"include": _listed(allow_patterns), "exclude": _listed(ignore_patterns)})


def _listed(patterns: list[str] | str | None) -> list[str] | None:
    return [patterns] if isinstance(patterns, str) else patterns
