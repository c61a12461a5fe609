"""Every number that a caller can send, at both edges of its range, between and beyond, while a download is running.

Numbers reach timers, arithmetic and options of the kernel: none may be too large for these.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import Daemon, new_folder
from tests.fakehub import HubServer, seeded

REPO, FILE = "own/numbers", "model.safetensors"
LARGEST = 2**53 - 1
RATES = [0, 1, 2, 1023, 1024, 10**6, 2**31 - 1, 2**31, 2**37, 2**38, 2**52, LARGEST - 1, LARGEST]
SETTINGS: dict[str, list[Any]] = {
    "maxActiveDownloads": [1, 2, 500, 999, 1000],
    "maxConnections": [1, 2, 32, 1023, 1024],
    "maxConnectionsPerFile": [1, 2, 16, 63, 64],
    "bandwidthLimit": RATES,
    "stallTimeout": [1, 1.5, 30, 3599.5, 3600],
    "minFreeBytes": [LARGEST, 2**31, 1, 0],  # last 0: or nothing starts any more
}
BEYOND: dict[str, list[Any]] = {
    "maxActiveDownloads": [0, 1001, -1],
    "maxConnections": [0, 1025, -(2**63)],
    "maxConnectionsPerFile": [0, 65, 2**64],
    "bandwidthLimit": [-1, LARGEST + 1, 2**63, 10**30],
    "stallTimeout": [0, 0.999, 3600.5, 10**30],
    "minFreeBytes": [-1, LARGEST + 1, 10**30],
}
ALWAYS = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "00:00", "to": "00:00"}
REORDERS = [("priority", [-100, -99, 0, 99, 100], [-101, 101, 2**63]), ("position", [1, 2, 10**6], [0, -1, 10**6 + 1])]


@pytest.fixture(scope="module")
def running() -> Iterator[Daemon]:
    """A daemon that downloads slowly all the time."""
    with HubServer() as hub, new_folder() as folder, Daemon(Path(folder), hub.endpoint) as daemon:
        hub.add_repo(REPO, {FILE: seeded(64_000_000, seed=9), "priority": b"1" * 300_000, "position": b"2" * 300_000})
        hub.rate_bytes_per_s = 200_000
        hub.latency_s = 0.03
        daemon.ask(REPO, FILE)
        yield daemon


def patched(daemon: Daemon, body: dict[str, Any], status: int) -> Any:
    answer = daemon.call("PATCH", "/api/settings", body)
    assert answer.status == status, (body, answer)
    return answer.json


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_at_its_edges_and_between(running: Daemon, name: str) -> None:
    for value in SETTINGS[name]:
        assert patched(running, {name: value}, 200)[name] == value
        assert running.get("/api/settings").json[name] == value
    for value in BEYOND[name]:
        assert patched(running, {name: value}, 422)["field"] == name
    patched(running, {name: None}, 200)
    assert "Traceback" not in running.log


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_of_a_schedule(running: Daemon, rate: int) -> None:
    patched(running, {"schedule": [ALWAYS | {"bandwidthLimit": rate}]}, 200)
    patched(running, {"schedule": None}, 200)
    assert "Traceback" not in running.log


@pytest.mark.parametrize(("name", "within", "beyond"), REORDERS)
def test_every_place_in_the_queue(running: Daemon, name: str, within: list[int], beyond: list[int]) -> None:
    patched(running, {"maxActiveDownloads": 1}, 200)
    running.ask(REPO, name)  # is queued, because another one is running
    for value, status in [*((value, 200) for value in within), *((value, 422) for value in beyond)]:
        answer = running.call("PATCH", "/api/download", {"modelRepo": REPO, "filePath": name, name: value})
        assert answer.status == status, (name, value, answer)


@pytest.mark.parametrize(("limit", "status"), [(1, 200), (10_000, 200), (0, 422), (10_001, 422), (2**63, 422)])
def test_every_size_of_a_page(running: Daemon, limit: int, status: int) -> None:
    assert running.get("/api/progress", limit=limit).status == status


def test_limits_that_a_start_reads_are_within_the_kernels_range(running: Daemon) -> None:
    """The largest limits, together, are those of a new process too."""
    with HubServer() as hub, new_folder() as folder:
        hub.add_repo(REPO, {FILE: seeded(3_000_000, seed=9)})
        largest = {f"HFDMD_{name}": str(LARGEST) for name in ("BANDWIDTH_LIMIT", "MAX_QUEUE", "MAX_LISTENERS")}
        with Daemon(Path(folder), hub.endpoint, **largest) as daemon:
            daemon.wait(daemon.ask(REPO, FILE)["id"], "done")
            assert "Traceback" not in daemon.log
