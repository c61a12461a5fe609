"""Whether costs grow with the file's size: memory and tracker writes of a small and a very large file."""

from __future__ import annotations

import shutil
import time

from hfdmd.wire.types import Status
from hfdmd_client import Client
from tests.benchmarks import content
from tests.benchmarks.bench import GIB, Bench
from tests.benchmarks.inotify import Replaced
from tests.benchmarks.machine import settle
from tests.benchmarks.nginx import Nginx
from tests.benchmarks.report import Goal, Section, Table
from tests.benchmarks.site import Lfs, Site

ROOM_BYTES = 12 * GIB
"""Stays free on the disk, whatever size was asked for."""
SIZES_GIB = (64, 32, 16, 8, 4)
MOST_WRITES_PER_S = 25


def sparse(bench: Bench) -> Section:
    """1 GiB and 64 GiB of holes, or less if the disk is too small."""
    room_gib = (shutil.disk_usage(bench.work).free - ROOM_BYTES) / GIB
    most_gib = min(4 if bench.quick else bench.sparse_gib, room_gib)
    large_gib = next((gib for gib in SIZES_GIB if gib <= most_gib), 2)
    site = Site(bench.site_folder("site"))
    sizes = {f"bench/sparse-{gib}": gib for gib in (1, large_gib)}
    for repo, gib in sizes.items():
        body = content.sparse(site.cdn / f"{gib}.bin", gib * GIB)
        site.add(repo, lfs={"model.bin": Lfs(body)})
    rows, peaks, writes = [], [], []
    with Nginx(site, bench.site_folder("nginx")) as server:
        for repo, gib in sizes.items():
            with bench.daemon(server.endpoint) as daemon:
                settle()
                daemon.stats.reset_peak()
                client = Client(socket=daemon.socket)
                began = time.monotonic()
                asked = client.ask(repo, "model.bin")
                folder = next(path.parent for path in (daemon.state / "trackers").rglob("*.json"))
                with Replaced(folder) as replaced:
                    *_, last = client.follow(asked)
                took_s = time.monotonic() - began
                if last.status is not Status.DONE:
                    raise AssertionError(f"{repo}: {last.error}")
                peaks.append(daemon.stats.peak_rss_bytes() / 1e6)
                writes.append(replaced.most_per_s())
                count = len(replaced.times_s)
                rows.append(
                    (
                        f"{gib} GiB",
                        f"{took_s:.1f}",
                        f"{gib / took_s:.2f}",
                        f"{daemon.stats.cpu_s() / gib:.2f}",
                        f"{peaks[-1]:.0f}",
                        str(count),
                        f"{count / took_s:.1f}",
                        str(writes[-1]),
                    )
                )
                client.delete(model_repo=repo, delete_file=True)
    columns = ("", "s", "GiB/s", "CPU s/GiB", "peak MB", "tracker writes", "per s", "most in a second")
    return Section(
        "sparse",
        f"1 GiB and {large_gib} GiB",
        "Sparse files on the server; the daemon writes, syncs and hashes every byte. A new daemon for each. 64 GiB are"
        " taken where the disk has room for them, else the largest power of two that leaves 12 GiB free.",
        [Table("", columns, rows)],
        [
            Goal(f"memory, {large_gib} GiB more than 1 GiB", peaks[1] - peaks[0], 10, "MB"),
            Goal("tracker writes in any second", max(writes), MOST_WRITES_PER_S),
        ],
        raw={"rows": rows},
    )
