"""Whether the daemon's memory grows with the number of downloads that were done and deleted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from hfdmd_client import Client
from tests.benchmarks.bench import Bench
from tests.benchmarks.report import Goal, Section, Table
from tests.daemon_process import Daemon
from tests.fakehub import HubServer

AT_ONCE = 2
FILES = 3
GROWTH_MB_AT_MOST = 2
REST_S = 3.0


def memory(bench: Bench) -> Section:
    """2,500 whole repos, each downloaded and deleted again with its files; resident memory after 250 and after all."""
    warm, total = (250, 500) if bench.quick else (250, 2500)
    rows: list[tuple[int, float]] = []
    with HubServer() as hub, bench.daemon(hub.endpoint) as daemon:
        rows.append((0, _resident_mb(daemon)))
        for begin, end in _steps(warm, total):
            for number in range(begin, end):
                files = {f"{file}.json": b'{"repo": %d, "file": %d}' % (number, file) for file in range(FILES)}
                hub.add_repo(_name(number), files)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for _ in pool.map(lambda number: _once(daemon, number), range(begin, end)):
                    pass
            hub.clear_log()
            rows.append((end, _resident_mb(daemon)))
        counts = daemon.get("/api/progress").json
        if counts["downloads"] or counts["repos"]:
            raise AssertionError(f"not everything was deleted: {counts}")
    after_warm = dict(rows)[warm]
    growth_mb = rows[-1][1] - after_warm
    return Section(
        "memory",
        f"{total:,} repos downloaded and deleted",
        f"Whole repos of {FILES} small files each from the test Hub, {AT_ONCE} at a time, deleted with their files when"
        f" done. Resident memory of the daemon, read after {REST_S:.0f} s of rest.",
        [Table("", ("repos", "resident MB"), [(f"{count:,}", f"{mb:.2f}") for count, mb in rows])],
        [Goal(f"memory after {total:,} repos more than after {warm}", growth_mb, GROWTH_MB_AT_MOST, "MB")],
        raw={"rows": rows},
    )


def _steps(warm: int, total: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, total, warm):
        yield begin, min(begin + warm, total)


def _name(number: int) -> str:
    return f"bench/repo-{number:05}"


def _once(daemon: Daemon, number: int) -> None:
    name = _name(number)
    with Client(socket=daemon.socket) as client:
        client.download(name)
        client.delete(model_repo=name, delete_file=True)


def _resident_mb(daemon: Daemon) -> float:
    time.sleep(REST_S)
    return daemon.stats.rss_bytes() / 1e6
