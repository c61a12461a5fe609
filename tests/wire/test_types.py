"""The closed sets of the API."""

from __future__ import annotations

import pytest

from hfdmd.failure import Failure
from hfdmd.wire.types import (
    FAILED_REASONS,
    PAUSED_REASONS,
    QUEUED_REASONS,
    RECONNECT_REASONS,
    EndReason,
    Reason,
    Status,
)


def test_each_reason_explains_exactly_one_status() -> None:
    assert sorted([*FAILED_REASONS, *QUEUED_REASONS, *PAUSED_REASONS]) == sorted(Reason)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.INTERNAL, Status.FAILED),
        (Reason.NETWORK, Status.QUEUED),
        (Reason.RESTARTED, Status.QUEUED),
        (Reason.REQUESTED, Status.PAUSED),
    ],
)
def test_a_reason_keeps_its_kind_wherever_it_stands_in_the_enum(reason: Reason, status: Status) -> None:
    assert reason.status is status


def test_only_a_failed_reason_ends_a_download() -> None:
    assert {reason for reason in FAILED_REASONS | QUEUED_REASONS if Failure(reason, "why").is_final} == FAILED_REASONS
    for reason in PAUSED_REASONS:
        with pytest.raises(ValueError, match=reason):
            Failure(reason, "why")


def test_a_client_reconnects_exactly_where_the_daemon_did_not_finish_the_stream() -> None:
    final = {EndReason.DONE, EndReason.FAILED, EndReason.CANCELLED, EndReason.IDLE}
    assert set(EndReason) - RECONNECT_REASONS == final
