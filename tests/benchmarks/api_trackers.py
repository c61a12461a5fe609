"""`python -m tests.benchmarks.api_trackers`: a start with 100,000 tracker files from a warm page cache."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from hfdmd.record import FileRecord, FileSpec, Source, rfc3339
from hfdmd.store import Store
from hfdmd.wire.types import RepoType
from tests.benchmarks.api_common import Figure, parser, report
from tests.daemon_process import Daemon, new_folder, until
from tests.fakehub import HubServer

FILES_PER_REPO = 500
IDLE_S = 5.0


def write_trackers(folder: Path, count: int) -> None:
    """`count` finished downloads, in repos of 500 files each, as the daemon itself would have written them."""
    store = Store(folder)
    folder.mkdir(parents=True)
    begun_s = time.time() - 48 * 3600
    for number in range(count):
        repo, file = divmod(number, FILES_PER_REPO)
        spec = FileSpec(
            repo_type=RepoType.MODEL,
            model_repo=f"owner{repo % 7}/model-{repo:05}",
            revision="main",
            file_path=f"data/shard-{file:05}-of-{FILES_PER_REPO:05}.safetensors",
        )
        moment = rfc3339(begun_s + number * 0.01)
        digest = f"{number:064x}"
        record = FileRecord(
            status="done",
            progress=100.0,
            id=spec.id,
            spec=spec,
            asked_singly=True,
            source=Source(commit="0" * 40, etag=digest, size_bytes=5_000_000_000, digest=f"sha256:{digest}"),
            downloaded_bytes=5_000_000_000,
            path=f"/home/somebody/.cache/huggingface/hub/models--owner--{repo}/snapshots/{'0' * 40}/{spec.file_path}",
            placed_bytes=5_000_000_000,
            placed_mtime_ns=time.time_ns(),
            attempt=1,
            created_at=moment,
            updated_at=moment,
            version=round(1e6 * (begun_s + number * 0.01)),
        )
        path = Path(store.path(spec))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(msgspec.json.encode(record))


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--trackers", type=int, default=100_000)
    options = arguments.parse_args()
    with HubServer() as hub, new_folder() as folder:
        daemon = Daemon(Path(folder), hub.endpoint)
        write_trackers(daemon.state / "trackers", options.trackers)
        for path in (daemon.state / "trackers").rglob("*.json"):
            path.read_bytes()  # warm
        began = time.perf_counter()
        daemon.process = daemon.spawn()
        stats = daemon.stats

        def answers() -> bool:
            try:
                return daemon.get("/api/info").status == 200
            except OSError:
                return False

        try:
            until(answers)
            first_s = time.perf_counter() - began
            asked = time.perf_counter()
            name = {"modelRepo": "owner3/model-00003", "filePath": "data/shard-00007-of-00500.safetensors"}
            named = daemon.get("/api/progress", **name)
            named_s = time.perf_counter() - asked
            was_loading = daemon.get("/api/info").json["loading"]
            until(lambda: not daemon.get("/api/info").json["loading"])
            known_s = time.perf_counter() - began
            used_s = stats.cpu_s()
            counts = daemon.get("/api/info").json["counts"]
            assert counts["done"] == options.trackers, counts
            idle_from = stats.cpu_s()
            time.sleep(IDLE_S)
            idle = (stats.cpu_s() - idle_from) / IDLE_S
            figures = [
                Figure("first answer", first_s, "s", at_most=1),
                Figure(f"one asked for by name {'while loading' if was_loading else 'after'}", named_s, "s", at_most=1),
                Figure("  its status", named.status, ""),
                Figure("everything known", known_s, "s", at_most=3),
                Figure("  CPU until then", used_s, "s"),
                Figure("memory", stats.rss_bytes() / 1e6, "MB", at_most=400),
                Figure("  at most", stats.peak_rss_bytes() / 1e6, "MB", at_most=400),
                Figure("CPU when idle after that", 100 * idle, "%", at_most=0.5),
            ]
        finally:
            daemon.kill()
    return report(f"start with {options.trackers} tracker files", figures, options.json)


if __name__ == "__main__":
    sys.exit(main())
