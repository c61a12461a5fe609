"""While no byte comes every view says why and shows no speed; with the first byte that is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.api.sse import Stream
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer, seeded
from tests.marks import slow

OUTAGE_REASONS = {"network", "hub_unavailable", "rate_limited", "stalled"}
SIZE_BYTES = 40_000_000


@dataclass
class Watch:
    """What each view shows, ten times a second: JSON, the stream of everything, and the speed of all."""

    daemon: Daemon
    seen: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    """Time, view (`json` or `sse`), and a download or a repo download."""
    speeds: list[tuple[float, int]] = field(default_factory=list)
    changes: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    _latest: dict[str, dict[str, Any]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._stream = Stream(self.daemon)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._poll)]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        for event in self._stream:
            if event.name in ("progress", "repo"):
                self._latest[event.data["id"]] = event.data
                self.changes.append((time.monotonic(), event.data))

    def _poll(self) -> None:
        while not self._over.wait(0.1):
            page = self.daemon.get("/api/progress").json
            now = time.monotonic()
            self.seen += [(now, "json", view) for view in (*page["downloads"], *page["repos"])]
            self.seen += [(now, "sse", view) for view in list(self._latest.values())]
            self.speeds.append((now, self.daemon.get("/api/info").json["bytesPerSecond"]))

    def close(self) -> None:
        self._over.set()
        self._stream.hang_up()
        for thread in self._threads:
            thread.join()
        self._stream.close()

    def between(self, start: float, end: float) -> list[tuple[str, dict[str, Any]]]:
        return [(f"{kind} at +{at - start:.1f} s", view) for at, kind, view in self.seen if start <= at <= end]


def received(daemon: Daemon) -> int:
    return sum(view["downloadedBytes"] for view in daemon.get("/api/progress").json["downloads"])


def play(hub: HubServer, daemon: Daemon, begin: Callable[[], None], end: Callable[[], None], outage_s: float) -> None:
    """Downloads of a file and a repo, an outage, and everything that holds in it."""
    files = {f"model-0000{number}.safetensors": seeded(SIZE_BYTES, seed=number) for number in range(3)}
    hub.add_repo("own/shards", files)
    hub.add_repo("own/one", {"model.safetensors": seeded(SIZE_BYTES, seed=9)})
    hub.rate_bytes_per_s = 8_000_000
    ids = [daemon.ask("own/shards")["id"], daemon.ask("own/one", "model.safetensors")["id"]]
    until(lambda: all(daemon.view(key)["bytesPerSecond"] for key in ids), "both have a speed")
    watch = Watch(daemon)
    try:
        time.sleep(1)
        begin()
        began = time.monotonic()
        time.sleep(outage_s)
        had = received(daemon)
        ended = time.monotonic()
        end()
        until(lambda: received(daemon) > had, "bytes come again", deadline_s=90)
        again = time.monotonic()
        until(lambda: all(daemon.view(key)["reason"] is None for key in ids), "both go on", deadline_s=90)
        time.sleep(3)
    finally:
        watch.close()
    in_outage = watch.between(began + 4, ended)
    assert {kind.split()[0] for kind, _ in in_outage} == {"json", "sse"}
    for at, view in in_outage:
        if view["status"] in ("queued", "downloading"):
            assert (view["bytesPerSecond"], view["etaSeconds"]) == (None, None), (at, view)
            assert view["reason"] in OUTAGE_REASONS, (at, view)
            assert "127.0.0.1" in view["detail"], (at, view)
    assert {speed for at, speed in watch.speeds if began + 4 <= at <= ended} == {0}
    for key in ids:
        statuses = [view["status"] for at, view in watch.changes if began <= at <= ended and view["id"] == key]
        assert [one for n, one in enumerate(statuses) if n == 0 or statuses[n - 1] != one] in (
            ["downloading"], ["downloading", "queued"],
        ), "one state, no flicker"  # fmt: skip
    went_on: dict[str, float] = {}
    for at, _, view in watch.seen:
        if at > again - 1 and view["downloadedBytes"] > max(
            (old["downloadedBytes"] for then, _, old in watch.seen if then < ended and old["id"] == view["id"]),
            default=0,
        ):
            went_on.setdefault(view["id"], at)
    assert set(ids) <= went_on.keys()
    for key, first in went_on.items():
        for at, view in watch.between(first + 2, time.monotonic()):
            if view["id"] == key and view["status"] in ("queued", "downloading"):
                assert view["reason"] is None, (at, view)


@pytest.mark.parametrize("kind", ["silent", slow("refused")])
def test_in_an_outage_every_view_says_why_and_shows_no_speed(hub: HubServer, daemon: Daemon, kind: str) -> None:
    begin, end = (hub.freeze, hub.thaw) if kind == "silent" else (hub.down, hub.up)
    play(hub, daemon, begin, end, 6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["silent", "refused"])
def test_an_outage_that_lasts_is_one_state(hub: HubServer, tmp_path: Path, kind: str) -> None:
    """Longer than `stall_timeout`: downloads are queued, and each try in vain shows nothing else."""
    begin, end = (hub.freeze, hub.thaw) if kind == "silent" else (hub.down, hub.up)
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_STALL_TIMEOUT="5") as daemon:
        play(hub, daemon, begin, end, 40)
