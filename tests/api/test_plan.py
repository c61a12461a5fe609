"""`POST /api/plan`: what a download would do, without doing it (docs/api.md, section 4)."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hfdmd.api import planning
from hfdmd.cache.storage import Storage
from hfdmd.hub.client import Hub
from hfdmd.net.origin import RedirectPolicy
from hfdmd.net.retry_after import RetryAfter
from hfdmd.record import FileSpec, RepoSpec
from hfdmd.scheduler.core import Scheduler
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.xet_bases import XetBases
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.wire.types import RepoType
from tests.daemon_process import Daemon
from tests.fakehub import HubServer, seeded

REPO = "own/planned"
FILES = {
    "config.json": b"{}",
    "m-Q4_K_M-00001-of-00002.gguf": seeded(400_000, seed=1),
    "m-Q4_K_M-00002-of-00002.gguf": seeded(300_000, seed=2),
    "m-Q8_0.gguf": seeded(900_000, seed=3),
}
TOTAL = 2 + 400_000 + 300_000 + 900_000


@pytest.fixture
def daemon(shared: Daemon, shared_hub: HubServer) -> Daemon:
    shared_hub.add_repo(REPO, FILES)
    return shared


def plan(daemon: Daemon, **body: object) -> dict[str, object]:
    answer = daemon.post("/api/plan", modelRepo=REPO, **body)
    assert answer.status == 200, answer
    return dict(answer.json)


def test_a_repo(daemon: Daemon) -> None:
    found = plan(daemon)
    assert (found["filesTotal"], found["totalBytes"], found["cachedBytes"], found["fetchBytes"]) == (4, TOTAL, 0, TOTAL)
    assert found["fits"] is True
    assert found["files"] == [{"filePath": name, "size": len(data), "cached": False} for name, data in FILES.items()]
    assert daemon.get("/api/progress", modelRepo=REPO).json["repos"] == []


def test_a_part_of_it_and_one_file(daemon: Daemon) -> None:
    assert plan(daemon, include=["*.gguf"], exclude=["*Q8*"])["totalBytes"] == 700_000
    one = plan(daemon, filePath="config.json")
    assert (one["filesTotal"], one["totalBytes"]) == (1, 2)


def test_what_is_here_already(daemon: Daemon, tmp_path: Path) -> None:
    body = {"modelRepo": REPO, "include": ["*Q8*"], "localDir": str(tmp_path)}
    daemon.wait(daemon.post("/api/download", **body).json["id"], "done")
    found = plan(daemon, localDir=str(tmp_path))
    assert (found["cachedBytes"], found["fetchBytes"]) == (900_000, TOTAL - 900_000)
    assert [file["filePath"] for file in found["files"] if file["cached"]] == ["m-Q8_0.gguf"]  # type: ignore[attr-defined]


def test_what_does_not_fit(daemon: Daemon) -> None:
    free_bytes = plan(daemon)["freeBytes"]
    assert daemon.call("PATCH", "/api/settings", {"minFreeBytes": free_bytes}).status == 200
    try:
        assert plan(daemon)["fits"] is False
    finally:
        daemon.call("PATCH", "/api/settings", {"minFreeBytes": None})
    assert plan(daemon)["fits"] is True


async def test_no_id_is_computed_in_the_event_loop(
    daemon: Daemon, shared_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a repo of 100,000 files take 0.3 s, in which nothing else would run."""
    threads: set[int] = set()
    real = FileSpec.id.fget  # type: ignore[attr-defined]

    def watched(spec: FileSpec) -> str:
        threads.add(threading.get_ident())
        return str(real(spec))

    monkeypatch.setattr(FileSpec, "id", property(watched))
    endpoint = shared_hub.endpoint
    hub = Hub(endpoint, RetryAfter(), RedirectPolicy(endpoint), "test")
    scheduler = SimpleNamespace(
        storage=Storage(tmp_path),
        index=Index(),
        xet_bases=XetBases(Index(), Storage(tmp_path)),
        paths=SimpleNamespace(cache_dir=tmp_path),
        reservations=DiskReservations(lambda: 0),
    )
    repo = RepoSpec(repo_type=RepoType.MODEL, model_repo=REPO, revision="main")
    try:
        found = await planning.plan(cast(Scheduler, scheduler), hub, repo, None)
    finally:
        await hub.close()
    assert found.total_bytes == TOTAL
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"modelRepo": "own/none"}, 404, "repo_not_found"),
        ({"modelRepo": REPO, "revision": "none"}, 404, "revision_not_found"),
        ({"modelRepo": REPO, "filePath": "none"}, 404, "file_not_found"),
        ({"modelRepo": REPO, "include": ["*.none"]}, 404, "file_not_found"),
        ({"modelRepo": "a/../b"}, 422, "invalid_field"),
        ({"modelRepo": REPO, "localDir": "relative"}, 422, "invalid_field"),
        ({"modelRepo": REPO, "filePath": "a", "include": ["b"]}, 422, "invalid_field"),
    ],
)
def test_errors(daemon: Daemon, body: dict[str, object], status: int, code: str) -> None:
    answer = daemon.post("/api/plan", **body)
    assert (answer.status, answer.code) == (status, code)


def test_the_quantisations_of_the_whole_repo_are_on_the_first_page(daemon: Daemon) -> None:
    first = daemon.get("/api/files", modelRepo=REPO, limit=2).json
    assert first["quantisations"] == [
        {
            "name": "Q4_K_M",
            "files": ["m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"],
            "mmproj": None,
            "totalBytes": 700_000,
            "recommended": True,
        },
        {"name": "Q8_0", "files": ["m-Q8_0.gguf"], "mmproj": None, "totalBytes": 900_000, "recommended": False},
    ]
    rest = daemon.get("/api/files", modelRepo=REPO, cursor=first["nextCursor"]).json
    assert rest["quantisations"] == []
    assert len(first["files"]) + len(rest["files"]) == len(FILES)
