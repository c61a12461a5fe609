"""The engine's limits: each is the setting of its name, and the bandwidth follows the hour."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hfdmd import limits as limits_module
from hfdmd.config import Limits, Values
from hfdmd.limits import limits_of
from hfdmd.wire.types import ScheduleRule

RULE = ScheduleRule(days=["mon"], from_="09:00", to="17:00", bandwidth_limit=1234)


@pytest.mark.parametrize(("hour", "bandwidth"), [(8, 99), (9, 1234), (16, 1234), (17, 99)])
def test_the_limits_are_those_of_the_hour(monkeypatch: pytest.MonkeyPatch, hour: int, bandwidth: int) -> None:
    class Monday(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Monday:
            return cls(2024, 1, 1, hour, 0, 0, tzinfo=UTC)

        def astimezone(self, tz: object = None) -> Monday:
            return self

    monkeypatch.setattr(limits_module, "datetime", Monday)
    values = Values(
        max_connections=11, max_connections_per_file=7, bandwidth_limit=99, schedule=[RULE], stall_timeout=3.5
    )
    assert limits_of(values) == Limits(
        max_connections=11, max_connections_per_file=7, bandwidth_bytes_per_s=bandwidth, stall_timeout_s=3.5
    )
