"""Every scripted fault has the described effect on the wire."""

from __future__ import annotations

import gzip
import http.client
import socket
import time
from pathlib import Path

import pytest

from tests.fakehub import Content, Fault, HubServer, PathContent, seeded
from tests.fakehub.raw import ask, begin, fetch, until

SIZE = 3_000_000
DATA = seeded(SIZE, seed=7)
TEXT = b'{"hidden_size": 384}' * 40


@pytest.fixture
def file(hub: HubServer) -> str:
    """URL of an LFS file, `model.bin`; `config.json` stands beside it."""
    hub.add_repo("o/n", {"model.bin": DATA, "config.json": TEXT})
    return f"{hub.endpoint}/o/n/resolve/main/model.bin"


def git_url(hub: HubServer) -> str:
    return f"{hub.endpoint}/o/n/resolve/main/config.json"


def test_reset_after_so_many_bytes_then_good_again(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.reset(after=1_000_000, times=2))
    for _ in range(2):
        got = fetch(file)
        assert isinstance(got.problem, ConnectionResetError)
        assert got.body == DATA.read(0, 1_000_000)
    assert fetch(file).body == DATA.read()
    assert [entry.sent_bytes for entry in hub.requests("cdn")] == [1_000_000, 1_000_000, SIZE]
    until(lambda: [entry.done for entry in hub.requests("cdn")] == [False, False, True])


def test_reset_counts_from_the_start_of_the_range(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.reset(after=10))
    got = fetch(file, Range="bytes=100-999")
    assert (got.status, got.body) == (206, DATA.read(100, 110))


def test_hangup_resets_before_any_answer(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.hangup().at("head"))
    got = ask(file, "HEAD")
    assert got.status == 0
    assert isinstance(got.problem, ConnectionResetError)
    assert ask(file, "HEAD").status == 302


def test_fin_ends_in_order_but_too_early(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.fin(after=1234))
    got = fetch(file)
    assert isinstance(got.problem, http.client.IncompleteRead)
    assert got.headers["content-length"] == str(SIZE)
    assert got.body == DATA.read(0, 1234)


@pytest.mark.parametrize(("after", "status"), [(None, 0), (0, 200), (2_000_000, 200)])
def test_stall_before_the_headers_before_and_within_the_body(
    hub: HubServer, file: str, after: int | None, status: int
) -> None:
    hub.fault("o/n", "model.bin", Fault.stall(after=after))
    got = ask(ask(file).location, timeout_s=1.0)
    assert isinstance(got.problem, TimeoutError)
    assert got.status == status
    assert got.body == DATA.read(0, after or 0)
    until(lambda: not hub.requests("cdn")[0].open)
    assert not hub.requests("cdn")[0].done
    assert fetch(file).body == DATA.read()


def test_a_stall_that_ends(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.stall(after=1_000_000, seconds=0.2))
    began_s = time.monotonic()
    assert fetch(file).body == DATA.read()
    assert time.monotonic() - began_s >= 0.2


def test_delay_and_latency(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.delay(0.1).at("head"))
    hub.latency_s = 0.1
    began_s = time.monotonic()
    assert ask(file, "HEAD").status == 302
    assert time.monotonic() - began_s >= 0.2


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_status_with_retry_after_and_ratelimit(hub: HubServer, file: str, code: int) -> None:
    hub.fault("o/n", "model.bin", Fault.status(code, retry_after=3, reset_s=87))
    got = fetch(file)
    assert got.status == code
    assert got.headers["retry-after"] == "3"
    assert got.headers["ratelimit"] == '"resolvers";r=0;t=87'
    assert fetch(file).status == 200


def test_busy_is_told_by_ratelimit_alone(hub: HubServer, file: str) -> None:
    hub.fault("o/n", None, Fault.busy(reset_s=5))
    got = ask(file, "HEAD")
    assert got.status == 429
    assert got.headers["ratelimit"].endswith("r=0;t=5")
    assert "retry-after" not in got.headers


def test_quota_is_counted_over_the_window(hub: HubServer, file: str) -> None:
    hub.world.quota_requests = 3
    got = [ask(file, "HEAD") for _ in range(5)]
    assert [one.status for one in got] == [302, 302, 302, 429, 429]
    assert got[2].headers["ratelimit"].startswith('"resolvers";r=0;t=')
    assert got[0].headers["ratelimit"].startswith('"resolvers";r=2;t=')


def test_gated_and_the_kinds_of_missing(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.gated(times=1), Fault.missing("Revision", times=1))
    gated = ask(file, "HEAD")
    assert (gated.status, gated.headers["x-error-code"]) == (403, "GatedRepo")  # of one kind, one after the other
    missing = ask(file, "HEAD")
    assert (missing.status, missing.headers["x-error-code"]) == (404, "RevisionNotFound")
    assert ask(file, "HEAD").status == 302
    for fault, status, code in (
        (Fault.gated(times=1), 403, "GatedRepo"),
        (Fault.gated(times=1, code=401), 401, "GatedRepo"),
        (Fault.missing("Repo", times=1), 404, "RepoNotFound"),
        (Fault.missing("Entry", times=1), 404, "EntryNotFound"),
    ):
        hub.fault("o/n", "model.bin", fault)
        got = ask(file, "HEAD")
        assert (got.status, got.headers["x-error-code"]) == (status, code)
        assert got.headers["x-error-message"]


def test_range_refused_and_a_range_beyond_the_end(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.range_refused())
    for asked in ("bytes=0-9", f"bytes={SIZE}-"):
        got = fetch(file, Range=asked)
        assert (got.status, got.headers["content-range"], got.body) == (416, f"bytes */{SIZE}", b"")


def test_ranges_are_exact(hub: HubServer, file: str) -> None:
    for asked, start, end in (("0-0", 0, 1), ("1000-", 1000, SIZE), ("-10", SIZE - 10, SIZE), ("5-99999999", 5, SIZE)):
        got = fetch(file, Range=f"bytes={asked}")
        assert (got.status, got.headers["content-range"]) == (206, f"bytes {start}-{end - 1}/{SIZE}")
        assert got.body == DATA.read(start, end)


def test_whole_answers_200_to_a_range(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.whole())
    got = fetch(file, Range="bytes=100-199")
    assert (got.status, len(got.body)) == (200, SIZE)
    assert "content-range" not in got.headers


def test_wrong_content_ranges(hub: HubServer, file: str) -> None:
    wrong = [Fault.content_range(shift=1), Fault.content_range("bytes 100-199/7"), Fault.content_range("")]
    hub.fault("o/n", "model.bin", *wrong)
    got = [fetch(file, Range="bytes=100-199") for _ in range(4)]
    assert [one.headers.get("content-range") for one in got] == [
        f"bytes 101-200/{SIZE}",
        "bytes 100-199/7",
        None,
        f"bytes 100-199/{SIZE}",
    ]
    assert {one.status for one in got} == {206}
    assert {one.body for one in got} == {DATA.read(100, 200)}


def test_gzip_though_identity_was_asked_for(hub: HubServer, file: str) -> None:
    hub.fault("o/n", None, Fault.gzip(times=2))
    for url, expected in ((file, DATA.read()), (git_url(hub), TEXT)):
        got = fetch(url, Accept_Encoding="identity")
        assert got.headers["content-encoding"] == "gzip"
        assert "content-length" not in got.headers
        assert gzip.decompress(got.body) == expected


def test_text_is_compressed_for_those_who_accept_it(hub: HubServer, file: str) -> None:
    hub.world.gzip_text = True
    assert gzip.decompress(ask(git_url(hub), Accept_Encoding="gzip, deflate").body) == TEXT
    assert ask(git_url(hub), Accept_Encoding="identity").body == TEXT


def test_chunked_has_no_length(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.chunked())
    got = fetch(file)
    assert got.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in got.headers
    assert got.body == DATA.read()


def test_corrupt_bytes_so_many_times_and_only_where_they_are(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.corrupt(offset=1_048_574, count=4, times=2))
    assert fetch(file, Range="bytes=0-999").body == DATA.read(0, 1000)  # does not cover them, does not count
    good = DATA.read()
    for _ in range(2):
        body = fetch(file).body
        assert [i for i, (a, b) in enumerate(zip(body, good, strict=True)) if a != b] == [*range(1_048_574, 1_048_578)]
    assert fetch(file).body == good


def test_expired_urls(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.expired())
    got = fetch(file)
    assert got.status == 403
    assert b"expired" in got.body
    hub.world.url_ttl_s = 0.05
    url = ask(file).location
    until(lambda: ask(url).status == 403)
    hub.world.url_ttl_s = 60
    assert fetch(file).status == 200
    assert ask(url.replace("Signature=", "Signature=0")).status == 403


def test_another_commit_or_etag_than_before(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.say({"X-Linked-Etag": '"' + "0" * 64 + '"', "x-repo-commit": None}).passing(1))
    first, second = ask(file, "HEAD"), ask(file, "HEAD")
    assert first.headers["x-linked-etag"] == f'"{DATA.sha256}"'
    assert second.headers["x-linked-etag"] == '"' + "0" * 64 + '"'
    assert "x-repo-commit" not in second.headers


def test_redirect_loop_and_foreign_redirect(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.loop(times=1))
    assert ask(file).location == "/o/n/resolve/main/model.bin"
    hub.fault("o/n", "model.bin", Fault.redirect("http://example.invalid/x", code=307))
    got = ask(file, "HEAD")
    assert (got.status, got.location) == (307, "http://example.invalid/x")
    assert got.headers["x-repo-commit"]


def test_plain_is_a_mirror_without_digests(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.plain(), Fault.reset(after=5))
    head = ask(file, "HEAD")
    assert (head.status, head.headers["content-length"]) == (200, str(SIZE))
    assert not head.headers.keys() & {"etag", "x-linked-etag", "x-linked-size", "location"}
    assert ask(file).body == DATA.read(0, 5)
    assert ask(file, Range="bytes=10-19").body == DATA.read(10, 20)


def test_faults_of_the_api(hub: HubServer, file: str) -> None:
    tree = f"{hub.endpoint}/api/models/o/n/tree/main"
    hub.fault("o/n", "@tree", Fault.status(503, times=1), Fault.reset(after=20).passing(1))
    assert ask(tree).status == 503
    assert len(ask(tree).body) == 20
    assert ask(f"{hub.endpoint}/api/models/o/n").status == 200
    assert ask(file, "HEAD").status == 302


def test_a_listing_that_lies(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "@tree", Fault.instead(b"[{", times=1))
    tree = f"{hub.endpoint}/api/models/o/n/tree/main"
    assert (ask(tree).body, ask(tree).status) == (b"[{", 200)


def test_close_and_broken_idle_connections(hub: HubServer, file: str) -> None:
    hub.fault("o/n", None, Fault.close())
    assert ask(git_url(hub)).headers["connection"] == "close"
    assert "connection" not in ask(git_url(hub)).headers
    for orderly in (False, True):
        with socket.create_connection(("127.0.0.1", hub.ports["hub"]), timeout=5) as idle:
            idle.sendall(b"HEAD /o/n/resolve/main/config.json HTTP/1.1\r\nHost: hub\r\n\r\n")
            assert idle.recv(65_536).endswith(b"\r\n\r\n")
            hub.break_connections(orderly=orderly)
            if orderly:
                assert idle.recv(1) == b""
            else:
                with pytest.raises(ConnectionResetError):
                    idle.recv(1)


def test_slow_answers_take_their_time(hub: HubServer, file: str) -> None:
    hub.fault("o/n", "model.bin", Fault.slow(2_000_000, times=1))
    began_s = time.monotonic()
    assert fetch(file, Range="bytes=0-599999").body == DATA.read(0, 600_000)
    assert time.monotonic() - began_s >= 0.2


def test_rates_and_what_was_really_sent(hub: HubServer, file: str) -> None:
    hub.rate_bytes_per_s = 2_000_000
    began_s = time.monotonic()
    fetch(file, Range="bytes=0-599999")
    assert time.monotonic() - began_s >= 0.2
    hub.rate_bytes_per_s = 0
    hub.per_connection_bytes_per_s = 1_000_000
    hub.clear_log()
    hub.fault("o/n", "model.bin", Fault.stall(after=100_000))
    got = ask(ask(file).location, timeout_s=1.0)
    until(lambda: hub.sent_bytes("model.bin") == len(got.body))
    assert len(got.body) == 100_000


def test_a_limited_connection_comes_near_its_limit(hub: HubServer) -> None:
    hub.add_repo("o/fast", {"x.bin": seeded(16_000_000, 1)})
    hub.per_connection_bytes_per_s = 80_000_000
    began_s = time.monotonic()
    assert len(fetch(f"{hub.endpoint}/o/fast/resolve/main/x.bin").body) == 16_000_000
    assert 0.2 <= time.monotonic() - began_s < 6  # 0.2 is right; a send buffer that is too small makes it 10


def test_down_refuses_and_up_is_the_same_place(hub: HubServer, file: str) -> None:
    endpoint = hub.endpoint
    hub.per_connection_bytes_per_s = 1_000_000
    location = ask(file).location
    with begin(location) as response:
        hub.down()
        with pytest.raises((ConnectionError, http.client.IncompleteRead)):
            response.read()
    for url in (file, location):
        assert isinstance(ask(url).problem, ConnectionRefusedError)
    hub.up()
    assert hub.endpoint == endpoint
    assert ask(location, Range="bytes=0-9").body == DATA.read(0, 10)


def test_frozen_is_silent_and_then_goes_on(hub: HubServer, file: str) -> None:
    hub.freeze()
    assert isinstance(ask(file, timeout_s=0.3).problem, TimeoutError)
    hub.thaw()
    assert fetch(file).body == DATA.read()


@pytest.mark.parametrize("on_disk", [False, True])
def test_an_early_farewell_of_the_client_is_not_counted_as_sent(hub: HubServer, tmp_path: Path, on_disk: bool) -> None:
    big: Content = seeded(64_000_000, seed=1)
    if on_disk:
        (tmp_path / "big.bin").write_bytes(big.read())
        big = PathContent(tmp_path / "big.bin")
    hub.add_repo("o/big", {"big.bin": big})
    location = ask(f"{hub.endpoint}/o/big/resolve/main/big.bin").location
    with begin(location) as response:
        assert response.read(1000) == big.read(0, 1000)
    until(lambda: not hub.requests("cdn")[0].open)
    entry = hub.requests("cdn")[0]
    assert not entry.done
    assert 1000 <= entry.sent_bytes < 16_000_000
