"""Tokens for Xet: one request per repo commit, a new one in time or after a refusal, never for a foreign store."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.wire.types import Reason
from tests.fakehub import Fault, HubServer
from tests.hub.conftest import REPO, spec_of


def said(**changes: object) -> bytes:
    answer = {"accessToken": "t", "exp": int(time.time()) + 3600, "casUrl": "http://127.0.0.1:1"} | changes
    return json.dumps(answer).encode()


def requests(server: HubServer) -> int:
    return len([request for request in server.requests("hub") if "xet-read-token" in request.path])


async def test_one_request_for_all_files_of_a_commit(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "@xet-read-token", Fault.instead(said()))
    found = await asyncio.gather(*(hub.xet_token(spec_of(f"{number}.bin"), commit) for number in range(20)))
    assert {id(target) for target in found} == {id(found[0])}
    assert found[0].headers == {"Authorization": "Bearer t"}
    assert found[0].url == "http://127.0.0.1:1"
    assert requests(server) == 1
    assert "Bearer" not in repr(found[0])


async def test_a_refused_token_and_one_that_is_about_to_expire_are_replaced(
    server: HubServer, hub: Hub, commit: str
) -> None:
    server.fault(REPO, "@xet-read-token", Fault.instead(said(exp=int(time.time()) + 30)))
    first = await hub.xet_token(spec_of("a"), commit)
    assert await hub.xet_token(spec_of("a"), commit) is not first
    assert requests(server) == 2


async def test_with_a_clock_that_is_ahead_a_token_is_used_until_it_is_refused(
    server: HubServer, hub: Hub, commit: str
) -> None:
    server.fault(REPO, "@xet-read-token", Fault.instead(said(exp=int(time.time()) - 3600)))
    first = await hub.xet_token(spec_of("a"), commit)
    assert await hub.xet_token(spec_of("a"), commit) is first
    assert await hub.xet_token(spec_of("a"), commit, first) is not first
    assert requests(server) == 2


async def test_a_refused_token_is_replaced(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "@xet-read-token", Fault.instead(said()))
    first = await hub.xet_token(spec_of("a"), commit)
    second = await hub.xet_token(spec_of("a"), commit, first)
    assert second is not first
    assert await hub.xet_token(spec_of("a"), commit, first) is second
    assert requests(server) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"no JSON",
        said(accessToken=""),
        said(accessToken="a\r\nX-Header: b"),
        said(casUrl="file:///etc/passwd"),
        said(casUrl="http://user:password@127.0.0.1:1"),
        said(casUrl="http://169.254.169.254/latest"),
        said(casUrl="http://127.0.0.1:1/?a=b"),
        said(exp="soon"),
    ],
    ids=range(9),
)
async def test_what_is_no_token_for_a_store_is_refused(server: HubServer, hub: Hub, commit: str, body: bytes) -> None:
    server.fault(REPO, "@xet-read-token", Fault.instead(body))
    with pytest.raises(Failure, match=Reason.HUB_UNAVAILABLE):
        await hub.xet_token(spec_of("a"), commit)


async def test_closing_ends_a_request_that_hangs(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "@xet-read-token", Fault.stall().at("api"))
    waiting = asyncio.create_task(hub.xet_token(spec_of("a"), commit))
    await asyncio.sleep(0.05)
    await hub.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
