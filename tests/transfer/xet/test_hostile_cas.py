"""Whatever a store of Xet or the Hub's token route answers: the right content or a failure, and no token elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.net.origin import RedirectPolicy
from hfdmd.net.retry_after import RetryAfter
from hfdmd.record import RepoSpec
from hfdmd.transfer.engine import Engine
from hfdmd.transfer.job import XetFile
from hfdmd.wire.types import Reason, RepoType
from tests.fakehub import Fault, HubServer
from tests.fakehub.content import content_of
from tests.fakehub.xet_format import NONE
from tests.fakehub.xet_hostile import LYING_CHUNKS, LYING_RECONSTRUCTIONS, LYING_TOKENS, cas_elsewhere, only
from tests.marks import slow, some
from tests.transfer.scripted_server import a_job, an_engine

REPO, PATH = "o/n", "model.bin"
DATA = bytes(range(256)) * 3000 + hashlib.sha256(b"x").digest() * 12_000
HARMLESS = {"LZ4 frame and more behind it", "LZ4 frames, two"}


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer(xet=True) as running:
        running.world.tokens["hf_secret"] = None
        running.add_repo(REPO, {"config.json": b"{}"})
        yield running


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with an_engine(transport="xet", stall_timeout_s=1.5) as running:
        yield running


@dataclass
class Outcome:
    failure: Failure | None
    content: bytes


async def fetched(server: HubServer, engine: Engine, folder: Path) -> Outcome:
    """The outcome of a download of what is committed at `PATH`."""
    commit = server.repo(REPO).find("main")
    assert commit is not None
    xet_hash = commit.files[PATH].xet_hash
    assert xet_hash is not None
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo=REPO, revision="main").file(PATH)
    hub = Hub(server.endpoint, RetryAfter(), RedirectPolicy(server.endpoint), "test", token=lambda: "hf_secret")

    async def locate() -> None:
        raise AssertionError("asked for a URL")

    job = a_job(folder, DATA, locate)  # type: ignore[arg-type]  # never called
    job.xet = XetFile(xet_hash, lambda refused: hub.xet_token(spec, commit.oid, refused))
    failure = None
    try:
        await engine.fetch(job)
    except Failure as caught:
        failure = caught
    finally:
        await hub.close()
    return Outcome(failure, job.part.read_bytes() if job.part.exists() else b"")


def check(outcome: Outcome) -> None:
    if outcome.failure is None:
        assert outcome.content == DATA
    else:
        expected = (Reason.HUB_UNAVAILABLE, Reason.HASH_MISMATCH, Reason.STALLED, Reason.NETWORK)
        assert outcome.failure.reason in expected
        assert "secret" not in outcome.failure.detail


@pytest.mark.parametrize("name", some(LYING_CHUNKS, quick=("LZ4 bomb", "scheme auto")))
async def test_chunks_that_lie(server: HubServer, engine: Engine, tmp_path: Path, name: str) -> None:
    assert server.cas is not None
    server.cas.add(content_of(DATA), schemes=[NONE], forge=only(3, LYING_CHUNKS[name]))
    server.commit(REPO, {PATH: DATA}, xet=True)
    outcome = await fetched(server, engine, tmp_path)
    check(outcome)
    assert (outcome.failure is None) <= (name in HARMLESS)


@pytest.mark.parametrize("name", some(LYING_RECONSTRUCTIONS, quick=list(LYING_RECONSTRUCTIONS)[::6]))
async def test_reconstructions_that_lie(server: HubServer, engine: Engine, tmp_path: Path, name: str) -> None:
    server.commit(REPO, {PATH: DATA}, xet=True)
    server.fault(REPO, "@reconstructions", Fault.edit(LYING_RECONSTRUCTIONS[name]))
    check(await fetched(server, engine, tmp_path))


@pytest.mark.parametrize("name", some(LYING_TOKENS, quick=list(LYING_TOKENS)[::4]))
async def test_tokens_that_lie(server: HubServer, engine: Engine, tmp_path: Path, name: str) -> None:
    server.commit(REPO, {PATH: DATA}, xet=True)
    server.fault(REPO, "@xet-read-token", Fault.edit(LYING_TOKENS[name]))
    check(await fetched(server, engine, tmp_path))


async def test_the_hubs_token_is_never_given_to_a_store(server: HubServer, engine: Engine, tmp_path: Path) -> None:
    """A store that the Hub names gets the token that the Hub made for it, and nothing else."""
    server.commit(REPO, {PATH: DATA}, xet=True)
    with HubServer() as foreign:
        server.fault(REPO, "@xet-read-token", Fault.edit(cas_elsewhere(foreign.endpoint)))
        outcome = await fetched(server, engine, tmp_path)
        assert outcome.failure is not None
        assert all("hf_secret" not in str(request.headers) for request in foreign.log)


@pytest.mark.parametrize("on", ["xorb", "@reconstructions"])
async def test_redirects_are_not_followed(server: HubServer, engine: Engine, tmp_path: Path, on: str) -> None:
    server.commit(REPO, {PATH: DATA}, xet=True)
    with HubServer() as foreign:
        if on == "xorb":
            server.fault(REPO, PATH, Fault.redirect(f"{foreign.endpoint}/x", on="xorb", times=None))
        else:
            server.fault(REPO, on, Fault.redirect(f"{foreign.endpoint}/x", on="api", times=None))
        outcome = await fetched(server, engine, tmp_path)
        assert outcome.failure is not None
        assert list(foreign.log) == []


@pytest.mark.parametrize("versions", [{1}, {2}, {1, 2}])
@pytest.mark.parametrize("multi_range", [slow(False), True])
@pytest.mark.parametrize("signed_by", ["policy", slow("query")])
async def test_every_form_of_answers(
    server: HubServer, engine: Engine, tmp_path: Path, versions: set[int], multi_range: bool, signed_by: str
) -> None:
    assert server.cas is not None
    server.cas.versions = frozenset(versions)
    server.cas.multi_range, server.cas.signed_by = multi_range, signed_by
    server.commit(REPO, {PATH: DATA}, xet=True)
    outcome = await fetched(server, engine, tmp_path)
    assert outcome.failure is None
    assert outcome.content == DATA


async def test_urls_and_tokens_that_expire_on_the_way(server: HubServer, engine: Engine, tmp_path: Path) -> None:
    assert server.cas is not None
    server.commit(REPO, {PATH: DATA}, xet=True)
    server.fault(REPO, PATH, Fault.expired())
    server.fault(REPO, "@reconstructions", Fault.status(401))
    outcome = await fetched(server, engine, tmp_path)
    assert outcome.failure is None
    assert len([request for request in server.requests("hub") if "xet-read-token" in request.path]) == 2
