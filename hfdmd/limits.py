"""The limits of the transfer engine, which may depend on the time of the week."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from hfdmd.config import Limits, Values
from hfdmd.wire.types import Day, ScheduleRule

_DAYS: tuple[Day, ...] = get_args(Day)


def limits_of(values: Values) -> Limits:
    """The engine's limits under these settings, now."""
    return Limits(
        max_connections=values.max_connections,
        max_connections_per_file=values.max_connections_per_file,
        bandwidth_bytes_per_s=limit_at(datetime.now().astimezone(), values.schedule, values.bandwidth_limit),
        stall_timeout_s=values.stall_timeout,
    )


def limit_at(when: datetime, schedule: Sequence[ScheduleRule], otherwise: int) -> int:
    """The limit in bytes per second at the local time `when`; 0 is none. The first matching rule wins.

    A rule with `to` at or before `from` extends past midnight and belongs to the day on which it begins.
    """
    minute = when.hour * 60 + when.minute
    today, yesterday = _DAYS[when.weekday()], _DAYS[when.weekday() - 1]
    for rule in schedule:
        start, end = _minutes(rule.from_), _minutes(rule.to)
        if start < end:
            if today in rule.days and start <= minute < end:
                return rule.bandwidth_limit
        elif (today in rule.days and minute >= start) or (yesterday in rule.days and minute < end):
            return rule.bandwidth_limit
    return otherwise


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
