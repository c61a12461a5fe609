"""Errors of one HTTP request that `Location.recover` judges."""

from __future__ import annotations

from hfdmd.transfer.transport import TransferError
from hfdmd.wire.types import Reason


class ConnectionFailed(TransferError):
    """The connection could not be opened, was reset or ended early."""


class Stalled(TransferError):
    """No byte arrived for the whole stall timeout of a connection."""

    reason = Reason.STALLED


class UnusableResponse(TransferError):
    """The server answered, but not with what was requested."""

    reason = Reason.HUB_UNAVAILABLE


class ServerBusy(TransferError):
    """408, 429 or 5xx. `wait_s` is the wait that the server asks for, None when it asks for none."""

    def __init__(self, detail: str, status: int, wait_s: float | None) -> None:
        super().__init__(detail)
        self.status = status
        self.wait_s = wait_s
        self.reason = Reason.RATE_LIMITED if status == 429 else Reason.HUB_UNAVAILABLE


class UrlRefused(UnusableResponse):
    """401, 403, 404 or 410: most likely an expired signed URL."""


class RangeIgnored(UnusableResponse):
    """200 with the whole file where a range was requested."""


class RangeRefused(UnusableResponse):
    """416: the server has a shorter file."""


class BadResponse(UnusableResponse):
    """A response that does not match the request: another size, encoded, malformed."""


class BadRange(BadResponse):
    """A range other than the requested one: the server's ranges cannot be trusted."""


class BadRedirect(UnusableResponse):
    """A redirect that must not be followed, or one too many."""
