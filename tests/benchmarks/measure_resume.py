"""How many bytes are sent twice when the daemon is killed, or a download paused, many times."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from hfdmd_client import Client
from tests.benchmarks import line
from tests.benchmarks.bench import MIB, Bench
from tests.benchmarks.content import sha256_of
from tests.benchmarks.report import Goal, Section, Table
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded

REPO, FILE = "bench/resumed", "model.safetensors"
RATE_BYTES_PER_S = 16 * MIB
RTT_MS = 60
LINE_MBIT = 1000
FAST_BYTES_PER_S = 100e6  # of a server that is faster than the limit; with a rate, it counts what has really arrived
LOST_AT_MOST_MS = 100
PAUSED_AT_MOST = 1.10
DEADLINE_S = 180.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`count` kills or pauses of a download, whose speed is limited by a setting (`limited`) or by the server."""

    what: str
    scheme: str
    rtt_ms: int
    limited: bool
    count: int
    size_bytes: int

    @property
    def name(self) -> str:
        return f"{self.scheme}, {self.rtt_ms} ms, {'with' if self.limited else 'without'} a limit"


def resume(bench: Bench) -> Section:
    """Twenty kills of 256 MiB at 16 MiB/s, and fifty pauses; over HTTP and HTTPS, near and far."""
    part = 0.25 if bench.quick else 1.0
    kills, pauses, size_bytes = round(20 * part), round(50 * part), round(256 * part) * MIB
    missing = line.possible()
    distances = [0] if missing else [0, RTT_MS]
    plans = [
        Plan("kills", scheme, rtt_ms, limited, kills, size_bytes)
        for scheme, rtt_ms, limited in product(("http", "https"), distances, (False, True))
    ]
    plans += [
        Plan("pauses", scheme, rtt_ms, True, pauses, size_bytes)
        for scheme, rtt_ms in product(("http", "https"), distances)
    ]
    rows, goals = [], []
    for plan in plans:
        sent_bytes = _sent_bytes(bench, plan)
        share = sent_bytes / plan.size_bytes
        lost_ms = (sent_bytes - plan.size_bytes) / plan.count / RATE_BYTES_PER_S * 1000
        rows.append((f"{plan.count} {plan.what}: {plan.name}", f"{share:.3f}", f"{lost_ms:.0f}"))
        if plan.what == "kills":
            goals.append(Goal(f"lost by a kill: {plan.name}", lost_ms, LOST_AT_MOST_MS, "ms of the line"))
        else:
            goals.append(Goal(f"sent with {plan.count} pauses: {plan.name}", share, PAUSED_AT_MOST, "of the file"))
    return Section(
        "resume",
        "Kills and pauses",
        f"One file of {size_bytes // MIB} MiB from the test Hub at {RATE_BYTES_PER_S // MIB} MiB/s, interrupted at"
        " random moments; a kill is SIGKILL and a new start. Counted are body bytes that the CDN sent and the client's"
        f" machine acknowledged.{f' No distant line here: {missing}.' if missing else ''}",
        [Table("", ("", "sent, × size", "lost each time, ms of the line"), rows)],
        goals,
    )


@contextmanager
def _running(bench: Bench, plan: Plan) -> Iterator[tuple[HubServer, Daemon]]:
    """A Hub, near or at the far end of a line, and a daemon."""
    is_tls = plan.scheme == "https"
    inside: Sequence[str] = ()
    with ExitStack() as stack:
        if plan.rtt_ms:
            stack.enter_context(line.Line(bench.folder("line"), plan.rtt_ms, LINE_MBIT))
            inside = line.IN_CLIENT
            with line.in_server():
                hub = stack.enter_context(HubServer(tls=is_tls, host=line.SERVER_HOST))
        else:
            hub = stack.enter_context(HubServer(tls=is_tls))
        bundle = Path(hub.ca_path) if is_tls else None
        yield hub, stack.enter_context(bench.daemon(hub.endpoint, bundle=bundle, inside=inside))


def _sent_bytes(bench: Bench, plan: Plan) -> int:
    content = seeded(plan.size_bytes, seed=plan.count)
    moments = random.Random(plan.count)
    with _running(bench, plan) as (hub, daemon):
        hub.add_repo(REPO, {FILE: content})
        hub.rate_bytes_per_s = FAST_BYTES_PER_S if plan.limited else RATE_BYTES_PER_S
        _limit(daemon, RATE_BYTES_PER_S if plan.limited else 0)
        key = daemon.ask(REPO, FILE)["id"]
        for at in sorted(moments.uniform(0.01, 0.9) * plan.size_bytes for _ in range(plan.count)):
            until(lambda at=at: daemon.view(key)["downloadedBytes"] >= at, "progress", DEADLINE_S)  # type: ignore[misc]
            if plan.what == "kills":
                daemon.kill_and_start()
            else:
                with Client(socket=daemon.socket) as client:
                    client.pause(id=key)
                    client.resume(id=key)
        _limit(daemon, 0)
        hub.rate_bytes_per_s = FAST_BYTES_PER_S
        done = daemon.wait(key, "done", deadline_s=DEADLINE_S)
        if sha256_of(Path(done["path"])) != content.sha256:
            raise AssertionError("the file has wrong content")
        return hub.sent_bytes(FILE)


def _limit(daemon: Daemon, bytes_per_s: int) -> None:
    answer = daemon.call("PATCH", "/api/settings", {"bandwidthLimit": bytes_per_s})
    assert answer.status == 200, answer
