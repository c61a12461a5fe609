"""A URL that was given up stays so, even when a response to it arrives later."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.net.origin import Target
from tests.transfer.bench import MiB
from tests.transfer.scripted_server import Request, a_job, an_engine, scripted

CONTENT = random.Random(1).randbytes(MiB) * 64


async def test_the_token_for_a_new_address_never_goes_to_the_old_one(tmp_path: Path) -> None:
    async def at_cdn(asked: Request) -> None:
        await asyncio.sleep(0.05)
        if asked.number == 5:
            await asked.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        if 5 < asked.number < 17:
            await asyncio.sleep(0.3)  # the address has been given up when this answer comes
        await asked.send_part(CONTENT, pause_s=0.01)

    async def at_hub(asked: Request) -> None:
        await asyncio.sleep(0.05)
        await asked.send_part(CONTENT, pause_s=0.01)

    located = 0
    async with scripted(at_cdn) as cdn, scripted(at_hub) as hub, an_engine() as engine:

        async def locate() -> Target:
            nonlocal located
            located += 1
            if located == 1:
                return Target(f"{cdn.url}/file?X-Amz-Signature=1")
            return Target(f"{hub.url}/owner/name/resolve/main/file", {"Authorization": "Bearer hf_secret"})

        job = a_job(tmp_path, CONTENT, locate)
        await engine.fetch(job)
        assert job.part.read_bytes() == CONTENT
        assert len(cdn.requests) > 5
        assert hub.requests
        assert all(asked.has_token for asked in hub.requests)
        assert not any(asked.has_token for asked in cdn.requests), "the CDN was told the token"


async def test_addresses_that_expire_cost_few_refusals(tmp_path: Path) -> None:
    born: dict[str, float] = {}
    refused = 0

    async def answer(asked: Request) -> None:
        nonlocal refused
        life = time.monotonic() - born[asked.head.split("sig=")[1].split()[0]]
        await asyncio.sleep(0.1 * random.uniform(0.5, 1.5))
        if life > 0.4:
            refused += 1
            await asked.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        else:
            await asked.send_part(CONTENT, pause_s=0.01)

    async with scripted(answer) as cdn, an_engine(stall_timeout_s=5.0) as engine:

        async def locate() -> Target:
            key = str(len(born))
            await asyncio.sleep(0.1)
            born[key] = time.monotonic()
            return Target(f"{cdn.url}/file?sig={key}")

        job = a_job(tmp_path, CONTENT, locate)
        await engine.fetch(job)
        assert job.part.read_bytes() == CONTENT
        assert len(born) > 1
        assert refused <= 17 * (len(born) - 1), f"{refused} refusals, {len(born)} addresses"


@pytest.mark.parametrize("line", ["403 Forbidden", "404 Not Found", "400 Bad Request", "416 Range Not Satisfiable"])
async def test_refusals_of_some_connections_while_others_bring_bytes_hammer_nobody(tmp_path: Path, line: str) -> None:
    """A CDN that lets four connections in and sends the rest away."""
    content = bytes(24 * MiB)
    at_work = located = 0

    async def answer(asked: Request) -> None:
        nonlocal at_work
        if at_work >= 4:
            await asked.send(f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        at_work += 1
        try:
            await asyncio.sleep(0.03)  # far away: all connections that are allowed are used
            await asked.send_part(content, pause_s=0.02)
        finally:
            at_work -= 1

    async with scripted(answer) as cdn, an_engine(stall_timeout_s=30.0) as engine:

        async def locate() -> Target:
            nonlocal located
            located += 1
            await asyncio.sleep(0.02)
            return Target(f"{cdn.url}/file?sig={located}")

        job = a_job(tmp_path, content, locate)
        await engine.fetch(job)
    assert job.part.read_bytes() == content
    assert located <= 25, f"{located} addresses asked for, {len(cdn.requests)} requests"
    assert len(cdn.requests) <= 200, f"{located} addresses asked for, {len(cdn.requests)} requests"


async def test_a_connection_that_falls_silent_while_others_receive_is_replaced(tmp_path: Path) -> None:
    """Before its own timeout, which would count as an error."""
    content = bytes(24 * MiB)
    silent = 0

    async def answer(asked: Request) -> None:
        nonlocal silent
        await asyncio.sleep(0.03)  # far away: all connections that are allowed are used
        if asked.number == 3:
            silent = asked.start
            await asyncio.Event().wait()
        await asked.send_part(content, pause_s=0.1)

    async with scripted(answer) as server, an_engine(stall_timeout_s=6.0) as engine:  # 3 s of a connection

        async def locate() -> Target:
            return Target(f"{server.url}/file")

        job = a_job(tmp_path, content, locate)
        await engine.fetch(job)
    assert job.part.read_bytes() == content
    assert job.meter.retries == 0
    assert [asked.start for asked in server.requests].count(silent) == 2


async def test_an_address_with_letters_of_other_scripts(tmp_path: Path) -> None:
    """nginx sends them as they are."""

    async def answer(asked: Request) -> None:
        if asked.head.startswith("GET /file "):
            await asked.send("HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: /cdn/模型.bin\r\n\r\n".encode())
        else:
            assert asked.head.startswith("GET /cdn/%E6%A8%A1%E5%9E%8B.bin ")
            await asked.send_part(CONTENT)

    async with scripted(answer) as cdn, an_engine() as engine:

        async def locate() -> Target:
            return Target(f"{cdn.url}/file")

        job = a_job(tmp_path, CONTENT, locate)
        await engine.fetch(job)
        assert job.part.read_bytes() == CONTENT


@pytest.mark.slow
async def test_answers_that_begin_late_are_waited_for(tmp_path: Path) -> None:
    content = bytes(64 * MiB)
    cut = 0

    async def answer(asked: Request) -> None:
        nonlocal cut
        await asyncio.sleep(1.3)
        cut += asked.reader.at_eof()
        await asked.send_part(content, pause_s=0.02)

    async with scripted(answer) as cdn, an_engine(stall_timeout_s=6.0) as engine:  # others are silent after 1 s of it

        async def locate() -> Target:
            return Target(f"{cdn.url}/file")

        job = a_job(tmp_path, content, locate)
        await engine.fetch(job)
    assert job.part.read_bytes() == content
    assert cut == 0


@pytest.mark.parametrize("hub", ["http://mirror.example:8080", "https://huggingface.co"])
async def test_only_the_hubs_own_name_may_lead_to_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: str
) -> None:
    real = socket.getaddrinfo
    here = "127.0.0.1"  # as a line in the file of hosts says
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *more, **named: real(here, *more, **named))

    async def answer(asked: Request) -> None:
        await asked.send_part(CONTENT)

    async with scripted(answer) as server, an_engine(stall_timeout_s=1.0, hub=hub) as engine:

        async def locate() -> Target:
            return Target(f"http://mirror.example:{server.url.rpartition(':')[2]}/file")

        job = a_job(tmp_path, CONTENT, locate)
        if hub.startswith("https"):
            with pytest.raises(Failure, match="inside this machine"):
                await engine.fetch(job)
            assert not server.requests
        else:
            await engine.fetch(job)
            assert job.part.read_bytes() == CONTENT
