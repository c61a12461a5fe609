"""2,000 small files: near and far, a second time, and after a new commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from hfdmd_client import Client
from tests.benchmarks import line
from tests.benchmarks.bench import Bench
from tests.benchmarks.compare import Samples, compare, raw, table, wall
from tests.benchmarks.contenders import Aria2, Contender, Hfdm, HfDownload, Sample, Task
from tests.benchmarks.content import small_files
from tests.benchmarks.machine import settle
from tests.benchmarks.nginx import Logged, Nginx, Options
from tests.benchmarks.process import BIN, run
from tests.benchmarks.report import Bars, Goal, Section, Table
from tests.benchmarks.site import Site
from tests.daemon_process import Daemon

REPO, WARM_REPO = "bench/small", "bench/warm"
ARIA2 = "aria2c -j64"


def near(bench: Bench) -> Section:
    """Without delay. Then the same repo again, and a new commit."""
    files = small_files(200 if bench.quick else 2000)
    site = Site(bench.site_folder("site"))
    site.add(WARM_REPO, git={"config.json": b"{}"})
    site.add(REPO, git=files)
    with Nginx(site, bench.site_folder("nginx")) as server, _Fresh(bench, server) as hfdm:
        contenders: list[Contender] = [hfdm, *_peers(bench, 0.6)]
        samples = compare(_task(server, files), contenders, bench.rounds, bench.work)
        daemon = hfdm.daemon
        again_s, again = _timed(server, lambda: _download(daemon))
        changed = dict(files) | {"part-3/file-00003.json": b'{"changed": true}'}
        commit = site.add(REPO, git=changed).head
        server.reload()
        update_s, update = _timed(server, lambda: _download(daemon, "--update"))
        got = (daemon.cache / "models--bench--small/snapshots" / commit / "part-3/file-00003.json").read_bytes()
        if got != changed["part-3/file-00003.json"]:
            raise AssertionError("the update did not bring the changed file")
    bodies = [asked for asked in update if asked.method == "GET" and "/resolve/" in asked.uri]
    return Section(
        "small",
        f"{len(files):,} files of 2 to 50 KB, no delay",
        "A whole repo of small git files, on disk. Ours is verified, linked, tracked and synced; `hf download` does"
        " HEAD and GET for each and syncs nothing; `aria2c` has a ready list of URLs and verifies nothing.",
        [
            table(samples, "", ARIA2, 0),
            Table(
                "Afterwards",
                ("", "s", "requests", "files fetched"),
                [
                    ("the same repo again", f"{again_s:.2f}", str(len(again)), str(_bodies(again))),
                    ("a new commit, one file changed, --update", f"{update_s:.2f}", str(len(update)), str(len(bodies))),
                ],
            ),
        ],
        [
            Goal(
                "times as fast as hf download",
                wall(samples, "hf download") / wall(samples, hfdm.name),
                2.5,
                at_least=True,
            ),
            Goal("requests per file", hfdm.requests / len(files), 1.05),
            Goal("the same repo again", again_s, 0.3, "s"),
            Goal("the same repo again, requests", len(again), 1),
            Goal("a new commit with one changed file, files fetched", len(bodies), 1),
        ],
        [_bars("small-near.svg", f"{len(files):,} small files, no delay", samples)],
        raw(samples),
    )


def far(bench: Bench) -> Section:
    """40 ms away, at 1 Gbit/s."""
    files = small_files(200 if bench.quick else 2000)
    title = f"{len(files):,} files of 2 to 50 KB at 40 ms"
    if why := line.possible():
        return Section("small-far", title, f"Not measured: {why}.")
    site = Site(bench.site_folder("site"))
    site.add(WARM_REPO, git={"config.json": b"{}"})
    site.add(REPO, git=files)
    options = Options(host=line.SERVER_HOST, inside=line.IN_SERVER)
    with (
        line.Line(bench.site_folder("line"), rtt_ms=40, rate_mbit=1000),
        Nginx(site, bench.site_folder("nginx"), options) as server,
        _Fresh(bench, server, line.IN_CLIENT) as hfdm,
    ):
        contenders: list[Contender] = [hfdm, *_peers(bench, 0.4)]
        samples = compare(_task(server, files, line.IN_CLIENT), contenders, bench.rounds, bench.work)
    return Section(
        "small-far",
        title,
        "The emulated line again; a new daemon each round, which has fetched one other file before.",
        [table(samples, "", ARIA2, 0)],
        [
            Goal(
                "times as fast as hf download",
                wall(samples, "hf download") / wall(samples, hfdm.name),
                10,
                at_least=True,
            ),
            Goal("wall, of aria2c -j64 with a ready list", wall(samples, hfdm.name) / wall(samples, ARIA2), 1.5),
            Goal("requests per file", hfdm.requests / len(files), 1.05),
        ],
        [_bars("small-far.svg", f"{len(files):,} small files at 40 ms", samples)],
        raw(samples),
    )


class _Fresh:
    """`hfdm download` of the whole repo by a new, warmed-up daemon each time; counts the requests of the last run.

    What a run leaves stays until the end of the benchmark: deleting thousands of files makes ext4 slow for a minute,
    and the next run would be slower.
    """

    name: str = "hfdm download"
    rounds: int | None = None

    def __init__(self, bench: Bench, server: Nginx, inside: Sequence[str] = ()) -> None:
        self.requests = 0
        self._bench = bench
        self._server = server
        self._inside = inside
        self._stack = ExitStack()
        self._daemon: Daemon | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def daemon(self) -> Daemon:
        """The daemon of the last run, which still runs."""
        assert self._daemon is not None
        return self._daemon

    def go(self, task: Task, folder: Path) -> Sample:
        self._stack.close()
        new = self._bench.daemon(self._server.endpoint, inside=self._inside)
        self._daemon = self._stack.enter_context(new)
        Client(socket=new.socket).download(WARM_REPO)
        settle(warm_bytes=0)
        self._server.clear_log()
        sample = Hfdm(new, keep_files=True).go(task, folder)
        self.requests = len(self._server.log())
        return sample

    def clean(self, folder: Path) -> None:
        """Keeps the last run's repo for the measurements afterwards."""


def _task(server: Nginx, files: dict[str, bytes], inside: tuple[str, ...] = ()) -> Task:
    urls = [(f"{server.endpoint}/{REPO}/resolve/main/{path}", path) for path in files]
    size_bytes = sum(map(len, files.values()))
    return Task(server.endpoint, REPO, None, size_bytes, urls, inside=inside)


def _peers(bench: Bench, hf_share: float) -> list[Contender]:
    return [Aria2(ARIA2, jobs=64, keep_files=True), HfDownload(rounds=bench.times(1, hf_share), keep_files=True)]


def _download(daemon: Daemon, *options: str) -> float:
    return run([str(BIN / "hfdm"), "download", REPO, *options], env=daemon.env).wall_s


def _timed(server: Nginx, work: Callable[[], float]) -> tuple[float, list[Logged]]:
    server.clear_log()
    took_s = work()
    return took_s, server.log()


def _bodies(log: list[Logged]) -> int:
    return sum(1 for asked in log if asked.method == "GET" and "/resolve/" in asked.uri)


def _bars(file: str, title: str, samples: Samples) -> Bars:
    return Bars(file, title, "s", [(name, wall(samples, name)) for name in samples])
