"""What to do after trouble: wait, ask for a new address, start over, or give up by cause."""

from __future__ import annotations

import asyncio
from collections import Counter

from hfdmd.failure import Failure
from hfdmd.net.retry_after import backoff_s
from hfdmd.transfer.http.http_transport import HttpTransport
from hfdmd.transfer.slots import ConnectionSlots
from hfdmd.transfer.transfer_errors import (
    BadRange,
    BadRedirect,
    BadResponse,
    RangeIgnored,
    RangeRefused,
    ServerBusy,
    TransferError,
    UrlRefused,
)
from hfdmd.wire.types import Reason

BACKOFF_BASE_S = 0.2
BACKOFF_CAP_S = 8.0
PATIENT_STRIKES = 3
"""A server that served ranges before, and sends the whole file so often in a row, does not serve them any more."""


class StartOver(Exception):
    """The server cannot be asked for what is missing: fetch all of the file in one request. `detail` is why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Recovery:
    """Judges trouble for one file. Strikes are counted by cause and forgotten as soon as bytes arrive."""

    def __init__(self, transport: HttpTransport, slots: ConnectionSlots) -> None:
        self._transport = transport
        self._slots = slots
        self._strikes: Counter[type[TransferError]] = Counter()

    def progressed(self) -> None:
        """Bytes arrived."""
        if self._strikes:
            self._strikes.clear()

    async def after(
        self, trouble: TransferError, generation: int, attempt: int, *, others_progress: bool, has_bytes: bool = False
    ) -> None:
        """Return when it is time to try again. Raises StartOver, or Failure when trying again is of no use.

        `generation` is the transport's when the attempt began: many connections that fail with the same old
        address are one strike. `attempt` counts this worker's failures in a row. `has_bytes`: some of the file is
        there, so starting over would fetch bytes twice; that is the last thing to try.
        """
        current = generation == self._transport.generation
        strike = 0
        if current:
            self._strikes[type(trouble)] += 1
            strike = self._strikes[type(trouble)]
        if isinstance(trouble, ServerBusy) and trouble.status in (429, 503):
            self._slots.server_refused()
        if current:
            self._judge(trouble, strike, others_progress, has_bytes)
        if isinstance(trouble, ServerBusy) and (trouble.wait_s or 0.0) >= BACKOFF_CAP_S:
            return  # the transport waits as long as was asked for
        if isinstance(trouble, UrlRefused | RangeIgnored | RangeRefused | BadResponse) and strike <= 1 and not attempt:
            return  # a new address is worth an immediate try; bytes of others say nothing for this worker's next ones
        await asyncio.sleep(backoff_s(attempt, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S))

    def _judge(self, trouble: TransferError, strike: int, others_progress: bool, has_bytes: bool) -> None:
        transport = self._transport
        match trouble:
            case UrlRefused():
                if strike > 3 and not others_progress:
                    raise Failure(Reason.HUB_UNAVAILABLE, f"{trouble.detail}, though the address is new")
                transport.forget_target(redirect_only=strike == 1 and transport.was_redirected)
            case BadRedirect():
                if strike > 1 and not others_progress:
                    raise Failure(Reason.HUB_UNAVAILABLE, trouble.detail)
                transport.forget_target()
            case RangeIgnored():
                if strike > (PATIENT_STRIKES if has_bytes else 1) or not (transport.has_ranged or has_bytes):
                    raise StartOver(trouble.detail)
                transport.forget_target()
            case RangeRefused() | BadResponse():
                if strike > 2 and not others_progress:
                    ranges_are_at_fault = isinstance(trouble, BadRange) or not has_bytes
                    if not transport.ranged or not ranges_are_at_fault:
                        raise Failure(Reason.HUB_UNAVAILABLE, trouble.detail)
                    raise StartOver(trouble.detail)
                transport.forget_target()
