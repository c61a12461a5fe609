"""Latency of the API under load: at full speed, and with a long queue."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from hfdmd_client import Client
from tests.benchmarks.bench import GIB, MIB, Bench
from tests.benchmarks.content import big
from tests.benchmarks.machine import settle
from tests.benchmarks.measure_large import FILE, REPO, site_with
from tests.benchmarks.nginx import Nginx, Options
from tests.benchmarks.prober import Prober
from tests.benchmarks.report import Goal, Section, Table, median, percentile
from tests.benchmarks.site import Lfs, Site, commit_of

QUEUE_REPO = "bench/queue"
QUEUE_WAIT_S = 120.0


def full_speed(bench: Bench) -> Section:
    """GETs while a 2 GiB file is downloaded without limits."""
    size_bytes = 512 * MIB if bench.quick else 2 * GIB
    paths = ("/api/progress", "/api/health")
    times: dict[str, list[float]] = {path: [] for path in paths}
    site, _ = site_with(bench, size_bytes)
    with Nginx(site, bench.site_folder("nginx")) as server, bench.daemon(server.endpoint) as daemon:
        for _ in range(bench.times(1, 0.6)):
            settle()
            with Prober(daemon.socket, paths) as prober:
                Client(socket=daemon.socket).download(REPO, FILE)
            Client(socket=daemon.socket).delete(model_repo=REPO, delete_file=True)
            for path in paths:
                times[path] += prober.times_s[path]
    return Section(
        "busy",
        "Answers while a file comes in at full speed",
        "Over the Unix socket, one connection kept open per call, asked every few milliseconds.",
        [_latencies(times)],
        [Goal(f"GET {path}, 99th percentile", percentile(times[path], 0.99) * 1000, 50, "ms") for path in paths],
        raw={"times_s": times},
    )


def long_queue(bench: Bench) -> Section:
    """20,000 files queued, from a CDN that sends 2 kB/s per connection."""
    count = 2_000 if bench.quick else 20_000
    site = Site(bench.site_folder("site"))
    body = big(site.cdn / "slow.bin", 1 * MIB)
    names = [f"shard-{i:05}-of-{count:05}.bin" for i in range(count)]
    site.add(QUEUE_REPO, lfs={name: Lfs(body, oid=commit_of(name) + commit_of(name)[:24]) for name in names})
    with (
        Nginx(site, bench.site_folder("nginx"), Options(bytes_per_s=2_000)) as server,
        bench.daemon(server.endpoint) as daemon,
    ):
        client = Client(socket=daemon.socket)
        daemon.stats.reset_peak()
        repo = client.ask(QUEUE_REPO)
        deadline = time.monotonic() + QUEUE_WAIT_S
        began = time.monotonic()
        while (shown := client.progress(id=repo.id)).files_total != count:  # type: ignore[union-attr]  # a repo download
            if time.monotonic() > deadline:
                raise RuntimeError(f"the listing does not end: {shown}")
            time.sleep(0.05)
        listed_s = time.monotonic() - began
        one = f"/api/progress?modelRepo={QUEUE_REPO}&filePath={names[count // 2]}"
        paths = ("/api/health", one)
        with Prober(daemon.socket, paths) as prober:
            time.sleep(3 if bench.quick else 10)
        rss_mb, peak_mb = daemon.stats.rss_bytes() / 1e6, daemon.stats.peak_rss_bytes() / 1e6
    times = {"/api/health": prober.times_s[paths[0]], "/api/progress of one": prober.times_s[one]}
    return Section(
        "queue",
        f"{count:,} files queued",
        f"One repo download of {count:,} LFS files from a CDN that gives 2 kB/s per connection, so that nearly all stay"
        f" queued while the daemon uses as many connections as it may. All were queued after"
        f" {listed_s:.1f} s; resident memory then {rss_mb:.0f} MB.",
        [_latencies(times)],
        [
            *(
                Goal(f"GET {path}, 99th percentile", percentile(found, 0.99) * 1000, 50, "ms")
                for path, found in times.items()
            ),
            Goal("peak memory of the daemon", peak_mb, 200, "MB"),
        ],
        raw={"times_s": times, "rss_mb": rss_mb, "peak_mb": peak_mb, "listed_s": listed_s},
    )


def _latencies(times: Mapping[str, Sequence[float]]) -> Table:
    rows = [
        (
            path,
            f"{median(found) * 1000:.1f}",
            f"{percentile(found, 0.95) * 1000:.1f}",
            f"{percentile(found, 0.99) * 1000:.1f}",
            f"{max(found) * 1000:.1f}",
            str(len(found)),
        )
        for path, found in times.items()
    ]
    return Table("", ("GET", "median ms", "p95", "p99", "worst", "n"), rows)
