"""Every network fault: the right content or the right Failure, and how many bytes were sent twice."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hfdmd.failure import Failure
from hfdmd.net.origin import Target
from hfdmd.wire.types import Reason
from tests.fakehub import Fault, HubServer
from tests.fakehub.tls import make_authority
from tests.transfer.bench import FILE, REPO, MiB, cancelled, engine_for, file_download, signed_url, until
from tests.transfer.scripted_server import a_job, an_engine

SIZE = 12 * MiB
KiB = 1 << 10
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12582912\n"
IN_FLIGHT = 512 * KiB  # what may be on its way when a connection is dropped, on loopback


@dataclass(frozen=True)
class Case:
    """Faults, how many bytes they may cost at most, and the reason of the Failure if it must end in one."""

    name: str
    faults: list[Fault]
    twice: int = 0
    reason: Reason | None = None
    located: int | None = None
    limits: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("nothing", [], located=1),
    Case("reset at once", [Fault.hangup(times=3)]),
    Case("reset in the body", [Fault.reset(after=300_000, times=4)], IN_FLIGHT),
    Case("early end", [Fault.fin(after=300_000, times=4)]),
    Case("early end before the body", [Fault.fin(after=0, times=3)]),
    Case("stall before the head", [Fault.stall(times=1)], limits={"stall_timeout_s": 2.0}),
    Case("stall before the first byte", [Fault.stall(after=0, times=1)], IN_FLIGHT, limits={"stall_timeout_s": 2.0}),
    Case("stall in the body", [Fault.stall(after=200_000)], IN_FLIGHT, limits={"stall_timeout_s": 2.0}),
    Case("stalls for good", [Fault.stall(times=None)], reason=Reason.STALLED, limits={"stall_timeout_s": 1.0}),
    Case("wrong Content-Range", [Fault.content_range(shift=1, times=1)], 9 * IN_FLIGHT),
    Case("no Content-Range", [Fault.content_range("", times=1)], 9 * IN_FLIGHT),
    Case("another total size", [Fault.content_range("bytes 0-99/100", times=1)], 9 * IN_FLIGHT),
    Case("never a right Content-Range", [Fault.content_range(shift=1, times=None)], SIZE),
    Case("416 once", [Fault.range_refused()]),
    Case("416 thrice", [Fault.range_refused(times=3)], SIZE),
    Case("the whole file for a range", [Fault.whole()]),
    Case("the whole file for a range, early end", [Fault.whole(), Fault.fin(after=5 * MiB)], 6 * MiB),
    Case("chunked, early end", [Fault.chunked(), Fault.fin(after=300_000, times=3)]),
    Case("corrupt once, then broken", [Fault.corrupt(offset=5 * MiB), Fault.reset(after=3 * MiB, times=4)], 2 * SIZE),
    Case("coded once", [Fault.gzip(times=1)], located=1),
    Case("always coded", [Fault.gzip()], 2 * IN_FLIGHT, located=1),
    Case("always coded by deflate", [Fault.gzip(coding="deflate")], 2 * IN_FLIGHT, located=1),
    Case("coded, early end", [Fault.gzip(), Fault.fin(after=5 * MiB)], 6 * MiB),
    Case("an unknown coding", [Fault.say({"Content-Encoding": "br"}, on="body")], reason=Reason.HUB_UNAVAILABLE),
    Case("chunked", [Fault.chunked()]),
    Case("429 with RateLimit", [Fault.busy(reset_s=1, times=2, on="body")]),
    Case("429 with Retry-After", [Fault.status(429, retry_after=1, times=2)]),
    Case("429 without a word", [Fault.status(429, times=2)]),
    Case("503 with Retry-After", [Fault.status(503, retry_after=1, times=2)]),
    Case("500", [Fault.status(500, times=3)]),
    Case("408", [Fault.status(408, times=1)]),
    Case("429 for long", [Fault.busy(reset_s=1000, times=None, on="body")], reason=Reason.RATE_LIMITED),
    Case("500 for long", [Fault.status(500, times=None)], reason=Reason.HUB_UNAVAILABLE),
    Case("an expired URL", [Fault.expired()], located=2),
    Case("401 on the signed URL", [Fault.status(401)], located=2),
    Case("404 on the signed URL", [Fault.status(404)], located=2),
    Case("410 on the signed URL", [Fault.status(410)], located=2),
    Case("403 on every new URL", [Fault.expired(times=None)], reason=Reason.HUB_UNAVAILABLE),
    Case("a redirect loop", [Fault.loop(on="body")], reason=Reason.HUB_UNAVAILABLE),
    Case("a redirect loop once", [Fault.loop(times=21, on="body")]),
    Case("a redirect to a file", [Fault.redirect("file:///etc/passwd", on="body")], reason=Reason.HUB_UNAVAILABLE),
    Case("corrupt once", [Fault.corrupt(offset=5 * MiB)], SIZE + IN_FLIGHT),
    Case("corrupt always", [Fault.corrupt(offset=5 * MiB, times=None)], SIZE, Reason.HASH_MISMATCH),
    Case("an odd status", [Fault.status(418, times=1)]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_ends_in_the_right_content_or_the_right_failure(hub: HubServer, tmp_path: Path, case: Case) -> None:
    download = file_download(hub, tmp_path, SIZE)
    hub.fault(REPO, FILE, *case.faults)
    failure: Failure | None = None
    async with engine_for(hub, **case.limits) as engine:
        try:
            await engine.fetch(download.job())
        except Failure as error:
            failure = error
    assert (failure.reason if failure else None) == case.reason, failure
    if case.reason is None:
        assert download.is_right()
        assert download.synced == [(0, SIZE)]
    if case.reason is Reason.HASH_MISMATCH:
        assert not download.part.exists()
        assert download.synced == []
    if case.located is not None:
        assert download.located == case.located
    await until(lambda: not any(request.open for request in hub.log) or bool(case.limits))
    assert download.sent_twice <= case.twice, f"{download.sent_twice} bytes were sent twice"
    if failure is not None:
        assert "X-Amz" not in failure.detail
        assert "?" not in failure.detail


@pytest.mark.parametrize("framing", [[], [Fault.chunked()], [Fault.gzip()]], ids=["plain", "chunked", "coded"])
@pytest.mark.parametrize("size_bytes", [SIZE, 100_000])
async def test_a_pointer_instead_of_the_file(
    hub: HubServer, tmp_path: Path, framing: list[Fault], size_bytes: int
) -> None:
    download = file_download(hub, tmp_path, size_bytes)
    hub.fault(REPO, FILE, Fault.instead(POINTER, on="body"), *framing)
    async with engine_for(hub) as engine:
        with pytest.raises(Failure, match="LFS pointer") as failed:
            await (engine.fetch if size_bytes == SIZE else engine.fetch_small)(download.job())
    assert failed.value.is_final
    hub.clear_faults()
    async with engine_for(hub) as engine:
        await engine.fetch(download.job())
    assert download.is_right()


async def test_tells_how_long_the_server_asked_to_wait(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)
    hub.fault(REPO, FILE, Fault.busy(reset_s=87, times=None, on="body"))
    async with engine_for(hub) as engine:
        with pytest.raises(Failure) as failed:
            await engine.fetch(download.job())
    assert failed.value.retry_after_s == pytest.approx(87, abs=3)


async def test_one_refusal_in_the_middle_does_not_stop_the_others(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)
    hub.per_connection_bytes_per_s = MiB
    hub.fault(REPO, FILE, Fault.status(500, times=1).passing(3))
    async with engine_for(hub) as engine:
        await engine.fetch(download.job())
    assert download.is_right()
    assert download.sent_twice == 0


async def test_a_silent_connection_is_dropped_while_others_bring_bytes(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)
    hub.per_connection_bytes_per_s = 256 * KiB
    hub.fault(REPO, FILE, Fault.stall(after=100_000).passing(3))
    async with engine_for(hub, stall_timeout_s=6.0) as engine:
        job = download.job()
        task = asyncio.create_task(engine.fetch(job))
        await until(lambda: any(request.fault == "stall" for request in hub.log))
        await until(lambda: not any(request.open and request.fault == "stall" for request in hub.log), 5.0)
        assert not task.done(), "it was dropped only when the others had finished"
        hub.per_connection_bytes_per_s = 0
        await task
    assert download.is_right()


async def test_goes_on_when_the_network_comes_back(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)
    hub.rate_bytes_per_s = 8 * MiB
    async with engine_for(hub, stall_timeout_s=20.0) as engine:
        job = download.job()
        task = asyncio.create_task(engine.fetch(job))
        await until(lambda: job.meter.downloaded_bytes > 2 * MiB)
        hub.down()
        await until(lambda: job.meter.last_error is not None)
        assert job.meter.last_error is not None
        assert job.meter.last_error[0] is Reason.NETWORK
        hub.rate_bytes_per_s = 0
        hub.up()
        await task
    assert job.meter.last_error is None
    assert download.is_right()
    assert download.sent_twice <= 17 * IN_FLIGHT


async def test_a_frozen_network_is_stalled_and_keeps_what_came(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)
    hub.rate_bytes_per_s = 8 * MiB
    async with engine_for(hub, stall_timeout_s=1.0) as engine:
        job = download.job()
        task = asyncio.create_task(engine.fetch(job))
        await until(lambda: job.meter.downloaded_bytes > 2 * MiB)
        hub.freeze()
        with pytest.raises(Failure) as failed:
            await task
        hub.thaw()
        assert failed.value.reason is Reason.STALLED
        assert sum(end - start for start, end in download.synced) == job.meter.downloaded_bytes
        hub.rate_bytes_per_s = 0
        await engine.fetch(download.job())
    assert download.is_right()


@pytest.mark.parametrize("url", ["http://nowhere.invalid/file", "http://127.0.0.1:{port}/file"])
async def test_nobody_there_is_the_network(hub: HubServer, tmp_path: Path, url: str) -> None:
    download = file_download(hub, tmp_path, SIZE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    async def locate() -> Target:
        return Target(url.format(port=port))

    async with engine_for(hub, stall_timeout_s=1.0) as engine:
        with pytest.raises(Failure) as failed:
            await engine.fetch(download.job(locate=locate))
    assert failed.value.reason is Reason.NETWORK


async def test_a_rejected_certificate_ends_it_at_once(tmp_path: Path) -> None:
    with HubServer(tls=True) as hub:
        download = file_download(hub, tmp_path, SIZE)

        async def locate() -> Target:
            return Target(f"{hub.cdn_url}/whatever")

        async with engine_for(hub) as engine:
            with pytest.raises(Failure) as failed:
                await engine.fetch(download.job(locate=locate))
    assert failed.value.reason is Reason.TLS


async def test_a_trusted_certificate_of_another_host_ends_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(("localhost",))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_path))
    met = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal met
        met += 1
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=authority.server)
    port = server.sockets[0].getsockname()[1]

    async def locate() -> Target:
        return Target(f"https://127.0.0.1:{port}/file")

    try:
        async with an_engine() as engine:
            with pytest.raises(Failure) as failed:
                await engine.fetch(a_job(tmp_path, b"bytes" * MiB, locate))
    finally:
        server.close()
        authority.remove()
    assert failed.value.reason is Reason.TLS
    assert met <= 1, "it is no use to try again"


async def test_a_certificate_out_of_its_time_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubServer(tls=True) as hub:
        download = file_download(hub, tmp_path, SIZE)
        monkeypatch.setenv("SSL_CERT_FILE", hub.ca_path)
        url = await asyncio.to_thread(signed_url, hub, FILE)
        hub.renew_certificate(-3, -1)

        async def locate() -> Target:
            return Target(url)

        async with engine_for(hub, stall_timeout_s=1.0) as engine:
            with pytest.raises(Failure, match="clock") as failed:
                await engine.fetch(download.job(locate=locate))
            assert failed.value.reason is Reason.NETWORK
            hub.renew_certificate(-1, 1)
            await engine.fetch(download.job(locate=locate))
        assert download.is_right()


async def test_fetches_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubServer(tls=True) as hub:
        download = file_download(hub, tmp_path, SIZE)
        monkeypatch.setenv("SSL_CERT_FILE", hub.ca_path)
        url = await asyncio.to_thread(signed_url, hub, FILE)

        async def locate() -> Target:
            return Target(url)

        async with engine_for(hub) as engine:
            await engine.fetch(download.job(locate=locate))
        assert download.is_right()


async def test_the_token_stays_at_the_hub(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 3 * MiB)
    hub.add_token("hf_secret")

    async def locate() -> Target:
        return Target(f"{hub.endpoint}/{REPO}/resolve/main/{FILE}", {"Authorization": "Bearer hf_secret"})

    async with engine_for(hub) as engine:
        await engine.fetch(download.job(locate=locate))
    assert download.is_right()
    assert all(request.authorization for request in hub.requests("hub", "GET", FILE))
    assert not any(request.authorization for request in hub.requests("cdn"))
    assert "hf_secret" not in repr(await locate())


async def test_where_a_redirect_led_is_remembered_and_forgotten_when_refused(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)

    async def locate() -> Target:
        download.located += 1
        return Target(f"{hub.endpoint}/{REPO}/resolve/main/{FILE}")

    hub.fault(REPO, FILE, Fault.expired().passing(2))
    async with engine_for(hub) as engine:
        await engine.fetch(download.job(locate=locate))
    assert download.is_right()
    assert download.located == 1
    assert len(hub.requests("hub", "GET", FILE)) <= 4


async def test_a_failure_of_locate_is_passed_on(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)

    async def locate() -> Target:
        raise Failure(Reason.GATED, "its conditions are not accepted")

    async with engine_for(hub) as engine:
        with pytest.raises(Failure) as failed:
            await engine.fetch(download.job(locate=locate))
    assert failed.value.reason is Reason.GATED


async def test_a_file_of_unknown_size(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE, size_bytes=None)
    hub.fault(REPO, FILE, Fault.chunked(), Fault.fin(after=MiB))
    async with engine_for(hub) as engine:
        fetched = await engine.fetch(download.job())
    assert fetched.size_bytes == SIZE
    assert download.is_right()


async def test_a_file_of_unknown_size_that_breaks_is_fetched_anew(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, 5 * MiB, size_bytes=None)
    hub.fault(REPO, FILE, Fault.reset(after=3 * MiB))
    download.part.write_bytes(b"?" * 7 * MiB)
    async with engine_for(hub) as engine:
        fetched = await engine.fetch(download.job())
    assert fetched.size_bytes == 5 * MiB
    assert download.part.stat().st_size == 5 * MiB
    assert download.is_right()


async def test_a_known_server_is_asked_over_all_connections_at_once(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)
    hub.latency_s = 0.3
    async with engine_for(hub) as engine:
        await engine.fetch(download.job())
        hub.clear_log()
        download.checkpoints.clear()
        await engine.fetch(download.job(part=tmp_path / "other.part"))
    times = [request.time_s for request in hub.requests("cdn", "GET")]
    assert sum(1 for time_s in times if time_s < times[0] + 0.25) > 4


async def test_the_text_of_a_failure_shows_no_token(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)

    async def locate() -> Target:
        return Target(f"{hub.cdn_url}/x", {"Authorization": "Bearer hf_secret\r\nX: y"})

    async with engine_for(hub) as engine:
        with pytest.raises(Failure) as failed:
            await engine.fetch(download.job(locate=locate))
    assert failed.value.reason is Reason.INTERNAL
    assert "hf_secret" not in str(failed.value)


async def test_cancelled_while_it_waits_for_a_server(hub: HubServer, tmp_path: Path) -> None:
    download = file_download(hub, tmp_path, SIZE)
    hub.fault(REPO, FILE, Fault.stall(times=None))
    async with engine_for(hub) as engine:
        task = asyncio.create_task(engine.fetch(download.job()))
        await until(lambda: bool(hub.requests("cdn", "GET")))
        await cancelled(task)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name not in ("416 thrice",)], ids=lambda case: case.name
)
async def test_a_small_file_meets_the_same_faults(hub: HubServer, tmp_path: Path, case: Case) -> None:
    small = 100_000
    download = file_download(hub, tmp_path, small)
    faults = [
        fault if fault.after is None else type(fault)(**(vars(fault) | {"after": fault.after // 10}))
        for fault in case.faults
    ]
    faults = [fault if fault.kind != "corrupt" else type(fault)(**(vars(fault) | {"offset": 5000})) for fault in faults]
    hub.fault(REPO, FILE, *faults)
    failure: Failure | None = None
    data = b""
    async with engine_for(hub, **case.limits) as engine:
        try:
            data = await engine.fetch_small(download.job())
        except Failure as error:
            failure = error
    if case.name in ("never a right Content-Range",):
        return
    assert (failure.reason if failure else None) == case.reason, failure
    assert case.reason is not None or data == download.content.read()
