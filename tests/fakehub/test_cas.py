"""The official hf_xet works with the test CAS in both directions, and the CAS is as strict as the real one."""

from __future__ import annotations

import gzip
import json
import random
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.fakehub import Fault, HubServer, seeded
from tests.fakehub.official import official
from tests.fakehub.official_xet import xet_download, xet_upload
from tests.fakehub.raw import Got, ask, until
from tests.fakehub.xet_format import BG4, LZ4, NONE, XetFormatError, from_hex, pack, to_hex, unpack
from tests.fakehub.xet_hostile import LYING_CHUNKS, LYING_RECONSTRUCTIONS, LYING_TOKENS, only
from tests.marks import slow, some

BIG = seeded(3_000_000, 1)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A running Hub with a CAS, and an empty repo o/n."""
    with HubServer(xet=True) as server:
        server.add_repo("o/n", {})
        yield server


def mixed(seed: int) -> bytes:
    """Content that an uploader stores in each of the three schemes; it chooses anew every 32 chunks."""
    source, floats = random.Random(seed), bytearray(4_000_000)
    floats[0::4], floats[1::4] = source.randbytes(1_000_000), source.randbytes(1_000_000)
    floats[3::4] = bytes([63]) * 1_000_000
    return source.randbytes(800_000) + b"the same words again and again, " * 30_000 + floats


def token(hub: HubServer, scope: str = "read", repo: str = "o/n") -> str:
    got = ask(f"{hub.endpoint}/api/models/{repo}/xet-{scope}-token/main")
    assert got.status == 200
    return str(json.loads(got.body)["accessToken"])


def cas(hub: HubServer, path: str, method: str = "GET", bearer: str | None = None, **headers: str) -> Got:
    """A call of the CAS with a token for o/n."""
    bearer = token(hub) if bearer is None else bearer
    return ask(f"{hub.world.cas_url}{path}", method, Authorization=f"Bearer {bearer}", **headers)


def reconstruction(hub: HubServer, name: str, asked: str | None = None, version: int = 2) -> dict[str, Any]:
    got = cas(hub, f"/v{version}/reconstructions/{name}", **({"Range": asked} if asked else {}))
    assert got.status == 200
    found = json.loads(got.body)
    assert isinstance(found, dict)
    return found


def fetched(hub: HubServer, found: dict[str, Any]) -> bytes:
    """What a version 2 answer describes, fetched as it is signed and put together."""
    chunks: dict[tuple[str, int], bytes] = {}
    for xorb, entries in found["xorbs"].items():
        for entry in entries:
            for one in entry["ranges"]:
                got = ask(entry["url"], Range=f"bytes={one['bytes']['start']}-{one['bytes']['end']}")
                assert got.status == 206
                at = 0
                for index in range(one["chunks"]["start"], one["chunks"]["end"]):
                    end = at + 8 + int.from_bytes(got.body[at + 1 : at + 4], "little")
                    chunks[xorb, index] = unpack(got.body[at:end])
                    at = end
                assert at == len(got.body)
    terms = [(term["hash"], term["range"]) for term in found["terms"]]
    raw = b"".join(chunks[xorb, i] for xorb, span in terms for i in range(span["start"], span["end"]))
    return raw[found["offset_into_first_range"] :]


# ---- hf_xet is the oracle


@pytest.mark.parametrize("grants", [True, slow(False)])
def test_hf_xet_uploads_and_downloads(hub: HubServer, tmp_path: Path, grants: bool) -> None:
    hub.cas.offers_grants = grants
    contents = {
        "mixed.bin": mixed(1),
        "empty.bin": b"",
        "one.bin": b"x",
        "short.bin": random.Random(2).randbytes(8191),
        "zeros.bin": bytes(3_000_000),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    names = xet_upload(hub.endpoint, "o/n", tmp_path / "up", [tmp_path / name for name in contents])
    hub.commit("o/n", {name: tmp_path / name for name in contents}, xet=True)
    files = hub.repo("o/n").find("main").files  # type: ignore[union-attr]
    assert [file.xet_hash for file in files.values()] == names
    assert ("@upload" in {entry.file for entry in hub.log}) is grants
    schemes = {
        hub.cas.stored(name).read(at, at + 5)[4] for name, xorb in hub.cas.xorbs.items() for at in xorb.stored_at[:-1]
    }
    assert schemes == {NONE, LZ4, BG4}
    wanted = [
        (name, len(data), tmp_path / f"down-{path}") for name, (path, data) in zip(names, contents.items(), strict=True)
    ]
    xet_download(hub.endpoint, "o/n", tmp_path / "down", wanted)
    assert {path: (tmp_path / f"down-{path}").read_bytes() for path in contents} == contents


@pytest.mark.parametrize("versions", [slow({1}), {2}, slow({1, 2})])
@pytest.mark.parametrize(("signed_by", "multi_range"), [("policy", False), slow("query", False), slow("query", True)])
def test_hf_xet_reads_what_is_made_here(
    hub: HubServer, tmp_path: Path, versions: set[int], signed_by: str, multi_range: bool
) -> None:
    hub.cas.versions, hub.cas.signed_by, hub.cas.multi_range = frozenset(versions), signed_by, multi_range
    data = mixed(3)
    one = hub.cas.make_xorb([data[i * 9001 :][:9001] for i in range(200)], [NONE, LZ4, BG4])
    two = hub.cas.make_xorb([b"abc", bytes(131_072), random.Random(4).randbytes(131_072)])
    file = hub.cas.make_file(
        [(one.name, 5, 9), (two.name, 0, 3), (one.name, 5, 9), (one.name, 100, 101), (two.name, 1, 2)]
    )
    hub.commit("o/n", {"made.bin": hub.cas.content(file)}, xet=True)
    assert hub.repo("o/n").xet_paths == {file.name: "made.bin"}
    xet_download(hub.endpoint, "o/n", tmp_path / "down", [(file.name, file.size_bytes, tmp_path / "got")])
    assert (tmp_path / "got").read_bytes() == hub.cas.content(file).read()


def test_hf_xet_shares_chunks_through_the_global_query(hub: HubServer, tmp_path: Path) -> None:
    first = mixed(5)
    second = first[:900_000] + random.Random(6).randbytes(50_000) + first[900_000:]
    for name, data in (("first", first), ("second", second)):
        (tmp_path / name).write_bytes(data)
        xet_upload(hub.endpoint, "o/n", tmp_path / f"home-{name}", [tmp_path / name])  # each with an empty cache
    sizes = sorted(xorb.raw_at[-1] for xorb in hub.cas.xorbs.values())
    assert len(sizes) == 2
    assert sizes[0] < len(second) / 4
    hub.cas.shares = False
    (tmp_path / "third").write_bytes(second[:-1])
    xet_upload(hub.endpoint, "o/n", tmp_path / "home-third", [tmp_path / "third"])
    assert max(xorb.raw_at[-1] for xorb in hub.cas.xorbs.values()) > 2_000_000


def test_huggingface_hub_downloads_a_repo_by_xet(hub: HubServer, tmp_path: Path) -> None:
    hub.commit("o/n", {"config.json": b"{}", "model.bin": BIG}, xet=["model.bin"])
    script = 'result = open(snapshot_download("o/n") + "/model.bin", "rb").read().hex()'
    assert bytes.fromhex(official(script, hub.endpoint, tmp_path, HF_HUB_DISABLE_XET="0")) == BIG.read()
    assert not hub.requests("cdn")
    assert len(hub.requests("hub", file="@xet-read-token")) == 1
    assert hub.sent_bytes("model.bin") == sum(entry.sent_bytes for entry in hub.requests("xorbs")) > BIG.size_bytes


def test_hf_xet_falls_back_to_the_first_version_of_shards(hub: HubServer, tmp_path: Path) -> None:
    hub.fault(None, "@shards", Fault.status(404, times=1))
    (tmp_path / "file").write_bytes(BIG.read())
    (name,) = xet_upload(hub.endpoint, "o/n", tmp_path / "up", [tmp_path / "file"])
    assert [entry.path for entry in hub.requests("cas", file="@shards")] == ["/v2/shards", "/v1/shards"]
    assert hub.cas.files[name].sha256 == BIG.sha256


@pytest.mark.slow
def test_hf_xet_asks_again_after_an_expired_url_and_a_reset(hub: HubServer, tmp_path: Path) -> None:
    hub.commit("o/n", {"model.bin": BIG}, xet=True)
    (name,) = hub.repo("o/n").xet_paths
    hub.fault("o/n", "model.bin", Fault.expired(), Fault.reset(after=100_000).passing(1))
    xet_download(hub.endpoint, "o/n", tmp_path / "down", [(name, BIG.size_bytes, tmp_path / "got")])
    assert (tmp_path / "got").read_bytes() == BIG.read()
    assert {entry.fault for entry in hub.requests("xorbs")} == {"expired", "reset", None}


# ---- what the CAS answers


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (0, 3_000_000), (65_536, 65_537), (65_535, 65_537), (2_999_999, 9**9)]
)
def test_a_range_is_cut_to_whole_chunks(hub: HubServer, start: int, end: int) -> None:
    file = hub.cas.add(BIG, xorb_bytes=1_000_000)
    found = reconstruction(hub, file.name, f"bytes={start}-{end - 1}")
    got = fetched(hub, found)
    assert got[: end - start] == BIG.read(start, end)
    assert len(got) - (min(end, BIG.size_bytes) - start) < 131_072
    assert found["offset_into_first_range"] < 131_072
    assert len(got) + found["offset_into_first_range"] == sum(term["unpacked_length"] for term in found["terms"])


def test_repeats_and_ranges_that_touch_are_one_range(hub: HubServer) -> None:
    xorb = hub.cas.make_xorb([bytes([i]) * 10_000 for i in range(9)])
    file = hub.cas.make_file([(xorb.name, 0, 3), (xorb.name, 6, 8), (xorb.name, 2, 4), (xorb.name, 0, 3)])
    (entries,) = reconstruction(hub, file.name)["xorbs"].values()
    assert [entry["ranges"][0]["chunks"] for entry in entries] == [{"start": 0, "end": 4}, {"start": 6, "end": 8}]
    assert fetched(hub, reconstruction(hub, file.name)) == hub.cas.content(file).read()
    hub.cas.multi_range, hub.cas.signed_by = True, "query"
    (entries,) = reconstruction(hub, file.name)["xorbs"].values()
    (entry,) = entries
    spans = [(one["bytes"]["start"], one["bytes"]["end"]) for one in entry["ranges"]]
    both = ask(entry["url"], Range=f"bytes={spans[0][0]}-{spans[0][1]},{spans[1][0]}-{spans[1][1]}")
    assert (both.status, both.headers["content-type"].partition(";")[0]) == (206, "multipart/byteranges")
    stored = hub.cas.stored(xorb.name)
    assert all(stored.read(start, last + 1) in both.body for start, last in spans)
    assert f"Content-Range: bytes {spans[1][0]}-{spans[1][1]}/{stored.size_bytes}".encode() in both.body


def test_version_1_and_the_batch_have_one_url_a_range(hub: HubServer) -> None:
    one, two = hub.cas.add(seeded(300_000, 1)), hub.cas.add(seeded(300_000, 2))
    first = reconstruction(hub, one.name, version=1)
    (entries,) = first["fetch_info"].values()
    span = entries[0]["url_range"]
    assert ask(entries[0]["url"], Range=f"bytes={span['start']}-{span['end']}").status == 206
    batch = json.loads(cas(hub, f"/v1/reconstructions?file_id={one.name}&file_id={two.name}").body)
    keys = json.dumps([{"prefix": "default", "hash": file.name} for file in (one, two)]).encode()
    asked = urllib.request.Request(f"{hub.world.cas_url}/v1/reconstructions", keys)
    asked.add_header("Authorization", f"Bearer {token(hub)}")
    with urllib.request.urlopen(asked) as posted:
        assert json.load(posted)["files"] == batch["files"]
    assert batch["files"][one.name] == first["terms"]
    assert len(batch["fetch_info"]) == 2
    assert cas(hub, f"/v1/reconstructions?file_id={one.name}&file_id={'0' * 63}1").status == 404
    hub.world.gzip_text = True
    coded = cas(hub, f"/v1/reconstructions/{one.name}", Accept_Encoding="gzip")
    assert json.loads(gzip.decompress(coded.body))["terms"] == first["terms"]
    hub.cas.versions = frozenset({1})
    assert cas(hub, f"/v2/reconstructions/{one.name}").status == 404


def test_errors_of_a_reconstruction(hub: HubServer) -> None:
    hub.commit("o/n", {"model.bin": BIG}, xet=True)
    hub.add_repo("o/other", {})
    (name,) = hub.repo("o/n").xet_paths
    path = f"/v2/reconstructions/{name}"
    assert cas(hub, path, Range=f"bytes={BIG.size_bytes}-").status == 416
    assert cas(hub, "/v2/reconstructions/xyz").status == 400
    assert cas(hub, f"/v2/reconstructions/{'0' * 63}1").status == 404
    assert cas(hub, path, bearer=token(hub, repo="o/other")).status == 404  # another repo's token
    assert cas(hub, path, bearer="hf_token").status == 401
    assert ask(f"{hub.world.cas_url}{path}").status == 401
    assert cas(hub, f"/v1/xorbs/default/{name}", "POST").status == 403  # a token to read
    assert cas(hub, f"/v1/files/{name}", "HEAD").headers["content-length"] == str(BIG.size_bytes)
    (xorb,) = hub.cas.xorbs
    stored_bytes = hub.cas.stored(xorb).size_bytes
    assert cas(hub, f"/v1/xorbs/default/{xorb}", "HEAD").headers["content-length"] == str(stored_bytes)
    hub.cas.token_ttl_s = 0.05
    late = token(hub)
    until(lambda: cas(hub, path, bearer=late).status == 401)


def test_the_announcement_by_hub_and_listing(hub: HubServer) -> None:
    commit = hub.commit("o/n", {"model.bin": BIG, "small.json": b"{}"}, xet=["model.bin"])
    (name,) = hub.repo("o/n").xet_paths
    head = ask(f"{hub.endpoint}/o/n/resolve/main/model.bin", "HEAD")
    assert head.headers["x-xet-hash"] == name
    auth, info = head.headers["link"].split(", ")
    assert auth == f'<{hub.endpoint}/api/models/o/n/xet-read-token/{commit}>; rel="xet-auth"'
    assert info == f'<{hub.world.cas_url}/v1/reconstructions/{name}>; rel="xet-reconstruction-info"'
    assert "x-xet-hash" not in ask(f"{hub.endpoint}/o/n/resolve/main/small.json", "HEAD").headers
    tree = json.loads(ask(f"{hub.endpoint}/api/models/o/n/tree/main").body)
    assert [entry.get("xetHash") for entry in tree] == [name, None]


@pytest.mark.parametrize("signed_by", ["policy", "query"])
def test_signed_urls_take_their_range_only_and_expire(hub: HubServer, signed_by: str) -> None:
    hub.cas.signed_by = signed_by
    file = hub.cas.add(BIG)
    (entries,) = reconstruction(hub, file.name)["xorbs"].values()
    url, last = entries[0]["url"], entries[0]["ranges"][0]["bytes"]["end"]
    assert ask(url, Range=f"bytes=0-{last}").status == 206
    for other in (f"bytes=0-{last - 1}", f"bytes=1-{last}", "bytes=0-", f"bytes=0-{last + 1}"):
        assert b"invalid range" in ask(url, Range=other).body
    assert ask(url).status == 403
    assert ask(url.replace("Signature=", "Signature=0"), Range=f"bytes=0-{last}").status == 403
    hub.cas.url_ttl_s = 0.05
    (entries,) = reconstruction(hub, file.name)["xorbs"].values()
    until(lambda: b"expired" in ask(entries[0]["url"], Range=f"bytes=0-{last}").body)


def test_faults_and_bytes_are_those_of_the_file(hub: HubServer) -> None:
    hub.commit("o/n", {"model.bin": BIG}, xet=True)
    (name,) = hub.repo("o/n").xet_paths
    xorb, start, end = hub.cas.stored_span(hub.cas.files[name], 200_000)
    hub.fault("o/n", "model.bin", Fault.corrupt(start + 8, 1), Fault.reset(after=1000).at("xorb").passing(1))
    hub.fault("o/n", "@reconstructions", Fault.status(503, retry_after=1, times=1))
    assert cas(hub, f"/v2/reconstructions/{name}").status == 503
    (entries,) = reconstruction(hub, name)["xorbs"].values()
    stored = hub.cas.stored(xorb).read()
    got = [ask(entries[0]["url"], Range=f"bytes=0-{entries[0]['ranges'][0]['bytes']['end']}") for _ in range(2)]
    assert [i for i, byte in enumerate(got[0].body) if byte != stored[i]] == [start + 8]
    assert start < end < len(got[0].body)
    assert got[1].body == stored[:1000]
    until(lambda: hub.sent_bytes("model.bin") == len(got[0].body) + 1000)
    hub.down("cas")
    assert isinstance(cas(hub, "/", bearer="").problem, ConnectionRefusedError)
    assert ask(f"{hub.endpoint}/o/n/resolve/main/model.bin", "HEAD").status == 302
    hub.up()
    assert cas(hub, f"/v2/reconstructions/{name}").status == 200


# ---- uploads are checked


def test_an_upload_that_is_not_what_it_says_is_refused(hub: HubServer) -> None:
    good = pack(b"some text " * 100, LZ4)
    name = hub.cas.put_xorb(good).name
    assert to_hex(from_hex(name)) == name
    wrong = {
        "the hash": (good, "0" * 64),
        "the scheme": (good[:4] + b"\x03" + good[5:], None),
        "the version": (b"\x01" + good[1:], None),
        "the raw length": (good[:5] + b"\x01\x00\x00" + good[8:], None),
        "the packed length": (good[:-1], None),
        "no chunk": (b"XETBLOB", None),
    }
    for what, (data, asked) in wrong.items():
        with pytest.raises(XetFormatError):
            hub.cas.put_xorb(data, asked)
        assert set(hub.cas.xorbs) == {name}, what


# ---- lies for the tests of readers


@pytest.mark.parametrize("name", some(LYING_CHUNKS, quick=list(LYING_CHUNKS)[:3]))
def test_only_the_chosen_chunk_lies(hub: HubServer, name: str) -> None:
    right = seeded(600_000, 1)
    hub.cas.add(right, schemes=[NONE], forge=only(2, LYING_CHUNKS[name]))
    (xorb,) = hub.cas.xorbs.values()
    for index, (start, end) in enumerate(pairwise(xorb.raw_at)):
        if index != 2:
            assert hub.cas.chunk(xorb.name, index) == right.read(start, end)
        elif name in ("other bytes", "LZ4 frame and more behind it", "LZ4 frames, two"):
            assert (hub.cas.chunk(xorb.name, 2) == right.read(start, end)) is (name != "other bytes")
        else:
            with pytest.raises(XetFormatError):
                hub.cas.chunk(xorb.name, 2)


@pytest.mark.parametrize("name", some(LYING_RECONSTRUCTIONS, quick=list(LYING_RECONSTRUCTIONS)[:3]))
def test_a_lying_reconstruction_differs_from_the_right_one(hub: HubServer, name: str) -> None:
    file = hub.cas.add(seeded(600_000, 1))
    right = cas(hub, f"/v2/reconstructions/{file.name}").body
    hub.fault(None, "@reconstructions", Fault.edit(LYING_RECONSTRUCTIONS[name], times=1))
    got = cas(hub, f"/v2/reconstructions/{file.name}")
    assert (got.status, got.headers["content-length"]) == (200, str(len(got.body)))
    try:
        assert json.loads(got.body) != json.loads(right)
    except (ValueError, RecursionError):
        assert got.body != right


@pytest.mark.parametrize("name", some(LYING_TOKENS, quick=list(LYING_TOKENS)[:3]))
def test_a_lying_token_answer_differs_from_the_right_one(hub: HubServer, name: str) -> None:
    url = f"{hub.endpoint}/api/models/o/n/xet-read-token/main"
    hub.fault("o/n", "@xet-read-token", Fault.edit(LYING_TOKENS[name], times=1))
    lie, right = ask(url).body, json.loads(ask(url).body)
    assert lie != json.dumps(right).encode()
    assert right["casUrl"] == hub.world.cas_url
