"""Which transport fetches a file, and when another one takes over. What was received is kept: spans are common."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from hfdmd.aio import in_thread
from hfdmd.failure import Failure
from hfdmd.transfer.disk.part_file import PartFile
from hfdmd.transfer.job import Job
from hfdmd.transfer.spans import Spans
from hfdmd.transfer.transport import Transport
from hfdmd.transfer.xet.delta import Delta
from hfdmd.transfer.xet.recipes import Recipe
from hfdmd.transfer.xet.xet_transport import XetTransport
from hfdmd.wire.types import Reason, TransportName

MAX_HTTP_BYTES = 50_000_000_000
"""Larger files are not asked for over HTTP first: the Hub's own client refuses them there (`constants.py`)."""
ERRORS_IN_A_ROW = 4
"""After this number of requests without use, another transport is tried, if there is one."""

_OF_THIS_MACHINE = frozenset({Reason.DISK_FULL, Reason.DISK_ERROR, Reason.PATH_TAKEN, Reason.LOCKED})
_LEAVES_HTTP = frozenset(
    {Reason.NETWORK, Reason.HUB_UNAVAILABLE, Reason.RATE_LIMITED, Reason.STALLED, Reason.XET_REQUIRED}
)
"""Reasons that Xet may not share. All others say something about the file or about who may have it."""
_WORDS: Mapping[TransportName, str] = {"http": "HTTP", "xet": "Xet"}

_log = logging.getLogger(__name__)


class TransportChoice:
    """The transports that may fetch one file, the preferred one first, and the one in use."""

    def __init__(
        self, job: Job, makers: Mapping[TransportName, Callable[[], Transport]], delta: Delta | None = None
    ) -> None:
        self._job = job
        self._delta = delta
        self._recipe = Recipe()
        self._makers = makers
        self._made: dict[TransportName, Transport] = {}
        self._failures: dict[TransportName, Failure] = {}
        self._is_patient = False
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
        return None if self._is_patient or len(self._makers) == 1 else ERRORS_IN_A_ROW

    async def reuse(self, part: PartFile, have: Spans) -> Spans:
        """Copy what is in other files on this machine into `part`, add it to `have`, and return it. OSError.

        Then Xet is preferred: it fetches exactly the chunks that are missing.
        """
        delta, xet = self._delta, self._job.xet
        if delta is None or xet is None or "xet" not in self._makers:
            return Spans()
        copied = await delta.reuse(self._job, xet, part, have, self._recipe)
        if copied:
            self._name = "xet"
            reused, total = copied.total_bytes / 1e6, (self._job.size_bytes or 0) / 1e6
            self._job.meter.notice = f"{reused:.1f} MB of {total:.1f} MB were here already"
            _log.info("%s: %s", self._job.part.name, self._job.meter.notice)
        return copied

    async def remember(self, part: PartFile) -> None:
        """The file is complete and verified: keep what was learned about its chunks, for its next revision."""
        xet = self._job.xet
        if self._delta is None or xet is None:
            return
        if isinstance(transport := self._made.get("xet"), XetTransport):
            transport.recipe.add(self._recipe.terms)
            self._recipe = transport.recipe
        if not self._recipe.terms:
            return
        try:
            await in_thread(self._delta.recipes.put, xet.hash, self._recipe)
        except OSError as error:
            _log.warning("%s: its chunks are not remembered: %s", part.path.name, error.strerror)

    def change(self, failure: Failure, *, has_progressed: bool) -> bool:
        """Change to another transport because of `failure`, if that may help; whether it was done.

        `has_progressed`: bytes have come since the last change, so a transport that failed before is tried again.
        """
        if has_progressed:
            self._failures.clear()
            self._is_patient = False
        if self._is_patient or failure.reason in _OF_THIS_MACHINE:
            return False
        if self._name == "http" and failure.reason not in _LEAVES_HTTP:
            return False
        self._failures[self._name] = failure
        other = next((name for name in self._makers if name not in self._failures), None)
        if other is None:  # wait with the first one whose failure may pass
            self._is_patient = True
            other = next((name for name in self._makers if not self._failures[name].is_final), None)
            if other is None or other == self._name:
                return False
        said = f"{_WORDS[self._name]} failed ({failure.detail}); continuing over {_WORDS[other]}"
        _log.warning("%s: %s", self._job.part.name or self._job.id, said)
        self._job.meter.notice = said
        self._job.meter.last_error = None
        self._name = other
        return True


def preferred(
    job: Job, setting: str, makers: Mapping[TransportName, Callable[[], Transport]], delta: Delta | None
) -> TransportChoice:
    """The choice for a file under the setting `transport`. `makers` has no `xet` where Xet is impossible."""
    order: list[TransportName] = ["http", "xet"]
    if setting != "auto":
        order = ["xet"] if setting == "xet" and "xet" in makers else ["http"]
    elif (job.size_bytes or 0) > MAX_HTTP_BYTES:
        order.reverse()
    return TransportChoice(job, {name: makers[name] for name in order if name in makers}, delta)
