"""One large file: unlimited over HTTP and HTTPS, capped per connection, over a long line."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks import line
from tests.benchmarks.bench import GIB, MIB, Bench
from tests.benchmarks.compare import Samples, compare, raw, table, wall
from tests.benchmarks.contenders import Aria2, Contender, Curl, Hfdm, HfDownload, Task
from tests.benchmarks.nginx import Nginx, Options
from tests.benchmarks.report import Bars, Goal, Section, median, number
from tests.benchmarks.site import Lfs, Site

REPO, FILE = "bench/large", "model.safetensors"
CLI, API, ARIA2, ARIA2_SUM, HF = (
    "hfdm download",
    "hfdmd, POST to done",
    "aria2c -x16",
    "aria2c --checksum",
    "hf download",
)


def site_with(bench: Bench, size_bytes: int) -> tuple[Site, str]:
    """A Hub with one repo of one file, and the file's sha256."""
    site = Site(bench.site_folder("site"))
    made = bench.big(size_bytes, site.cdn / FILE)
    site.add(REPO, lfs={FILE: Lfs(made)})
    return site, made.sha256


def task_for(server: Nginx, size_bytes: int, sha256: str, **more: object) -> Task:
    urls = [(f"{server.cdn_url}/{FILE}", FILE)]
    return Task(server.endpoint, REPO, FILE, size_bytes, urls, sha256, **more)  # type: ignore[arg-type]  # forwarded


def unlimited_http(bench: Bench) -> Section:
    """2 GiB as fast as it goes, over plain HTTP."""
    size_bytes = 256 * MIB if bench.quick else 2 * GIB
    samples = _unlimited(bench, size_bytes, bundle=None)
    cpu_s = median(run.cpu_s for run in samples[CLI]) / (size_bytes / GIB)
    rss_mb = median(run.rss_bytes for run in samples[CLI]) / 1e6
    return Section(
        "http",
        f"One file of {_size(size_bytes)}, unlimited, HTTP",
        "From start to exit with the daemon running; ours is verified, synced, linked into the Hub's cache and tracked."
        " `aria2c` syncs but verifies only with `--checksum`; `hf download` checks the size and syncs nothing; `curl`"
        " does neither.",
        [table(samples, "", ARIA2, size_bytes)],
        [
            Goal("wall, of aria2c -x16 (which verifies nothing)", wall(samples, CLI) / wall(samples, ARIA2), 0.65),
            Goal("wall, of aria2c --checksum", wall(samples, CLI) / wall(samples, ARIA2_SUM), 0.25),
            Goal("wall, of hf download", wall(samples, CLI) / wall(samples, HF), 0.62),
            Goal("CPU of client and daemon per GiB", cpu_s, 1.5, "s"),
            Goal("peak memory of the daemon", rss_mb, 120, "MB"),
        ],
        [_bars("large-http.svg", f"{_size(size_bytes)} over HTTP", samples)],
        raw(samples),
    )


def unlimited_https(bench: Bench) -> Section:
    """The same over TLS 1.3."""
    size_bytes = 256 * MIB if bench.quick else 2 * GIB
    samples = _unlimited(bench, size_bytes, bundle=bench.authority.bundle)
    return Section(
        "https",
        f"One file of {_size(size_bytes)}, unlimited, HTTPS",
        "TLS 1.3 with an authority of the benchmark's own, which all contenders check.",
        [table(samples, "", ARIA2, size_bytes)],
        [
            Goal("wall, of aria2c -x16 (which verifies nothing)", wall(samples, CLI) / wall(samples, ARIA2), 0.80),
            Goal("wall, of hf download", wall(samples, CLI) / wall(samples, HF), 0.62),
        ],
        [_bars("large-https.svg", f"{_size(size_bytes)} over HTTPS", samples)],
        raw(samples),
    )


def _unlimited(bench: Bench, size_bytes: int, bundle: Path | None) -> Samples:
    site, sha256 = site_with(bench, size_bytes)
    authority = bench.authority if bundle else None
    options = Options(certificate=authority.certificate, key=authority.key) if authority else Options()
    with (
        Nginx(site, bench.site_folder("nginx"), options) as server,
        bench.daemon(server.endpoint, bundle=bundle) as daemon,
    ):
        contenders: list[Contender] = [Hfdm(daemon), Hfdm(daemon, API, through_api=True), Aria2(), HfDownload()]
        contenders.append(Curl(rounds=bench.times(1, 0.6)))
        if not bundle:
            contenders.append(Aria2(ARIA2_SUM, checksum=True, rounds=bench.times(1, 0.4)))
        return compare(task_for(server, size_bytes, sha256, bundle=bundle), contenders, bench.rounds, bench.work)


def capped(bench: Bench) -> Section:
    """A CDN that gives each connection 20 MB/s and no more."""
    size_bytes = 128 * MIB if bench.quick else 512 * MIB
    rate = 20_000_000
    site, sha256 = site_with(bench, size_bytes)
    with (
        Nginx(site, bench.site_folder("nginx"), Options(bytes_per_s=rate)) as server,
        bench.daemon(server.endpoint) as daemon,
    ):
        contenders: list[Contender] = [Hfdm(daemon), Aria2(), HfDownload(rounds=bench.times(1, 0.2))]
        samples = compare(task_for(server, size_bytes, sha256), contenders, bench.rounds, bench.work)
    limit_s = size_bytes / (16 * rate)
    return Section(
        "capped",
        f"{_size(size_bytes)} at 20 MB/s per connection",
        f"With 16 connections the line's own limit is {limit_s:.2f} s, with one {16 * limit_s:.1f} s.",
        [table(samples, "", ARIA2, size_bytes)],
        [
            Goal("wall, of aria2c -x16", wall(samples, CLI) / wall(samples, ARIA2), 1.0),
            Goal("times as fast as hf download", wall(samples, HF) / wall(samples, CLI), 12, at_least=True),
        ],
        [_bars("capped.svg", f"{_size(size_bytes)}, 20 MB/s per connection", samples)],
        raw(samples),
    )


def distant(bench: Bench) -> Section:
    """40 ms away, at 1 Gbit/s."""
    size_bytes = 128 * MIB if bench.quick else 512 * MIB
    title = f"{_size(size_bytes)} over a line of 1 Gbit/s and 40 ms"
    if why := line.possible():
        return Section("distant", title, f"Not measured: {why}.")
    site, sha256 = site_with(bench, size_bytes)
    options = Options(host=line.SERVER_HOST, inside=line.IN_SERVER)
    with (
        line.Line(bench.site_folder("line"), rtt_ms=40, rate_mbit=1000),
        Nginx(site, bench.site_folder("nginx"), options) as server,
        bench.daemon(server.endpoint, inside=line.IN_CLIENT) as daemon,
    ):
        contenders: list[Contender] = [Hfdm(daemon), Aria2(), HfDownload(rounds=bench.times(1, 0.6))]
        samples = compare(
            task_for(server, size_bytes, sha256, inside=line.IN_CLIENT), contenders, bench.rounds, bench.work
        )
    return Section(
        "distant",
        title,
        "An emulated line between two network namespaces: delay, rate and a drop-tail queue of 40 ms. At full rate the"
        f" bytes alone take {number(size_bytes * 8 / 1e9)} s.",
        [table(samples, "", ARIA2, size_bytes)],
        [
            Goal("wall, of aria2c -x16", wall(samples, CLI) / wall(samples, ARIA2), 1.0),
            Goal("times as fast as hf download", wall(samples, HF) / wall(samples, CLI), 1.5, at_least=True),
        ],
        [_bars("distant.svg", f"{_size(size_bytes)} at 40 ms and 1 Gbit/s", samples)],
        raw(samples),
    )


def _bars(file: str, title: str, samples: Samples) -> Bars:
    return Bars(file, title, "s", [(name, wall(samples, name)) for name in samples])


def _size(size_bytes: int) -> str:
    return f"{size_bytes // GIB} GiB" if size_bytes >= GIB else f"{size_bytes // MIB} MiB"
