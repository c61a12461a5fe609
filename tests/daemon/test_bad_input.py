"""Bad input: a clear error that names the cause, the right status and exit code, and no incomplete files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.repo import BIG, REPO
from tests.daemon_process import Daemon, UnixConnection, new_folder, until
from tests.fakehub import Fault, HubServer, seeded


@pytest.fixture(scope="module")
def shared() -> Iterator[Daemon]:
    """A daemon for tests whose requests are all refused."""
    with HubServer() as hub, new_folder() as folder, Daemon(Path(folder), hub.endpoint) as daemon:
        yield daemon


@pytest.mark.parametrize(
    ("request_", "reason", "named"),
    [
        ({"modelRepo": "org/nowhere", "filePath": "x.bin"}, "repo_not_found", "org/nowhere"),
        ({"modelRepo": REPO, "filePath": "x.bin", "revision": "v9"}, "revision_not_found", "v9"),
        ({"modelRepo": REPO, "filePath": "missing.bin"}, "file_not_found", "missing.bin"),
        ({"modelRepo": "org/gated", "filePath": "a.txt"}, "gated", "org/gated"),
        ({"modelRepo": "org/nowhere"}, "repo_not_found", "org/nowhere"),
        ({"modelRepo": REPO, "include": ["*.nothing"]}, "file_not_found", "*.nothing"),
        ({"modelRepo": "org/gated"}, "gated", "org/gated"),
    ],
)
def test_what_the_hub_refuses(
    hub: HubServer, daemon: Daemon, request_: dict[str, object], reason: str, named: str
) -> None:
    hub.add_repo(REPO, {"config.json": b"{}"})
    hub.add_repo("org/gated", {"a.txt": b"secret"}, gated=True)
    asked = daemon.post("/api/download", **request_)
    assert asked.status == 202
    failed = daemon.wait(asked.json["id"], "failed")
    assert failed["reason"] == reason
    assert failed["error"] == failed["detail"]
    assert named in failed["error"]
    again = daemon.post("/api/download", **request_)
    assert (again.status, again.json["status"]) == (200, "failed")
    assert daemon.parts() == []
    assert not list(daemon.cache.glob("*/snapshots/*/*"))
    retried = daemon.post("/api/download", **request_, retry=True)
    assert retried.status == 202
    daemon.wait(asked.json["id"], "failed")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"modelRepo": REPO, "filePath": "../etc/passwd"}, "filePath"),
        ({"modelRepo": REPO, "filePath": "a/../b"}, "filePath"),
        ({"modelRepo": REPO, "filePath": "/etc/passwd"}, "filePath"),
        ({"modelRepo": REPO, "filePath": "C:\\x"}, "filePath"),
        ({"modelRepo": REPO, "filePath": "C:x"}, "filePath"),
        ({"modelRepo": REPO, "filePath": "a\\b"}, "filePath"),
        ({"modelRepo": REPO, "filePath": "a\0b"}, "filePath"),
        ({"modelRepo": REPO, "filePath": "a\nb"}, "filePath"),
        ({"modelRepo": REPO, "filePath": ""}, "filePath"),
        ({"modelRepo": REPO, "filePath": None}, "filePath"),
        ({"modelRepo": REPO, "filePath": "x" * 300}, "filePath"),
        ({"modelRepo": "../x", "filePath": "a"}, "modelRepo"),
        ({"modelRepo": "a/b/c", "filePath": "a"}, "modelRepo"),
        ({"modelRepo": "", "filePath": "a"}, "modelRepo"),
        ({"modelRepo": 7, "filePath": "a"}, "modelRepo"),
        ({"filePath": "a"}, "modelRepo"),
        ({"modelRepo": REPO, "filePath": "a", "revision": "a..b"}, "revision"),
        ({"modelRepo": REPO, "filePath": "a", "revision": ""}, "revision"),
        ({"modelRepo": REPO, "filePath": "a", "repoType": "modell"}, "repoType"),
        ({"modelRepo": REPO, "filePath": "a", "localDir": "rel/ative"}, "localDir"),
        ({"modelRepo": REPO, "filePath": "a", "localDir": "/a/../b"}, "localDir"),
        ({"modelRepo": REPO, "filePath": "a", "priority": 101}, "priority"),
        ({"modelRepo": REPO, "filePath": "a", "priority": 1.5}, "priority"),
        ({"modelRepo": REPO, "filePath": "a", "surprise": 1}, "surprise"),
        ({"modelRepo": REPO, "filePath": "a", "include": ["*"]}, "include"),
    ],
)
def test_what_the_daemon_refuses(shared: Daemon, body: dict[str, object], field: str) -> None:
    answer = shared.post("/api/download", **body)
    assert answer.status == 422, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert (problem["code"], problem["field"], problem["status"]) == ("invalid_field", field, 422)
    assert field in problem["detail"]
    assert shared.trackers() == []


def test_a_body_that_is_not_json(shared: Daemon) -> None:
    for raw in (b"{", b"nonsense", b'{"a": NaN}', b"\xff"):
        connection_answer = daemon_raw(shared, raw)
        assert connection_answer[0] == 400
        assert json.loads(connection_answer[1])["code"] == "malformed"


def daemon_raw(daemon: Daemon, body: bytes) -> tuple[int, bytes]:
    connection = UnixConnection(daemon.socket)
    connection.request("POST", "/api/download", body=body, headers={"Content-Type": "application/json"})
    response = connection.getresponse()
    try:
        return response.status, response.read()
    finally:
        connection.close()


def test_a_second_daemon(hub: HubServer, daemon: Daemon, tmp_path: Path) -> None:
    assert daemon.process is not None
    second = daemon.run_to_end()
    assert second.returncode == 75
    assert str(daemon.process.pid) in second.stderr
    same_cache = Daemon(tmp_path / "other", hub.endpoint, HF_HUB_CACHE=str(daemon.cache))
    assert same_cache.run_to_end().returncode == 75
    assert daemon.get("/api/health").status == 200


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"HFDMD_SOCKET": "/tmp/" + "x" * 120}, "107"),
        ({"HFDMD_MAX_CONNECTIONS": "none"}, "HFDMD_MAX_CONNECTIONS"),
        ({"HFDMD_MAX_CONNECTIONS": "0"}, "HFDMD_MAX_CONNECTIONS"),
        ({"HFDMD_LISTEN": "0.0.0.0:0"}, "allow_insecure_listen"),
        ({"HFDMD_LISTEN": "nonsense"}, "listen"),
        ({"HF_ENDPOINT": "ftp://x"}, "HF_ENDPOINT"),
        ({"HFDMD_CONFIG": "/nowhere/config.toml"}, "HFDMD_CONFIG"),
        ({"HFDMD_STATE_DIR": "/proc/hfdmd"}, "/proc/hfdmd"),
        ({"HF_HUB_CACHE": "/proc/cache"}, "/proc/cache"),
    ],
)
def test_a_configuration_that_cannot_work(hub: HubServer, tmp_path: Path, env: dict[str, str], named: str) -> None:
    daemon = Daemon(tmp_path / "h", hub.endpoint)
    daemon.env.update(env)
    ended = daemon.run_to_end()
    assert ended.returncode == 78, ended.stderr
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_cache(hub: HubServer, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    ended = Daemon(tmp_path / "h", hub.endpoint, HF_HUB_CACHE=str(locked / "hub")).run_to_end()
    assert ended.returncode == 78
    assert str(locked) in ended.stderr


def test_usage_is_exit_2(hub: HubServer, tmp_path: Path) -> None:
    assert Daemon(tmp_path, hub.endpoint).run_to_end("--surprise").returncode == 2


def test_a_damaged_tracker_is_set_aside_and_the_rest_loads(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {"a.json": b"{}", "b.json": b"{}"})
    keys = [daemon.download(REPO, name).json["id"] for name in ("a.json", "b.json")]
    for key in keys:
        daemon.wait(key, "done")
    daemon.stop()
    (victim,) = daemon.state.glob(f"trackers/*/*{keys[0]}.json")
    victim.write_bytes(victim.read_bytes()[:50])
    daemon.start()
    assert daemon.get("/api/progress", id=keys[0]).status == 404
    assert daemon.view(keys[1])["status"] == "done"
    assert victim.with_name(victim.name + ".corrupt").exists()
    assert str(victim) in daemon.log


def test_a_corrupted_file_is_fetched_again_and_then_refused(hub: HubServer, daemon: Daemon) -> None:
    hub.add_repo(REPO, {BIG: seeded(2_000_000, seed=1)})
    hub.fault(REPO, BIG, Fault.corrupt(times=None))
    key = daemon.download(REPO, BIG).json["id"]
    failed = daemon.wait(key, "failed")
    assert failed["reason"] == "hash_mismatch"
    until(lambda: daemon.parts() == [], "the bad data is gone")
    assert not list(daemon.cache.glob("*/snapshots/*/*"))
    hub.clear_faults()
    assert daemon.post("/api/retry", id=key).status == 200
    daemon.wait(key, "done")
