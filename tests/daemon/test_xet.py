"""Downloads over Xet by a real daemon, from a store that the official client reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon_process import Daemon, until
from tests.fakehub import Fault, HubServer
from tests.fakehub.content import content_of, seeded
from tests.fakehub.official import hf, official
from tests.fakehub.official_xet import xet_upload
from tests.marks import slow

REPO = "org/model"
BIG = "model.bin"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(xet=True) as server:
        yield server


def changed(data: bytes) -> bytes:
    """As a new revision: bytes inserted near the start, some changed near the end."""
    data = data[:1_000_000] + seeded(50_000, 77).read() + data[1_000_000:]
    return data[:-1_000_000] + seeded(30_000, 78).read() + data[-970_000:]


def uploaded(hub: HubServer, home: Path, data: bytes, number: int) -> str:
    """Upload by the official client, which cuts chunks by content, and commit; returns the commit."""
    path = home / f"version-{number}.bin"
    path.write_bytes(data)
    xet_upload(hub.endpoint, REPO, home / "uploader", [path])
    return hub.commit(REPO, {BIG: path, f"{number}.txt": b"x"}, xet=[BIG])


@pytest.mark.parametrize(
    "old_came", ["over xet", "over http", "by the official client", slow("alone by the official client")]
)
def test_a_new_revision_costs_what_differs(hub: HubServer, tmp_path: Path, old_came: str) -> None:
    hub.add_repo(REPO, {})
    old = seeded(8_000_000, 4).read()
    first = uploaded(hub, tmp_path, old, 1)
    with Daemon(tmp_path / "h", hub.endpoint) as daemon:
        if old_came == "by the official client":
            official(f"snapshot_download({REPO!r}, revision={first!r}); result = 1", hub.endpoint, daemon.home)
        elif old_came == "alone by the official client":
            official(f"hf_hub_download({REPO!r}, {BIG!r}, revision={first!r}); result = 1", hub.endpoint, daemon.home)
        else:
            daemon.call("PATCH", "/api/settings", {"transport": old_came[5:]})
            daemon.wait(daemon.download(REPO, BIG, revision=first).json["id"], "done")
            daemon.call("PATCH", "/api/settings", {"transport": None})
        new = changed(old)
        second = uploaded(hub, tmp_path, new, 2)
        before = hub.sent_bytes(BIG)
        plan = daemon.post("/api/plan", modelRepo=REPO, filePath=BIG, revision=second).json
        assert hub.sent_bytes(BIG) == before
        done = daemon.wait(daemon.download(REPO, BIG, revision=second).json["id"], "done")
        assert Path(done["path"]).read_bytes() == new
        assert done["transport"] == "xet"
        assert done["reusedBytes"] == plan["reusableBytes"] == len(new) - plan["fetchBytes"] > len(new) - 600_000
        assert hub.sent_bytes(BIG) - before < 600_000
        repo = daemon.wait(daemon.download(REPO, revision=second).json["id"], "done")
        assert (
            official(
                f"result = snapshot_download({REPO!r}, revision={second!r}, local_files_only=True)",
                hub.endpoint,
                daemon.home,
            )
            == repo["path"]
        )
        assert hf(hub.endpoint, daemon.home, "cache", "verify", REPO, "--revision", second).returncode == 0


def test_a_plan_counts_what_each_of_several_files_can_reuse(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, {})
    names = [f"{number}.bin" for number in range(4)]
    paths = [tmp_path / name for name in names]
    commits = []
    for version in range(2):
        for number, path in enumerate(paths):
            data = seeded(2_000_000, number).read()
            path.write_bytes(data if version == 0 else data[:-1_000] + bytes(1_000))
        xet_upload(hub.endpoint, REPO, tmp_path / "uploader", paths)
        commits.append(hub.commit(REPO, dict(zip(names, paths, strict=True)), xet=names))
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_TRANSPORT="xet") as daemon:
        daemon.wait(daemon.download(REPO, revision=commits[0]).json["id"], "done")
        parts = [daemon.post("/api/plan", modelRepo=REPO, filePath=name, revision=commits[1]).json for name in names]
        plan = daemon.post("/api/plan", modelRepo=REPO, revision=commits[1]).json
    assert all(part["reusableBytes"] for part in parts)
    assert plan["reusableBytes"] == sum(part["reusableBytes"] for part in parts)


def over_xet(home: Path, hub: HubServer, **env: str) -> Daemon:
    return Daemon(home / "h", hub.endpoint, HFDMD_TRANSPORT="xet", HFDMD_STALL_TIMEOUT="5", **env)


def test_a_repo_needs_one_token_and_no_question_per_file(hub: HubServer, tmp_path: Path) -> None:
    files = {f"part-{number}.bin": seeded(1_500_000, number) for number in range(4)}
    hub.add_repo(REPO, {**files, "config.json": b"{}"}, xet=list(files))
    with over_xet(tmp_path, hub) as daemon:
        done = daemon.wait(daemon.download(REPO).json["id"], "done")
        for name, content in files.items():
            assert Path(done["path"], name).read_bytes() == content_of(content).read()
        found = daemon.get("/api/progress", modelRepo=REPO).json["downloads"]
        assert {one["filePath"]: one["transport"] for one in found} == {
            **dict.fromkeys(files, "xet"),
            "config.json": "http",
        }
        assert (
            official(f"result = snapshot_download({REPO!r}, local_files_only=True)", hub.endpoint, daemon.home)
            == done["path"]
        )
        verified = hf(hub.endpoint, daemon.home, "cache", "verify", REPO)
        assert verified.returncode == 0, verified
    asked = [request.path for request in hub.requests("hub") if "part-" in request.path]
    assert asked == []
    assert len([request for request in hub.requests("hub") if "xet-read-token" in request.path]) == 1
    assert {request.authorization for request in hub.requests("xorbs")} == {False}


@pytest.mark.parametrize("down", ["cdn", slow("hub-resolve")])
def test_http_is_down_and_xet_is_not(hub: HubServer, tmp_path: Path, down: str) -> None:
    content = seeded(5_000_000, 1)
    hub.add_repo(REPO, {BIG: content}, xet=True)
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_STALL_TIMEOUT="5") as daemon:
        if down == "cdn":
            hub.down("cdn")
        else:
            hub.fault(REPO, BIG, Fault.status(500, times=None).at("resolve"))
        done = daemon.wait(daemon.download(REPO).json["id"], "done")
        assert Path(done["path"], BIG).read_bytes() == content_of(content).read()
        (one,) = daemon.get("/api/progress", modelRepo=REPO).json["downloads"]
        assert one["transport"] == "xet"
        assert "continuing over Xet" in daemon.log_file.read_text()
    assert hub.sent_bytes(BIG) < 5_200_000


@pytest.mark.slow
@pytest.mark.parametrize("down", ["cas", "xorbs"])
def test_xet_goes_away_in_the_middle_and_http_brings_the_rest(hub: HubServer, tmp_path: Path, down: str) -> None:
    content = seeded(20_000_000, 2)
    hub.add_repo(REPO, {BIG: content}, xet=True)
    hub.per_connection_bytes_per_s = 2_000_000
    hub.fault(REPO, BIG, Fault.status(500, times=3).at("resolve"))
    with Daemon(tmp_path / "h", hub.endpoint, HFDMD_STALL_TIMEOUT="5", HFDMD_MAX_CONNECTIONS_PER_FILE="4") as daemon:
        hub.down("cdn")
        key = daemon.download(REPO, BIG).json["id"]
        until(lambda: daemon.view(key)["downloadedBytes"] > 4_000_000)
        assert daemon.view(key)["transport"] == "xet"
        assert "HTTP failed" in daemon.view(key)["detail"]
        hub.up()
        hub.down(down)
        done = daemon.wait(key, "done")
        assert done["transport"] == "http"
        assert Path(done["path"]).read_bytes() == content_of(content).read()
    assert hub.sent_bytes(BIG) < 21_000_000


@pytest.mark.slow
def test_a_pause_lets_no_byte_through_and_a_kill_costs_little(hub: HubServer, tmp_path: Path) -> None:
    content = seeded(30_000_000, 3)
    hub.add_repo(REPO, {BIG: content}, xet=True)
    hub.per_connection_bytes_per_s = 2_500_000
    with over_xet(tmp_path, hub, HFDMD_MAX_CONNECTIONS_PER_FILE="4") as daemon:
        key = daemon.download(REPO, BIG).json["id"]
        until(lambda: daemon.view(key)["downloadedBytes"] > 4_000_000)
        daemon.post("/api/pause", id=key)
        (part,) = daemon.parts()
        before = part.stat().st_mtime_ns, daemon.view(key)["downloadedBytes"]
        assert until(lambda: not [one for one in hub.requests("xorbs") if one.open])
        assert (part.stat().st_mtime_ns, daemon.view(key)["downloadedBytes"]) == before
        daemon.post("/api/resume", id=key)
        for at in (10_000_000, 17_000_000):
            until(lambda at=at: daemon.view(key)["downloadedBytes"] > at)  # type: ignore[misc]
            daemon.kill_and_start()
        done = daemon.wait(key, "done")
        assert Path(done["path"]).read_bytes() == content_of(content).read()
    assert hub.sent_bytes(BIG) < 30_000_000 + 3 * 2_500_000


@pytest.mark.slow
def test_the_limit_counts_what_comes_over_the_line(hub: HubServer, tmp_path: Path) -> None:
    content = b"the same words again and again, " * 400_000
    hub.add_repo(REPO, {BIG: content}, xet=True)
    with over_xet(tmp_path, hub, HFDMD_BANDWIDTH_LIMIT="20000") as daemon:
        done = daemon.wait(daemon.download(REPO, BIG).json["id"], "done")
        assert Path(done["path"]).read_bytes() == content
    assert hub.sent_bytes(BIG) < len(content) / 20
