"""What a new revision costs by Xet when the old one is here: bytes fetched, by how the old one came."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import content, gguf
from tests.benchmarks.bench import Bench
from tests.benchmarks.content import sha256_of
from tests.benchmarks.report import Goal, Section, Table
from tests.daemon_process import until
from tests.fakehub import HubServer
from tests.fakehub.cas import XetFile
from tests.fakehub.official import official
from tests.fakehub.official_xet import xet_upload

REPO, FILE = "bench/delta", "model.bin"
WAYS = ("xet", "http", "huggingface_hub")
"""How the old revision came: by hfdmd over either transport, or by the Hub's own client into the same cache."""
DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two revisions of a file. `limit_mb`: the goal for what the second costs."""

    title: str
    old: bytes
    new: bytes
    limit_mb: float


def delta(bench: Bench) -> Section:
    """Each pair of revisions, the old one come by each way."""
    rows, goals, fetched = [], [], {}
    for pair in pairs(8 if bench.quick else 1):
        by_way, at_least_mb = [], 0.0
        for way in WAYS:
            whole, least, got = _second(bench, pair, way)
            at_least_mb = least / 1e6
            by_way.append(got / 1e6)
            goals.append(Goal(f"{pair.title}: fetched, the old one by {way}", got / 1e6, pair.limit_mb, "MB"))
            fetched[f"{pair.title}, {way}"] = {"whole": whole, "least": least, "fetched": got}
        rows.append((pair.title, f"{len(pair.new) / 1e6:.1f}", *(f"{mb:.3f}" for mb in (at_least_mb, *by_way))))
    return Section(
        "xet-delta",
        "A new revision by Xet",
        "Both revisions are uploaded by hf_xet, the second one by the machine that uploaded the first. Counted are the"
        " bytes that the storage of xorbs and the CDN sent; the content of the result is compared. " + gguf.WHERE,
        [Table("", ("", "MB", "MB that are new", *(f"MB, old one by {way}" for way in WAYS)), rows)],
        goals,
        raw=fetched,
    )


def pairs(part: int) -> Iterator[Pair]:
    """The revisions that are compared; `part`: sizes are divided by it."""
    source = random.Random(17)
    kinds: list[Callable[[int, int], bytes]] = [content.noise, content.bf16, content.text]
    old = b"".join(content.pieces(kinds, 50_000_000 // part, 1))
    at = 26_000_000 // part
    yield Pair("50 MB, 100 kB inserted", old, old[:at] + source.randbytes(100_000) + old[at:], 0.3)
    tensors = [content.bf16(2_100_000 // part, 100 + number) for number in range(60)]
    tuned = list(tensors)
    for number in (11, 12, 40):
        tuned[number] = content.bf16(len(tensors[number]), 200 + number)
    head = content.text(8_000, 3)
    yield Pair("safetensors, 5 % of the tensors new", b"".join([head, *tensors]), b"".join([head, *tuned]), 6.5)
    weights = b"".join(content.pieces([content.noise], 105_000_000 // part, 2))
    yield Pair("GGUF, header grown", content.text(300_000, 4) + weights, content.text(301_000, 5) + weights, 0.3)
    if (real := gguf.folder()) is not None:
        data = gguf.model(real).read_bytes()
        yield Pair("SmolLM2-135M Q4_1, chat template longer", data, gguf.with_longer_template(data), 0.4)


def _second(bench: Bench, pair: Pair, way: str) -> tuple[int, int, int]:
    """Packed bytes of the second revision, of those of them that the first has not, and fetched."""
    folder = bench.site_folder("delta")
    (folder / "xorbs").mkdir(parents=True)
    with HubServer(xet=folder / "xorbs") as hub:
        hub.add_repo(REPO, {})
        first = _upload(hub, folder, "old", pair.old)
        daemon = bench.daemon(hub.endpoint, transport="http" if way == "http" else "xet")
        if way == "huggingface_hub":
            official(f'result = hf_hub_download("{REPO}", "{FILE}")', hub.endpoint, daemon.home, HF_HUB_DISABLE_XET="0")
        else:
            with daemon:
                daemon.wait(daemon.ask(REPO, FILE)["id"], "done", deadline_s=DEADLINE_S)
        second = _upload(hub, folder, "new", pair.new)
        commit = hub.repo(REPO).refs["refs/heads/main"]
        hub.clear_log()
        daemon.env["HFDMD_TRANSPORT"] = "auto"
        with daemon:
            key = daemon.ask(REPO, FILE, update=True)["id"]
            until(lambda: daemon.view(key)["commit"] == commit, "the new commit", DEADLINE_S)
            done = daemon.wait(key, "done", deadline_s=DEADLINE_S)
            if sha256_of(Path(done["path"])) != second.sha256:
                raise AssertionError(f"{pair.title}: the content is wrong")
            return hub.cas.packed_bytes(second), hub.cas.packed_bytes(second, first), hub.sent_bytes(FILE)


def _upload(hub: HubServer, folder: Path, name: str, data: bytes) -> XetFile:
    path = folder / name
    path.write_bytes(data)
    (uploaded,) = xet_upload(hub.endpoint, REPO, folder / "uploader", [path])
    hub.commit(REPO, {FILE: path}, xet=True)
    return hub.cas.files[uploaded]
