"""Questions to the Hub that a caller waits for: bounded in time, failures as errors of the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hfdmd.failure import Failure
from hfdmd.net.retry_after import MAX_WAIT_S
from hfdmd.wire.errors import ApiError, HubRefused, HubUnavailable

TIMEOUT_S = 30.0
"""Shorter than the timeouts of clients, so that they receive the cause."""

_ERRORS: dict[str, type[ApiError]] = {error.code: error for error in HubRefused.__subclasses__()}
"""By reason of the failure."""


@asynccontextmanager
async def hub_answers(model_repo: str) -> AsyncIterator[None]:
    """Raise `ApiError` with the reason that a download would fail with, when the Hub does not answer or refuses."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield
    except Failure as failure:
        kind, wait_s = _ERRORS.get(failure.reason, HubUnavailable), failure.retry_after_s
        retry_after_s = None if wait_s is None else round(min(wait_s, MAX_WAIT_S)) or 1
        raise kind(failure.detail, retry_after_s=retry_after_s) from None
    except TimeoutError:
        detail = f"The Hub did not answer for {model_repo} within {TIMEOUT_S:.0f} s."
        raise HubUnavailable(detail) from None
