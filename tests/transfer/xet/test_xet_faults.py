"""What a store of Xet or its content servers may do wrong: the right content in the end, or the right failure."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hfdmd.failure import Failure
from hfdmd.net.origin import Target
from hfdmd.transfer.job import XetFile
from hfdmd.wire.types import Reason
from tests.marks import slow, some
from tests.transfer.scripted_server import Request, an_engine, scripted
from tests.transfer.xet.terms import Store, a_xorb, pack, send_json
from tests.transfer.xet.test_xet_transport import SIZES, a_store, job_of

TERMS = [(0, 0, 16), (1, 0, 16)]
Twist = Callable[[Store, Request], Awaitable[bool]]
Alter = Callable[[dict[str, Any]], object]


def is_query(request: Request) -> bool:
    return "/reconstructions/" in request.head


def first(times: int, of_query: bool, answer: bytes) -> Twist:
    """Answer the first requests with `answer`."""
    left = times

    async def twist(store: Store, request: Request) -> bool:
        nonlocal left
        if is_query(request) is not of_query or left <= 0:
            return False
        left -= 1
        await request.send(answer)
        return True

    return twist


def status(code: int, *headers: str, body: str = "") -> bytes:
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 {code} x\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()


async def cuts_first_body(store: Store, request: Request) -> bool:
    if is_query(request) or store.sent:
        return False
    content = b"".join(store.xorbs[0].packed)[request.start : request.end]
    store.sent.append(("cut", len(content) // 2))
    assert request.end is not None
    await request.send(
        f"HTTP/1.1 206 x\r\nContent-Range: bytes {request.start}-{request.end - 1}/*\r\n"
        f"Content-Length: {len(content)}\r\n\r\n".encode()
        + content[: len(content) // 2]
    )
    request.writer.close()
    return True


@dataclass(frozen=True)
class Passing:
    """A fault that passes: all content arrives, with at most `twice_bytes` received twice."""

    twist: Twist
    twice_bytes: int = 0


CHUNK = 140_000
PASSING = {
    "401 of the CAS": Passing(first(1, True, status(401))),
    "403 of a xorb": Passing(first(1, False, status(403, body="Request has expired"))),
    "429 of the CAS": Passing(first(1, True, status(429, "Retry-After: 0.1"))),
    "503 of a xorb": Passing(first(1, False, status(503))),
    "416 within the file": Passing(first(1, True, status(416))),
    "the whole xorb": Passing(first(1, False, status(200, body="x" * 50))),
    "another range": Passing(first(1, False, status(206, "Content-Range: bytes 1-50/99", body="x" * 50))),
    "a body that ends early": Passing(cuts_first_body, CHUNK),
}


@pytest.mark.parametrize("name", PASSING)
async def test_faults_that_pass(tmp_path: Path, name: str) -> None:
    case = PASSING[name]
    store = a_store(repeat=2)
    store.twist = case.twist
    file = store.add(TERMS)
    tokens: list[Target | None] = []

    async def access(refused: Target | None) -> Target:
        tokens.append(refused)
        return await store.access(refused)

    async with store.running(), an_engine(transport="xet", stall_timeout_s=5) as engine:
        job = job_of(tmp_path, store, file)
        job.xet = XetFile(file, access)
        await engine.fetch(job)
    assert job.part.read_bytes() == store.content(file)
    assert sum(count for _, count in store.sent) <= store.packed_bytes(file) + case.twice_bytes
    assert [token is not None for token in tokens].count(True) == (name == "401 of the CAS")


def altered(alter: Alter) -> Twist:
    """Alter each reconstruction."""

    async def twist(store: Store, request: Request) -> bool:
        if not is_query(request):
            return False
        assert request.end is not None
        answer = store.answer(next(iter(store.files)), request.start, request.end)
        said = alter(answer)
        await send_json(request, answer if said is None else said)
        return True

    return twist


def all_ranges(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for entries in answer["xorbs"].values() for entry in entries for part in entry["ranges"]]


def set_terms(**fields: Any) -> Alter:
    return lambda answer: answer["terms"][0].update(fields)


def set_urls(url: str) -> Alter:
    return lambda answer: [entry.update(url=url) for entries in answer["xorbs"].values() for entry in entries] and None


def bytes_of(**fields: int) -> Alter:
    return lambda answer: all_ranges(answer)[0]["bytes"].update(fields)


LIES: dict[str, Alter] = {
    "no JSON object": lambda answer: [],
    "no terms": lambda answer: answer.update(terms=[]),
    "terms without end": lambda answer: answer.update(terms=answer["terms"][:1] * 50_000),
    "a term without chunks": set_terms(range={"start": 3, "end": 3}),
    "a term of negative chunks": set_terms(range={"start": -1, "end": 3}),
    "a term of too many chunks": set_terms(range={"start": 0, "end": 9000}),
    "a term longer than its chunks can be": set_terms(unpacked_length=1 << 40),
    "a term of another length": set_terms(unpacked_length=100_000),
    "an offset behind the first term": lambda answer: answer.update(offset_into_first_range=1 << 29),
    "an offset before the file": lambda answer: answer.update(offset_into_first_range=1),
    "a term of no xorb": set_terms(hash="e" * 64),
    "a hash that is a path": set_terms(hash="../" * 10),
    "no signed ranges": lambda answer: answer.update(xorbs={}),
    "a range that ends before it starts": bytes_of(start=900, end=100),
    "a range that is far too long": bytes_of(end=60 << 20),
    "a range outside any xorb": bytes_of(end=1 << 50),
    "the same range twice": lambda answer: (
        [entries.append(entries[0]) for entries in answer["xorbs"].values()] and None
    ),
    "too few terms": lambda answer: answer.update(terms=[{**answer["terms"][0], "unpacked_length": 16}]),
    "a URL of another scheme": set_urls("file:///etc/passwd"),
    "a URL with a password": set_urls("http://a:b@127.0.0.1/"),
    "no URL": set_urls(""),
}


async def fails(tmp_path: Path, store: Store, file: str) -> Failure:
    async with store.running(), an_engine(transport="xet", stall_timeout_s=1.5) as engine:
        job = job_of(tmp_path, store, file)
        with pytest.raises(Failure) as failed:
            await engine.fetch(job)
    assert failed.value.reason in (Reason.HUB_UNAVAILABLE, Reason.HASH_MISMATCH)
    return failed.value


@pytest.mark.parametrize("name", some(LIES, quick=list(LIES)[::4]))
async def test_a_reconstruction_that_is_not_true(tmp_path: Path, name: str) -> None:
    store = a_store(repeat=2)
    store.twist = altered(LIES[name])
    await fails(tmp_path, store, store.add(TERMS))


def chunk_with(raw: bytes, *, version: int = 0, scheme: int = 1, raw_bytes: int | None = None) -> bytes:
    packed = bytearray(pack(raw, scheme if scheme < 3 else 0))
    packed[0], packed[4] = version, scheme
    packed[5:8] = (len(raw) if raw_bytes is None else raw_bytes).to_bytes(3, "little")
    return bytes(packed)


BAD_CHUNKS = {
    "another version": chunk_with(b"x" * 9_000, version=1),
    "another scheme": chunk_with(b"x" * 9_000, scheme=3),
    "raw bytes of another length": chunk_with(b"x" * 9_000, scheme=0, raw_bytes=9_001),
    "nothing": chunk_with(b"", scheme=0),
    "more than a chunk may have": chunk_with(b"x" * 200_000, scheme=1),
    "a bomb that says that it is small": chunk_with(bytes(16_000_000), scheme=1, raw_bytes=9_000),
    "less than it says": chunk_with(b"x" * 10, scheme=2, raw_bytes=9_000),
    "no LZ4 frame": b"\0\x09\0\0\x01\x28\x23\0" + b"not a lz4"[:9],
}


@pytest.mark.parametrize("name", some(BAD_CHUNKS, quick=("less than it says",)))
async def test_a_chunk_that_no_uploader_writes(tmp_path: Path, name: str) -> None:
    store = a_store(repeat=2)
    store.xorbs[0].packed[3] = BAD_CHUNKS[name]
    failure = await fails(tmp_path, store, store.add(TERMS))
    assert "chunk" in failure.detail, failure.detail


@pytest.mark.parametrize("scheme", [0, slow(1), slow(2)])
async def test_content_that_was_changed_is_never_taken(tmp_path: Path, scheme: int) -> None:
    store = Store([a_xorb(scheme, SIZES)])
    file = store.add([(0, 0, 8)])
    packed = bytearray(store.xorbs[0].packed[0])  # the first chunk of seed n has scheme n
    assert packed[4] == scheme
    packed[-20] ^= 0x55
    store.xorbs[0].packed[0] = bytes(packed)
    await fails(tmp_path, store, file)


async def test_a_refusal_for_ever_is_reported_with_the_words_of_the_server(tmp_path: Path) -> None:
    store = a_store(repeat=2)
    store.twist = first(10_000, False, status(403, body="Auth failed: invalid range"))
    failure = await fails(tmp_path, store, store.add(TERMS))
    assert "Auth failed: invalid range" in failure.detail


SECRET = "Q2hhcmxpZSBCcm93bg"
REPEATED = {
    "the signed URL": f"Access to https://xorbs.example/1?X-Amz-Signature={SECRET} denied",
    "the token": f"Bearer {SECRET} is not valid",
    "what was signed, in XML": "<Error><Message>The signature does not match.</Message>"
    f"<AWSAccessKeyId>{SECRET}</AWSAccessKeyId><StringToSign>GET {SECRET}</StringToSign></Error>",
    "a message with the URL": f"<Error><Message>no /xorbs/1?sig={SECRET} here</Message></Error>",
}


@pytest.mark.parametrize("of_query", [True, False])
@pytest.mark.parametrize("body", REPEATED)
async def test_a_refusal_is_reported_without_what_the_server_repeats(tmp_path: Path, body: str, of_query: bool) -> None:
    store = a_store(repeat=2)
    store.twist = first(10_000, of_query, status(403 if not of_query else 401, body=REPEATED[body]))
    failure = await fails(tmp_path, store, store.add(TERMS))
    assert SECRET not in failure.detail


async def test_an_answer_that_trickles_ends_the_attempt_of_a_small_file(tmp_path: Path) -> None:
    async def trickles(store: Store, request: Request) -> bool:
        await request.send(b"HTTP/1.1 200 x\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await request.send(b" ")
            await asyncio.sleep(0.05)

    store = a_store(repeat=1)
    store.twist = trickles
    file = store.add([(0, 3, 4)])
    async with store.running(), an_engine(transport="xet", stall_timeout_s=0.6) as engine:
        with pytest.raises(Failure) as failed:
            async with asyncio.timeout(10):
                await engine.fetch_small(job_of(tmp_path, store, file))
    assert failed.value.reason is Reason.STALLED


async def test_no_redirect_is_followed(tmp_path: Path) -> None:
    async def welcome(request: Request) -> None:
        await request.send(status(200))

    for of_query in (True, False):
        store = a_store(repeat=2)
        async with scripted(welcome) as elsewhere:
            store.twist = first(10_000, of_query, status(302, f"Location: {elsewhere.url}/"))
            await fails(tmp_path, store, store.add(TERMS))
            assert elsewhere.requests == []


async def test_content_is_not_fetched_from_inside_the_network_of_a_public_hub(tmp_path: Path) -> None:
    """The store is reached though it is on this machine: its URL was checked by the token route, not here."""
    store = a_store(repeat=2)
    file = store.add(TERMS)
    async with store.running(), an_engine(transport="xet", stall_timeout_s=1.5, hub="https://hub.example") as engine:
        job = job_of(tmp_path, store, file)
        with pytest.raises(Failure) as failed:
            await engine.fetch(job)
    assert "inside this machine" in failed.value.detail
    assert store.sent == []


async def test_xet_goes_away_and_http_finishes(tmp_path: Path) -> None:
    """And HTTP fails first: both ways, with every byte kept."""
    store = a_store(repeat=8)
    file = store.add([(0, 0, 64), (1, 0, 64), (2, 0, 64)])
    content = store.content(file)
    http_bytes = 0

    async def http(request: Request) -> None:
        nonlocal http_bytes
        end = len(content) if request.end is None else request.end
        if xet_is_down:
            http_bytes += end - request.start
            await request.send_part(content)
        else:
            await request.send(status(500))

    async def twist(store: Store, request: Request) -> bool:
        nonlocal xet_is_down
        if sum(count for _, count in store.sent) > store.packed_bytes(file) // 3:
            xet_is_down = True
        if xet_is_down:
            request.writer.close()
        return xet_is_down

    xet_is_down = False
    store.twist = twist
    async with store.running(), scripted(http) as server, an_engine(stall_timeout_s=10) as engine:
        job = job_of(tmp_path, store, file)

        async def locate() -> Target:
            return Target(server.url + "/file")

        job.locate = locate
        await engine.fetch(job)
    assert hashlib.sha256(job.part.read_bytes()).hexdigest() == hashlib.sha256(content).hexdigest()
    assert job.meter.transport == "http"
    assert store.sent
    assert 0 < http_bytes < len(content)
    assert job.meter.notice is not None
    assert "continuing over HTTP" in job.meter.notice
