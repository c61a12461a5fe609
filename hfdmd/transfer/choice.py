"""Which transport fetches a file, and when another one takes over. What was received is kept: spans are common."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from hfdmd.failure import Failure
from hfdmd.transfer.job import Job
from hfdmd.transfer.transport import Transport
from hfdmd.wire.types import Reason, TransportName

MAX_HTTP_BYTES = 50_000_000_000
"""Larger files are not asked for over HTTP first: the Hub's own client refuses them there (`constants.py`)."""
ERRORS_IN_A_ROW = 4
"""After so many requests without use, another transport is tried, if there is one."""

_OF_THIS_MACHINE = frozenset({Reason.DISK_FULL, Reason.DISK_ERROR, Reason.PATH_TAKEN, Reason.LOCKED})
_LEAVES_HTTP = frozenset(
    {Reason.NETWORK, Reason.HUB_UNAVAILABLE, Reason.RATE_LIMITED, Reason.STALLED, Reason.XET_REQUIRED}
)
"""Reasons that Xet may not share. All others say something about the file or about who may have it."""
_WORDS: Mapping[TransportName, str] = {"http": "HTTP", "xet": "Xet"}

_log = logging.getLogger(__name__)


class TransportChoice:
    """The transports that may fetch one file, the preferred one first, and the one in use."""

    def __init__(self, job: Job, makers: Mapping[TransportName, Callable[[], Transport]]) -> None:
        self._job = job
        self._makers = makers
        self._made: dict[TransportName, Transport] = {}
        self._failed: set[TransportName] = set()
        self._name: TransportName = next(iter(makers))

    @property
    def transport(self) -> Transport:
        """The one in use."""
        if self._name not in self._made:
            self._made[self._name] = self._makers[self._name]()
        return self._made[self._name]

    @property
    def errors_in_a_row(self) -> int | None:
        """After how many the transport in use is given up; None: not for that."""
        return ERRORS_IN_A_ROW if self._other is not None else None

    @property
    def _other(self) -> TransportName | None:
        return next((name for name in self._makers if name != self._name and name not in self._failed), None)

    def change(self, failure: Failure, *, has_progressed: bool) -> bool:
        """Change to another transport because of `failure`, if that may help; whether it was done.

        `has_progressed`: bytes have come since the last change, so a transport that failed before is tried again.
        """
        if has_progressed:
            self._failed.clear()
        other = self._other
        if other is None or failure.reason in _OF_THIS_MACHINE:
            return False
        if self._name == "http" and failure.reason not in _LEAVES_HTTP:
            return False
        self._failed.add(self._name)
        said = f"{_WORDS[self._name]} failed ({failure.detail}); continuing over {_WORDS[other]}"
        _log.warning("%s: %s", self._job.part.name or self._job.id, said)
        self._job.meter.notice = said
        self._job.meter.last_error = None
        self._name = other
        return True


def preferred(job: Job, setting: str, makers: Mapping[TransportName, Callable[[], Transport]]) -> TransportChoice:
    """The choice for a file under the setting `transport`. `makers` has no `xet` where Xet is impossible."""
    order: list[TransportName] = ["http", "xet"]
    if setting != "auto":
        order = ["xet"] if setting == "xet" and "xet" in makers else ["http"]
    elif (job.size_bytes or 0) > MAX_HTTP_BYTES:
        order.reverse()
    return TransportChoice(job, {name: makers[name] for name in order if name in makers})
