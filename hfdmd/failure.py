"""Why a download stopped by itself: the one exception that hub, cache and transfer raise to the scheduler."""

from __future__ import annotations

from hfdmd.wire.types import FAILED_REASONS, QUEUED_REASONS, Reason


class Failure(Exception):
    """A download cannot continue now, or at all.

    `reason` is one of docs/api.md, section 2: one for `failed` ends the download, one for `queued` makes it wait.
    `detail` is a sentence for a person, with the numbers, without tokens and signed URLs.
    `retry_after_s` is how long the other side asked to wait; None leaves it to the scheduler's backoff.
    """

    def __init__(self, reason: Reason, detail: str, *, retry_after_s: float | None = None) -> None:
        if reason not in FAILED_REASONS and reason not in QUEUED_REASONS:
            raise ValueError(f"{reason} is no reason for a failure or a wait")
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s

    @property
    def is_final(self) -> bool:
        """Whether the download ends: waiting would not help."""
        return self.reason in FAILED_REASONS
