"""What may go wrong with one request: passing trouble that the fetch deals with itself, unlike a Failure."""

from __future__ import annotations

from hfdmd.wire.types import Reason


class TransferError(Exception):
    """One attempt failed. `reason` and `detail` become the download's when no connection makes progress any more."""

    reason = Reason.NETWORK

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ConnectionFailed(TransferError):
    """The connection could not be made, was reset or ended early."""


class Stalled(TransferError):
    """Not a byte came for a whole no-progress window."""

    reason = Reason.STALLED


class ServerBusy(TransferError):
    """408, 429 or 5xx. `wait_s` is what the server asked for, None when it asked for nothing."""

    def __init__(self, detail: str, status: int, wait_s: float | None) -> None:
        super().__init__(detail)
        self.status = status
        self.wait_s = wait_s
        self.reason = Reason.RATE_LIMITED if status == 429 else Reason.HUB_UNAVAILABLE


class UrlRefused(TransferError):
    """401, 403, 404 or 410: a signed address that has expired, most likely."""

    reason = Reason.HUB_UNAVAILABLE


class RangeIgnored(TransferError):
    """200 with the whole file where a part of it was asked for."""

    reason = Reason.HUB_UNAVAILABLE


class RangeRefused(TransferError):
    """416: the server thinks the file is shorter."""

    reason = Reason.HUB_UNAVAILABLE


class BadResponse(TransferError):
    """An answer that cannot be what was asked for: another range, another size, coded, malformed."""

    reason = Reason.HUB_UNAVAILABLE


class BadRange(BadResponse):
    """A part of the file, but not the one that was asked for: the server's ranges cannot be trusted."""


class BadRedirect(TransferError):
    """A redirect that must not be followed, or one too many."""

    reason = Reason.HUB_UNAVAILABLE
