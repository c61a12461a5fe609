"""Downloads by Xet: hfdmd and hf_xet's own group, from the same server."""

from __future__ import annotations

from tests.benchmarks import content
from tests.benchmarks.bench import GIB, MIB, Bench
from tests.benchmarks.compare import Samples, compare, raw, table, wall
from tests.benchmarks.contenders import Contender, Hfdm, HfXet, Task
from tests.benchmarks.report import Bars, Goal, Section, Table, median
from tests.benchmarks.xet_site import REPO, XetHub, XetMade, put, xet_hub

OURS, PEER = "hfdm download", "hf_xet group"
RATE_BYTES_PER_S, LATENCY_S = 20_000_000, 0.04


def xet(bench: Bench) -> Section:
    """Whole files: unlimited, and with 20 MB/s an answer and 40 ms before each."""
    part = 8 if bench.quick else 1
    folder = bench.site_folder("xet")
    tables: list[Table] = []
    goals: list[Goal] = []
    bars: list[tuple[str, float]] = []
    samples: dict[str, object] = {}
    with xet_hub(folder) as hub:
        for title, name, size_bytes, capped, most in (
            ("mixed, unlimited", "mixed", GIB // part, False, 1.0),
            ("BF16, unlimited", "bf16", GIB // part, False, 1.0),
            ("mixed, 20 MB/s an answer and 40 ms", "capped", GIB // part // 2, True, 0.7),
            ("in one xorb, 20 MB/s an answer and 40 ms", "one-xorb", 50_000_000 // part, True, 0.6),
        ):
            kinds = [content.bf16] if name == "bf16" else [content.noise, content.bf16, content.text]
            made = put(hub, folder, name, content.pieces(kinds, size_bytes, len(tables)))
            hub.pace(RATE_BYTES_PER_S if capped else 0, LATENCY_S if capped else 0)
            got = _run(bench, hub, made)
            hub.pace(0, 0)
            on_line = f"{made.packed_bytes / 1e6:.0f} MB on the line"
            tables.append(table(got, f"{_size(size_bytes)} {title}; {on_line}", PEER, size_bytes))
            goals.append(Goal(f"{title}: wall, of hf_xet's group", wall(got, OURS) / wall(got, PEER), most))
            if not capped:
                cpu_s = median(run.cpu_s for run in got[OURS]) / (size_bytes / GIB)
                peak_mb = median(run.rss_bytes for run in got[OURS]) / 1e6
                goals.append(Goal(f"{title}: CPU per GiB", cpu_s, 1.6 if name == "bf16" else 1.2, "s"))
                goals.append(Goal(f"{title}: peak memory of the daemon", peak_mb, 120, "MB"))
            bars += [(f"{who}, {name}", wall(got, who)) for who in got]
            samples[name] = raw(got)
    return Section(
        "xet",
        "Xet",
        "The test Hub's CAS, uploaded to by hf_xet; both clients read from the same server, on the same cores. hf_xet's"
        " download group verifies nothing and syncs nothing; ours does both, and is timed from start to exit of"
        " `hfdm download`. With the limit, each answer of the server comes at 20 MB/s, and after 40 ms.",
        tables,
        goals,
        [Bars("xet.svg", "By Xet", "s", bars)],
        samples,
    )


def _run(bench: Bench, hub: XetHub, made: XetMade) -> Samples:
    with bench.daemon(hub.endpoint(), transport="xet") as daemon:
        task = Task(hub.endpoint(), REPO, made.name, made.size_bytes, [], made.sha256)
        contenders: list[Contender] = [Hfdm(daemon), HfXet(made.xet_hash)]
        return compare(task, contenders, bench.rounds, bench.work)


def _size(size_bytes: int) -> str:
    return f"{size_bytes // MIB} MiB" if size_bytes % MIB == 0 else f"{size_bytes / 1e6:.0f} MB"
