"""`python -m tests.benchmarks.api_listeners`: many listeners on the stream of everything, four events a second.

The events are real byte progress of one download that a slow test Hub feeds. Delivery is measured from the moment at
which a first listener has an event to the moment at which each other one has it, on one clock. The readers share
their process with the test Hub, so the p99 holds their own hand-overs too. Then some listeners do not read while the
others go on.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from pathlib import Path

from tests.benchmarks.api_common import Figure, parser, percentile, report
from tests.daemon_process import Daemon, new_folder, until
from tests.fakehub import HubServer, seeded
from tests.process_stats import ProcessStats

REQUEST = b"GET /api/progress HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
STUCK = 20  # of which one is a twentieth: the process's memory alone moves by megabytes


class Readers:
    """Plain sockets that record when each event's `id:` line arrived."""

    def __init__(self, daemon: Daemon, count: int) -> None:
        self.arrivals: dict[bytes, list[float]] = {}
        self._selector = selectors.DefaultSelector()
        self.sockets = []
        for _ in range(count):
            raw = daemon.connect()
            raw.sendall(REQUEST)
            raw.setblocking(False)
            self._selector.register(raw, selectors.EVENT_READ)
            self.sockets.append(raw)

    def read_for(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            for key, _ in self._selector.select(min(left, 0.2)):
                raw = key.fileobj
                assert isinstance(raw, socket.socket)
                data = raw.recv(1 << 16)
                now = time.perf_counter()
                begin = data.find(b"id: ")
                while begin >= 0:
                    line = data[begin + 4 : data.find(b"\n", begin)]
                    self.arrivals.setdefault(line, []).append(now)
                    begin = data.find(b"id: ", begin + 4)

    def delays_ms(self) -> list[float]:
        return [
            1000 * (moment - moments[0])
            for line, moments in self.arrivals.items()
            if len(moments) == len(self.sockets) and line != b"ready"
            for moment in moments
        ]

    def close(self) -> None:
        self._selector.close()
        for raw in self.sockets:
            raw.close()


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--listeners", type=int, default=1000)
    arguments.add_argument("--seconds", type=float, default=20.0)
    options = arguments.parse_args()
    figures = []
    sys.setswitchinterval(0.0005)  # the Hub's thread must not hold up the readers
    with HubServer() as hub, new_folder() as folder:
        hub.add_repo("own/big", {"x.bin": seeded(200_000_000, seed=1)})
        with Daemon(Path(folder), hub.endpoint) as daemon:
            stats = daemon.stats
            hub.rate_bytes_per_s = 500_000
            key = daemon.ask("own/big", "x.bin")["id"]
            until(lambda: daemon.view(key)["downloadedBytes"] > 0)
            alone = measure_cpu(stats, 8.0)
            before = stats.rss_bytes()
            readers = Readers(daemon, options.listeners)
            readers.read_for(3.0)
            readers.arrivals.clear()
            began, used = time.perf_counter(), stats.cpu_s()
            readers.read_for(options.seconds)
            took = time.perf_counter() - began
            busy = (stats.cpu_s() - used) / took
            per_listener = (stats.rss_bytes() - before) / options.listeners
            delays = readers.delays_ms()
            events = len(delays) / options.listeners / took
            figures += [
                Figure("events a second and listener", events, "1/s", at_least=3.0),
                Figure("delivery, median", percentile(delays, 0.5), "ms"),
                Figure("delivery, p99", percentile(delays, 0.99), "ms", at_most=50),
                Figure("CPU of the daemon without listeners", 100 * alone, "%"),
                Figure("CPU of the daemon with them", 100 * busy, "%"),
                Figure("CPU for the listeners", 100 * (busy - alone), "%", at_most=5),
                Figure("memory a listener", per_listener / 1000, "KB", at_most=60),
            ]
            stuck = [daemon.connect() for _ in range(STUCK)]
            for raw in stuck:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                raw.sendall(REQUEST)
            readers.read_for(1.0)
            readers.arrivals.clear()
            before = stats.rss_bytes()
            readers.read_for(60.0)
            delays = readers.delays_ms()
            figures += [
                Figure(f"beside {STUCK} that do not read: delivery, p99", percentile(delays, 0.99), "ms", at_most=50),
                Figure(
                    "what one of them costs in a minute", (stats.rss_bytes() - before) / 1e6 / STUCK, "MB", at_most=1.0
                ),
            ]
            for raw in stuck:
                raw.close()
            readers.close()
    return report(f"{options.listeners} listeners", figures, options.json)


def measure_cpu(stats: ProcessStats, seconds: float) -> float:
    """Share of one core over some seconds."""
    began, used = time.perf_counter(), stats.cpu_s()
    time.sleep(seconds)
    return (stats.cpu_s() - used) / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
