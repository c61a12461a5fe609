"""Start-up times of the commands and the Python client, and the costs of an idle daemon."""

from __future__ import annotations

import sys
import time

from hfdmd_client import Client
from tests.benchmarks.bench import MIB, Bench
from tests.benchmarks.machine import settle
from tests.benchmarks.measure_large import FILE, REPO, site_with
from tests.benchmarks.nginx import Nginx
from tests.benchmarks.process import BIN, clean_env, run
from tests.benchmarks.report import Bars, Goal, Section, Table, median
from tests.daemon_process import Daemon

IDLE_S = 10.0
STARTS = 5
_PEAK = "import sys; print(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])"


def clients(bench: Bench) -> Section:
    """Start-up times, alternating; a fresh daemon's first answer; an idle daemon's memory and wake-ups."""
    runs = 3 if bench.quick else 15
    site, _ = site_with(bench, 64 * MIB)
    with Nginx(site, bench.site_folder("nginx")) as server:
        first_s = [_first_answer(bench, server.endpoint) for _ in range(STARTS)]
        with bench.daemon(server.endpoint) as fresh, bench.daemon(server.endpoint) as daemon:
            Client(socket=daemon.socket).download(REPO, FILE)
            commit = site.repos[REPO].head
            commands = {
                "hfdm --version": [str(BIN / "hfdm"), "--version"],
                "hfdm status": [str(BIN / "hfdm"), "status"],
                "hfdm download, cached": [str(BIN / "hfdm"), "download", REPO, FILE],
                "hfdm download --revision COMMIT, cached": [
                    str(BIN / "hfdm"),
                    "download",
                    REPO,
                    FILE,
                    "--revision",
                    commit,
                ],
                "hf --version": [str(BIN / "hf"), "--version"],
            }
            # the first time, the commit's own download is made: a link to what the cache has
            run(commands["hfdm download --revision COMMIT, cached"], env=daemon.env)
            walls = _alternating(commands, daemon.env, runs)
            server.clear_log()
            run(commands["hfdm download --revision COMMIT, cached"], env=daemon.env)
            requests = len(server.log())
            idle = _idle({"started": fresh, "after a download": daemon}, 3 if bench.quick else IDLE_S)
        imports, import_mb = _imports(bench, runs)
    ms = {name: median(found) * 1000 for name, found in (walls | imports).items()}
    bare = ms["python -c pass"]
    rows = [(name, f"{value:.0f}") for name, value in ms.items()]
    return Section(
        "clients",
        "Commands, imports, an idle daemon",
        f"Medians of {runs} alternating starts with warm caches. `import hfdmd_client`"
        " loads names when they are first used; the next row has loaded the client.",
        [
            Table("Start to exit", ("", "ms"), rows),
            Table(
                "Memory over a bare Python", ("", "MB"), [(name, f"{value:.1f}") for name, value in import_mb.items()]
            ),
            Table(
                f"An idle daemon, {IDLE_S:.0f} s",
                ("", "resident MB", "wake-ups per s"),
                [(name, f"{rss_mb:.0f}", f"{rate:.2f}") for name, (rss_mb, rate) in idle.items()],
            ),
        ],
        [
            Goal("hfdm --version", ms["hfdm --version"], 120, "ms"),
            Goal("hfdm status, daemon running", ms["hfdm status"], 200, "ms"),
            Goal("import hfdmd_client over a bare Python", ms["import hfdmd_client"] - bare, 60, "ms"),
            Goal(
                "from hfdmd_client import Client, memory over a bare Python",
                import_mb["from hfdmd_client import Client"],
                25,
                "MB",
            ),
            Goal("hfdm download of a cached file", ms["hfdm download, cached"] / 1000, 0.5, "s"),
            Goal("the same with the commit given, requests", requests, 0),
            Goal("first answer of a new daemon", median(first_s), 1.0, "s"),
            Goal("idle daemon, resident", max(rss_mb for rss_mb, _ in idle.values()), 80, "MB"),
            Goal("idle daemon, wake-ups per second", max(rate for _, rate in idle.values()), 1),
        ],
        [
            Bars(
                "start.svg",
                "Start to exit",
                "ms",
                [(n, ms[n]) for n in ("hfdm --version", "hfdm status", "hf --version")],
            )
        ],
        {"walls_s": walls | imports, "first_answer_s": first_s, "idle": idle},
    )


def _first_answer(bench: Bench, endpoint: str) -> float:
    with bench.daemon(endpoint) as daemon:
        return daemon.first_answer_s


def _alternating(commands: dict[str, list[str]], env: dict[str, str], runs: int) -> dict[str, list[float]]:
    walls: dict[str, list[float]] = {name: [] for name in commands}
    settle(warm_bytes=256 << 20)
    for number in range(runs + 1):
        for name in commands if number % 2 else reversed(commands):
            spent = run(commands[name], env=env)
            if number:  # the first only warms the caches
                walls[name].append(spent.wall_s)
    return walls


def _imports(bench: Bench, runs: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Times, and peaks of memory over a bare Python."""
    what = ("pass", "import hfdmd_client", "from hfdmd_client import Client", "import huggingface_hub.file_download")
    env = clean_env(HOME=str(bench.work))
    walls = _alternating({name: [sys.executable, "-c", name] for name in what}, env, runs)
    peaks = {name: float(run([sys.executable, "-c", f"{name}\n{_PEAK}"], env=env).stdout) / 1000 for name in what}
    over = {name: peaks[name] - peaks["pass"] for name in what if name != "pass"}
    return {"python -c pass": walls.pop("pass"), **walls}, over


def _idle(daemons: dict[str, Daemon], window_s: float) -> dict[str, tuple[float, float]]:
    """Resident MB and wake-ups per second of idle daemons."""
    time.sleep(2)
    before = {name: daemon.stats.wake_ups() for name, daemon in daemons.items()}
    time.sleep(window_s)
    return {
        name: (daemon.stats.rss_bytes() / 1e6, (daemon.stats.wake_ups() - before[name]) / window_s)
        for name, daemon in daemons.items()
    }
