"""`python -m tests.benchmarks.api_calls`: the list of 10,000 downloads, and a known download asked for again."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.benchmarks.api_common import Figure, parser, percentile, report
from tests.benchmarks.api_trackers import write_trackers
from tests.daemon_process import Daemon, UnixConnection, new_folder
from tests.fakehub import HubServer

ASKED = 3000


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--downloads", type=int, default=10_000)
    options = arguments.parse_args()
    figures = []
    with HubServer() as hub, new_folder() as folder:
        daemon = Daemon(Path(folder), hub.endpoint)
        write_trackers(daemon.state / "trackers", options.downloads)
        with daemon:
            stats = daemon.stats
            connection = UnixConnection(daemon.socket)

            def timed(method: str, target: str, body: bytes | None = None) -> tuple[float, int]:
                began = time.perf_counter()
                connection.request(method, target, body=body, headers={"Content-Type": "application/json"})
                answer = connection.getresponse()
                size = len(answer.read())
                assert answer.status in (200, 202), answer.status
                return 1000 * (time.perf_counter() - began), size

            timed("GET", "/api/progress?limit=10000")
            used = stats.cpu_s()
            lists = [timed("GET", "/api/progress?limit=10000") for _ in range(20)]
            list_cpu_ms = 1000 * (stats.cpu_s() - used) / len(lists)
            figures += [
                Figure("GET /api/progress of them all, median", percentile([ms for ms, _ in lists], 0.5), "ms", 150),
                Figure("  CPU of the daemon for it", list_cpu_ms, "ms"),
                Figure("  size", lists[0][1] / 1e6, "MB"),
            ]
            for name, body in (
                ("queued", b'{"modelRepo":"own/gone","filePath":"waits.bin"}'),
                ("done", b'{"modelRepo":"own/small","filePath":"config.json"}'),
            ):
                if name == "done":
                    hub.add_repo("own/small", {"config.json": b"{}"})
                timed("POST", "/api/download", body)
                view = daemon.get("/api/progress", modelRepo=f"own/{'small' if name == 'done' else 'gone'}")
                daemon.wait(view.json["downloads"][0]["id"], "done" if name == "done" else "failed")
                began, used = time.perf_counter(), stats.cpu_s()
                posts = [timed("POST", "/api/download", body)[0] for _ in range(ASKED)]
                rate = ASKED / (time.perf_counter() - began)
                cost_ms = 1000 * (stats.cpu_s() - used) / ASKED
                what = "done" if name == "done" else "failed"
                figures += [
                    Figure(f"POST of a {what} download, median", percentile(posts, 0.5), "ms", at_most=5),
                    Figure("  p99", percentile(posts, 0.99), "ms"),
                    Figure("  one after the other", rate, "1/s", at_least=1000),
                    Figure("  CPU of the daemon for one", cost_ms, "ms"),
                ]
            connection.close()
    return report(f"{options.downloads} downloads", figures, options.json)


if __name__ == "__main__":
    sys.exit(main())
