"""What a transport raises for an error that may pass. `Failure`, in contrast, ends the attempt of the download."""

from __future__ import annotations

from hfdmd.wire.types import Reason


class TransferError(Exception):
    """One request failed. `reason` and `detail` become the download's when no connection makes progress any more."""

    reason = Reason.NETWORK

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class StartOver(Exception):
    """The rest of the file cannot be requested: fetch all of it in one request. `detail` is the cause."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
