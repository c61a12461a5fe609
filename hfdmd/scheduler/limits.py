"""The limits of the transfer engine that follow from the settings at this moment."""

from __future__ import annotations

from datetime import datetime

from hfdmd.bandwidth import limit_at
from hfdmd.config import Limits, Values


def limits_of(values: Values) -> Limits:
    """The engine's limits; the bandwidth limit may depend on the hour of the week."""
    return Limits(
        max_connections=values.max_connections,
        max_connections_per_file=values.max_connections_per_file,
        bandwidth_bytes_per_s=limit_at(datetime.now().astimezone(), values.schedule, values.bandwidth_limit),
        stall_timeout_s=values.stall_timeout,
    )
