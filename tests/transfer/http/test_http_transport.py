"""What the HTTP transports share stays bounded: a Hub chooses where its redirects lead."""

from __future__ import annotations

import pytest

from hfdmd.net.origin import RedirectPolicy
from hfdmd.net.retry_after import RetryAfter
from hfdmd.transfer.http.http_transport import MAX_ORIGINS, HttpShared
from hfdmd.transfer.slots import ConnectionSlots


@pytest.fixture
async def shared() -> HttpShared:
    return HttpShared(RetryAfter(), RedirectPolicy("http://127.0.0.1:1"), "test", ConnectionSlots(8))


async def test_origins_that_send_ranges_are_bounded(shared: HttpShared) -> None:
    for number in range(3 * MAX_ORIGINS):
        shared.note_ranging(f"https://{number}.example/file", 0.01)
        shared.note_ranging("https://cdn.example/file", 0.02)
    assert len(shared.ranging) == MAX_ORIGINS
    assert shared.ranging["https://cdn.example:443"] == 0.02, "an origin in use is not forgotten"


async def test_origins_with_a_known_proxy_are_bounded(shared: HttpShared) -> None:
    for number in range(3 * MAX_ORIGINS):
        shared.proxy_for(f"https://{number}.example/file")
    assert len(shared._proxies) <= MAX_ORIGINS
