"""Errors that the client itself detects. They and those of `hfdmd.wire.errors` are subclasses of `ApiError`."""

from __future__ import annotations

from hfdmd.wire.errors import ApiError, HubRefused
from hfdmd.wire.types import Download, Reason, RepoDownload, Status


class ClientError(ApiError):
    """Detected by the client, not reported by the daemon."""

    code, status, title = "client_error", 500, "The client cannot do this"


class DaemonUnreachable(ClientError):
    """No daemon answers. `detail` lists the addresses that were tried, and what to do next."""

    code, status, title = "daemon_unreachable", 503, "No daemon answers"


class DaemonNotStarted(DaemonUnreachable):
    """A daemon was started and does not answer. `exit_code` is its exit code, None if it was still running."""

    code, title = "daemon_not_started", "The daemon did not start"

    def __init__(self, detail: str, *, exit_code: int | None = None) -> None:
        super().__init__(detail)
        self.exit_code = exit_code


class DaemonSilent(DaemonUnreachable):
    """A daemon listens but does not answer: it waits for the Hub, is overloaded or hangs. No other one is started."""

    code, status, title = "daemon_silent", 504, "The daemon does not answer"


class ProtocolError(ClientError):
    """The answer is not from hfdmd, or not one that this client understands."""

    code, status, title = "protocol_error", 502, "Not an answer of hfdmd"


class VersionMismatch(ClientError):
    """Daemon and client speak different versions of the API."""

    code, status, title = "version_mismatch", 500, "Daemon and client are of different versions"


class DaemonMismatch(ClientError):
    """The daemon uses another cache or another Hub than the caller's environment."""

    code, status, title = "daemon_mismatch", 409, "The daemon uses another cache or Hub"


class UnsupportedByDaemon(ClientError, NotImplementedError):
    """An argument of `huggingface_hub`'s function that a daemon cannot serve; `argument` is its name."""

    code, status, title = "unsupported_by_daemon", 501, "The daemon cannot do this"

    def __init__(self, argument: str, why: str) -> None:
        super().__init__(f"{argument}: {why} Pass fallback=True to let huggingface_hub handle this call.")
        self.argument = argument


class WaitTimeout(ClientError, TimeoutError):
    """The caller's time limit for waiting has passed; the download continues."""

    code, status, title = "wait_timeout", 504, "Not done in time"


class DownloadFailed(ClientError):
    """The download is `failed` or `cancelled`. `download` is its last state, `reason` one of those in docs/api.md.

    One that the Hub refused is also of the class that `files` raises for the same cause, such as `RepoNotFound`.
    """

    code, status, title = "download_failed", 502, "The download did not succeed"

    def __init__(self, download: Download | RepoDownload) -> None:
        super().__init__(download.error or download.detail or f"{describe(download)} was {download.status.value}")
        self.download = download
        self.reason: Reason | None = download.reason


class DownloadCancelled(DownloadFailed):
    """Someone cancelled the download."""

    code, status, title = "download_cancelled", 409, "The download was cancelled"


def _refusal(kind: type[HubRefused]) -> type[DownloadFailed]:
    """`DownloadFailed` as a subclass of `kind`, with its code."""
    return type(f"Download{kind.__name__}", (DownloadFailed, kind), {"code": kind.code, "status": kind.status})


_REFUSALS: dict[str, type[DownloadFailed]] = {
    refusal.code: _refusal(refusal) for refusal in HubRefused.__subclasses__()
}


def download_failed(download: Download | RepoDownload) -> DownloadFailed:
    """The error for a download that has ended without success."""
    if download.status is Status.CANCELLED:
        return DownloadCancelled(download)
    return _REFUSALS.get(download.reason or "", DownloadFailed)(download)


def describe(item: Download | RepoDownload) -> str:
    """Repo and file of `item`, with its type and revision where they are not the defaults."""
    name = describe_repo(item)
    return f"{name} {item.file_path}" if isinstance(item, Download) else name


def describe_repo(item: Download | RepoDownload) -> str:
    """The repo of `item` as `hfdm` accepts it, for example `datasets/owner/name@revision`; defaults are left out."""
    kind = "" if item.repo_type == "model" else f"{item.repo_type.value}s/"
    revision = "" if item.revision == "main" else f"@{item.revision}"
    return f"{kind}{item.model_repo}{revision}"
