"""Every call of the route table and every code that it may answer with (docs/api.md, section 4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import Daemon
from tests.fakehub import Fault, HubServer

SHARED_FIELDS = ["status", "phase", "progress", "reason", "detail", "error"]
DOWNLOAD_FIELDS = [
    *("id", "modelRepo", "filePath", "revision", "repoType", "localDir", "repoIds", *SHARED_FIELDS),
    *(
        "totalBytes",
        "downloadedBytes",
        "reusedBytes",
        "bytesPerSecond",
        "etaSeconds",
        "priority",
        "queuePosition",
        "attempt",
    ),
    *("retryAt", "commit", "digest", "path", "transport", "createdAt", "updatedAt", "version"),
]
REPO_FIELDS = [
    *("id", "modelRepo", "revision", "repoType", "localDir", "include", "exclude", *SHARED_FIELDS),
    *(
        "filesTotal",
        "filesDone",
        "filesFailed",
        "totalBytes",
        "downloadedBytes",
        "reusedBytes",
        "bytesPerSecond",
        "etaSeconds",
        "priority",
        "queuePosition",
    ),
    *("commit", "path", "createdAt", "updatedAt", "version"),
]
INFO_FIELDS = [
    *("version", "apiVersion", "pid", "hubEndpoint", "cacheDir", "stateDir", "socket", "url"),
    *("hasHubToken", "freeBytes", "counts", "bytesPerSecond", "loading"),
]

GOOD = {"modelRepo": "own/small", "filePath": "config.json"}

REFUSED: list[tuple[str, str, str, Any, int, str, str | None]] = [
    # name, method, target, body, status, code, field
    ("no JSON", "POST", "/api/download", b"{", 400, "malformed", None),
    ("nothing", "POST", "/api/download", b"", 400, "malformed", None),
    ("NaN", "POST", "/api/download", b'{"modelRepo":"a/b","priority":NaN}', 400, "malformed", None),
    ("infinity", "POST", "/api/download", b'{"modelRepo":"a/b","priority":-Infinity}', 400, "malformed", None),
    ("a key twice", "POST", "/api/download", b'{"modelRepo":"a/b","modelRepo":"c/d"}', 400, "malformed", None),
    ("not UTF-8", "POST", "/api/download", b'{"modelRepo":"\xff"}', 400, "malformed", None),
    ("UTF-16", "POST", "/api/download", '{"modelRepo":"a/b"}'.encode("utf-16"), 400, "malformed", None),
    ("a byte order mark", "POST", "/api/pause", b'\xef\xbb\xbf{"all":true}', 400, "malformed", None),
    ("two values", "POST", "/api/pause", b'{"all":true}{"all":true}', 400, "malformed", None),
    ("deep", "POST", "/api/pause", b'{"id":' + b"[" * 200_000, 400, "malformed", None),
    ("a very long number", "POST", "/api/pause", b'{"id":' + b"1" * 10_000 + b"}", 400, "malformed", None),
    ("an array", "POST", "/api/pause", b"[]", 422, "invalid_field", "body"),
    ("a string", "POST", "/api/pause", b'"all"', 422, "invalid_field", "body"),
    ("null", "POST", "/api/pause", b"null", 422, "invalid_field", "body"),
    ("no modelRepo", "POST", "/api/download", {"filePath": "a"}, 422, "invalid_field", "modelRepo"),
    ("an unknown field", "POST", "/api/download", {**GOOD, "hook": "rm -rf /"}, 422, "invalid_field", "hook"),
    ("null filePath", "POST", "/api/download", {**GOOD, "filePath": None}, 422, "invalid_field", "filePath"),
    ("empty filePath", "POST", "/api/download", {**GOOD, "filePath": ""}, 422, "invalid_field", "filePath"),
    ("two spellings", "POST", "/api/download", {**GOOD, "FilePath": "b"}, 422, "invalid_field", "filePath"),
    ("a number as name", "POST", "/api/download", {"modelRepo": 1}, 422, "invalid_field", "modelRepo"),
    ("repoType", "POST", "/api/download", {**GOOD, "repoType": "models"}, 422, "invalid_field", "repoType"),
    ("revision", "POST", "/api/download", {**GOOD, "revision": "a..b"}, 422, "invalid_field", "revision"),
    ("null revision", "POST", "/api/download", {**GOOD, "revision": None}, 422, "invalid_field", "revision"),
    ("relative localDir", "POST", "/api/download", {**GOOD, "localDir": "a"}, 422, "invalid_field", "localDir"),
    ("odd localDir", "POST", "/api/download", {**GOOD, "localDir": "/a/../b"}, 422, "invalid_field", "localDir"),
    ("include with a file", "POST", "/api/download", {**GOOD, "include": ["*"]}, 422, "invalid_field", "include"),
    ("exclude with a file", "POST", "/api/download", {**GOOD, "exclude": []}, 422, "invalid_field", "exclude"),
    ("an empty glob", "POST", "/api/download", {"modelRepo": "a/b", "include": [""]}, 422, "invalid_field", None),
    ("priority 101", "POST", "/api/download", {**GOOD, "priority": 101}, 422, "invalid_field", "priority"),
    ("priority -101", "POST", "/api/download", {**GOOD, "priority": -101}, 422, "invalid_field", "priority"),
    ("priority 2^64", "POST", "/api/download", {**GOOD, "priority": 2**64}, 422, "invalid_field", "priority"),
    ("priority 1.5", "POST", "/api/download", {**GOOD, "priority": 1.5}, 422, "invalid_field", "priority"),
    ("priority true", "POST", "/api/download", {**GOOD, "priority": True}, 422, "invalid_field", "priority"),
    ("retry 1", "POST", "/api/download", {**GOOD, "retry": 1}, 422, "invalid_field", "retry"),
    ("no selector", "POST", "/api/pause", {}, 422, "invalid_field", "id"),
    ("all: false", "POST", "/api/pause", {"all": False}, 422, "invalid_field", "all"),
    ("all and id", "POST", "/api/cancel", {"all": True, "id": "x"}, 422, "invalid_field", "all"),
    ("id and repo", "POST", "/api/retry", {"id": "x", "modelRepo": "a/b"}, 422, "invalid_field", "id"),
    ("file without repo", "POST", "/api/resume", {"filePath": "a"}, 422, "invalid_field", "filePath"),
    ("all with file", "POST", "/api/pause", {"all": True, "filePath": "a"}, 422, "invalid_field", "filePath"),
    ("inCache: false", "POST", "/api/pause", {"modelRepo": "a/b", "inCache": False}, 422, "invalid_field", "inCache"),
    ("inCache alone", "POST", "/api/pause", {"all": True, "inCache": True}, 422, "invalid_field", "inCache"),
    ("null inCache", "POST", "/api/pause", {"modelRepo": "a/b", "inCache": None}, 422, "invalid_field", "inCache"),
    ("localDir of nothing", "POST", "/api/pause", {"id": "x", "localDir": "/a"}, 422, "invalid_field", "localDir"),
    (
        "in the cache and in a folder",
        "GET",
        "/api/progress?modelRepo=a/b&inCache=true&localDir=/a",
        None,
        422,
        "invalid_field",
        "inCache",
    ),
    ("empty id", "POST", "/api/pause", {"id": ""}, 422, "invalid_field", "id"),
    ("unknown status", "POST", "/api/pause", {"all": True, "status": "ongoing"}, 422, "invalid_field", "status"),
    ("tracker's word", "POST", "/api/pause", {"all": True, "status": "in-progress"}, 422, "invalid_field", "status"),
    ("unknown id", "POST", "/api/pause", {"id": "0" * 32}, 404, "unknown_download", None),
    ("unknown repo", "POST", "/api/resume", {"modelRepo": "no/body"}, 404, "unknown_download", None),
    ("unknown file", "POST", "/api/cancel", {"modelRepo": "a/b", "filePath": "c"}, 404, "unknown_download", None),
    ("retry unknown", "POST", "/api/retry", {"id": "x"}, 404, "unknown_download", None),
    ("reorder nothing", "PATCH", "/api/download", {"id": "x"}, 422, "invalid_field", "priority"),
    ("reorder both", "PATCH", "/api/download", {"id": "x", "priority": 1, "position": 1}, 422, "invalid_field", None),
    ("position 0", "PATCH", "/api/download", {"id": "x", "position": 0}, 422, "invalid_field", "position"),
    ("reorder unknown", "PATCH", "/api/download", {"id": "x", "priority": 1}, 404, "unknown_download", None),
    ("delete unknown", "DELETE", "/api/download?id=x", None, 404, "unknown_download", None),
    ("delete nothing", "DELETE", "/api/download", None, 422, "invalid_field", "id"),
    ("delete twice said", "DELETE", "/api/download?id=x", {"id": "x"}, 422, "invalid_field", "body"),
    ("deleteFile=1", "DELETE", "/api/download?id=x&deleteFile=1", None, 422, "invalid_field", "deleteFile"),
    ("progress of unknown id", "GET", "/api/progress?id=x", None, 404, "unknown_download", None),
    ("unknown file's", "GET", "/api/progress?modelRepo=a/b&filePath=c", None, 404, "unknown_download", None),
    ("empty filePath=", "GET", "/api/progress?modelRepo=a/b&filePath=", None, 422, "invalid_field", "filePath"),
    ("limit 0", "GET", "/api/progress?limit=0", None, 422, "invalid_field", "limit"),
    ("limit 10001", "GET", "/api/progress?limit=10001", None, 422, "invalid_field", "limit"),
    ("limit 1e3", "GET", "/api/progress?limit=1e3", None, 422, "invalid_field", "limit"),
    ("limit 2^63", "GET", "/api/progress?limit=9223372036854775808", None, 422, "invalid_field", "limit"),
    ("cursor", "GET", "/api/progress?cursor=!", None, 422, "invalid_field", "cursor"),
    ("cursor of no key", "GET", "/api/progress?cursor=YWJj", None, 422, "invalid_field", "cursor"),
    ("unknown parameter", "GET", "/api/progress?repo=a/b", None, 422, "invalid_field", "repo"),
    ("parameter twice", "GET", "/api/progress?limit=1&limit=2", None, 422, "invalid_field", "limit"),
    ("both spellings", "GET", "/api/progress?modelRepo=a/b&ModelRepo=a/b", None, 422, "invalid_field", "modelRepo"),
    ("status", "GET", "/api/progress?status=Done", None, 422, "invalid_field", "status"),
    ("half an escape", "GET", "/api/progress?id=%f", None, 400, "malformed", None),
    ("no escape", "GET", "/api/progress?id=%zz", None, 400, "malformed", None),
    ("no UTF-8", "GET", "/api/progress?id=%ff", None, 400, "malformed", None),
    ("half a surrogate", "GET", "/api/progress?id=%ed%a0%80", None, 400, "malformed", None),
    ("files of nothing", "GET", "/api/files", None, 422, "invalid_field", "modelRepo"),
    ("files' cursor", "GET", "/api/files?modelRepo=own/small&cursor=x.1", None, 422, "invalid_field", "cursor"),
    ("files of no repo", "GET", "/api/files?modelRepo=own/nothing", None, 404, "repo_not_found", None),
    ("files of no rev", "GET", "/api/files?modelRepo=own/small&revision=x", None, 404, "revision_not_found", None),
    ("unknown setting", "PATCH", "/api/settings", {"listen": "0.0.0.0:1"}, 422, "invalid_field", "listen"),
    ("setting's type", "PATCH", "/api/settings", {"maxConnections": "8"}, 422, "invalid_field", "maxConnections"),
    ("setting's range", "PATCH", "/api/settings", {"maxConnections": 0}, 422, "invalid_field", "maxConnections"),
    ("limit below 0", "PATCH", "/api/settings", {"bandwidthLimit": -1}, 422, "invalid_field", "bandwidthLimit"),
    ("limit 2^53", "PATCH", "/api/settings", {"bandwidthLimit": 2**53}, 422, "invalid_field", "bandwidthLimit"),
    ("infinite", "PATCH", "/api/settings", b'{"stallTimeout":1e999}', 422, "invalid_field", "stallTimeout"),
    ("health's query", "GET", "/api/health?x=1", None, 422, "invalid_field", "x"),
    ("unknown path", "GET", "/api/nothing", None, 404, "not_found", None),
    ("root", "GET", "/", None, 404, "not_found", None),
    ("a file of the disk", "GET", "/../../etc/passwd", None, 404, "not_found", None),
]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "code", "field"),
    [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED],
)
def test_what_is_refused_is_refused_with_its_code(
    shared: Daemon, method: str, target: str, body: Any, status: int, code: str, field: str | None
) -> None:
    answer = shared.call(method, target, body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (status, code), answer
    if field is not None:
        assert answer.json["field"] == field, answer


@pytest.mark.parametrize(
    ("method", "target", "body", "told"),
    [
        ("POST", "/api/download", {**GOOD, "repoType": "models"}, "model, dataset, space"),
        ("GET", "/api/files?modelRepo=a/b&repoType=x", None, "model, dataset, space"),
        ("GET", "/api/progress?status=in-progress", None, "queued, downloading, paused"),
        ("POST", "/api/pause", {"all": True, "status": "x" * 5000}, "queued, downloading, paused"),
        ("POST", "/api/download", {"repo": "a/b"}, "modelRepo, filePath, revision"),
        ("PATCH", "/api/settings", {"max_connections": 1}, "maxActiveDownloads, maxConnections"),
        (
            "PATCH",
            "/api/settings",
            {"schedule": [{"days": ["monday"], "from": "22:00", "to": "07:00", "bandwidthLimit": 0}]},
            "mon, tue, wed",
        ),
    ],
)
def test_a_word_that_there_is_not_is_answered_with_those_that_there_are(
    shared: Daemon, method: str, target: str, body: Any, told: str
) -> None:
    answer = shared.call(method, target, body)
    assert (answer.status, answer.code) == (422, "invalid_field")
    assert told in answer.json["detail"]
    assert len(answer.json["detail"]) < 300


def test_lone_surrogates_are_refused_wherever_they_stand(shared: Daemon) -> None:
    for name in ("modelRepo", "filePath", "revision", "localDir", "\\ud800"):
        body = b'{"modelRepo":"own/small","%s":"/\\ud800"}' % name.encode()
        if name == "modelRepo":
            body = b'{"modelRepo":"\\ud800"}'
        answer = shared.call("POST", "/api/download", body, headers={"Content-Type": "application/json"})
        assert (answer.status, answer.code) == (422, "invalid_field"), name
    answer = shared.call("POST", "/api/pause", b'{"id":"\\udfff"}', headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (404, "unknown_download")


WRONG_METHODS = [
    ("/api/download", "GET", {"DELETE", "PATCH", "POST"}),
    ("/api/download", "PUT", {"DELETE", "PATCH", "POST"}),
    ("/api/progress", "POST", {"GET"}),
    ("/api/progress", "HEAD", {"GET"}),
    ("/api/pause", "GET", {"POST"}),
    ("/api/resume", "DELETE", {"POST"}),
    ("/api/cancel", "PATCH", {"POST"}),
    ("/api/retry", "OPTIONS", {"POST"}),
    ("/api/files", "POST", {"GET"}),
    ("/api/settings", "DELETE", {"GET", "PATCH"}),
    ("/api/info", "TRACE", {"GET"}),
    ("/api/health", "HEAD", {"GET"}),
    ("/metrics", "POST", {"GET"}),
    ("/api/openapi.json", "SEARCH", {"GET"}),
]


@pytest.mark.parametrize(("path", "method", "allowed"), WRONG_METHODS)
def test_a_wrong_method_is_405_and_told_the_right_ones(
    shared: Daemon, path: str, method: str, allowed: set[str]
) -> None:
    answer = shared.call(method, path)
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    if method != "HEAD":
        assert answer.code == "method_not_allowed"


@pytest.mark.parametrize(
    "content_type",
    [
        *(None, "", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"),
        *("application/json; charset=utf-16", "application/jsonx", "application/problem+json"),
    ],
)
def test_only_json_is_taken_for_json(shared: Daemon, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    for method, path in (("POST", "/api/pause"), ("POST", "/api/download"), ("PATCH", "/api/settings")):
        answer = shared.call(method, path, b'{"all":true}', headers=headers)
        assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_compressed_bodies_are_not_taken(shared: Daemon) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = shared.call("POST", "/api/pause", b"\x1f\x8b", headers=headers)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_a_body_above_1_mib_is_too_large(shared: Daemon) -> None:
    body = b'{"id":"' + b"x" * (1 << 20) + b'"}'
    answer = shared.call("POST", "/api/pause", body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (413, "too_large")


def test_a_file_is_asked_for_and_seen_under_all_its_names(daemon: Daemon, hub: HubServer) -> None:
    answer = daemon.post("/api/download", {"ModelRepo": "own/small", "FilePath": "config.json"})
    assert answer.status == 202
    assert list(answer.json) == DOWNLOAD_FIELDS
    key = answer.json["id"]
    done = daemon.wait(key, "done")
    assert list(done) == DOWNLOAD_FIELDS
    assert (done["progress"], done["totalBytes"], done["downloadedBytes"], done["error"]) == (100.0, 2, 2, None)
    assert Path(done["path"]).read_bytes() == b"{}"
    assert daemon.post("/api/download", GOOD).status == 200, "already completed"
    for query in ({"id": key}, {"modelRepo": "own/small", "filePath": "config.json"}):
        assert daemon.get("/api/progress", **query).json == done
    aliased = daemon.get("/api/progress", ModelRepo="own/small", FilePath="config.json")
    assert aliased.json == done
    for query in ({"modelRepo": "own/small"}, {}, {"all": "true"}, {"status": "done"}):
        assert daemon.get("/api/progress", **query).json == {"downloads": [done], "repos": [], "nextCursor": None}
    nothing = {"downloads": [], "repos": [], "nextCursor": None}
    for query in ({"modelRepo": "no/body"}, {"status": "failed"}, {"modelRepo": "own/small", "revision": "x"}):
        assert daemon.get("/api/progress", **query).json == nothing


def test_a_file_gone_from_disk_is_queued_again(daemon: Daemon) -> None:
    done = daemon.wait(daemon.ask("own/small", "config.json")["id"], "done")
    Path(done["path"]).resolve().unlink()
    answer = daemon.post("/api/download", GOOD)
    assert answer.status == 202
    assert daemon.wait(done["id"], "done")["version"] > done["version"]


def test_a_repo_and_its_files(daemon: Daemon) -> None:
    answer = daemon.post("/api/download", {"modelRepo": "own/small", "include": ["*.txt", "sub/*"]})
    assert answer.status == 202
    assert list(answer.json) == REPO_FIELDS
    done = daemon.wait(answer.json["id"], "done")
    assert (done["filesTotal"], done["filesDone"], done["progress"]) == (2, 2, 100.0)
    again = daemon.post("/api/download", {"modelRepo": "own/small", "include": ["sub/*", "*.txt", "*.txt"]})
    assert again.status == 200, "globs are a set"
    assert again.json == done
    listed = daemon.get("/api/progress", modelRepo="own/small").json
    assert [entry["filePath"] for entry in listed["downloads"]] == ["b.txt", "sub/a.bin"]
    assert all(entry["repoIds"] == [done["id"]] for entry in listed["downloads"])


def test_unknown_things_are_202_now_and_failed_soon(daemon: Daemon) -> None:
    for repo, file, reason in (
        ("no/body", "x", "repo_not_found"),
        ("own/small", "x", "file_not_found"),
        ("no/body", None, "repo_not_found"),
    ):
        view = daemon.ask(repo, file)
        failed = daemon.wait(view["id"], "failed")
        assert failed["reason"] == reason
        assert failed["error"] == failed["detail"] != ""
        body = {"modelRepo": repo, **({} if file is None else {"filePath": file})}
        again = daemon.post("/api/download", body)
        assert (again.status, again.json["status"]) == (200, "failed")
        assert daemon.post("/api/download", {**body, "retry": True}).status == 202


def test_pages_meet_without_gap_or_overlap(daemon: Daemon) -> None:
    asked = [daemon.ask("own/none", f"f{number}")["id"] for number in range(25)]
    asked.append(daemon.ask("own/small")["id"])
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 4}
    while True:
        page = daemon.get("/api/progress", **query).json
        views = page["downloads"] + page["repos"]
        assert len(views) <= 4
        seen += [view["id"] for view in views]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert len(seen) == len(set(seen))
    assert [key for key in seen if key in asked] == asked, "in the order in which they were asked for"


def test_the_default_one_is_meant_when_several_match(daemon: Daemon, hub: HubServer) -> None:
    hub.ref("own/small", "dev", hub.repo("own/small").refs["refs/heads/main"])
    dev = daemon.ask("own/small", "config.json", revision="dev")
    older = daemon.ask("own/small", "config.json", revision="v0")
    named = {"modelRepo": "own/small", "filePath": "config.json"}
    assert daemon.get("/api/progress", **named).json["id"] == older["id"], "the newest"
    default = daemon.ask("own/small", "config.json")
    daemon.ask("own/small", "config.json", revision="v1")
    assert daemon.get("/api/progress", **named).json["id"] == default["id"], "the one with the defaults"
    assert daemon.get("/api/progress", revision="dev", **named).json["id"] == dev["id"]


def test_files_of_a_repo(daemon: Daemon, hub: HubServer) -> None:
    done = daemon.wait(daemon.ask("own/small", "config.json")["id"], "done")
    answer = daemon.get("/api/files", modelRepo="own/small").json
    by_path = {entry["filePath"]: entry for entry in answer["files"]}
    assert set(by_path) == {"config.json", "sub/a.bin", "b.txt"}
    expected = {"filePath": "config.json", "size": 2, "status": "done", "id": done["id"], "cached": True}
    assert by_path["config.json"] == expected
    assert by_path["b.txt"] == {"filePath": "b.txt", "size": 5, "status": None, "id": None, "cached": False}
    assert answer["commit"] == done["commit"]
    first = daemon.get("/api/files", modelRepo="own/small", limit=2).json
    rest = daemon.get("/api/files", modelRepo="own/small", limit=2, cursor=first["nextCursor"]).json
    assert first["files"] + rest["files"] == answer["files"]
    assert rest["nextCursor"] is None


def test_the_hubs_refusals_of_a_listing(daemon: Daemon, hub: HubServer) -> None:
    hub.fault("own/big", "@revision", Fault.gated())
    answer = daemon.get("/api/files", modelRepo="own/big")
    assert (answer.status, answer.code) == (403, "gated")
    hub.down()
    answer = daemon.get("/api/files", modelRepo="own/small")
    assert (answer.status, answer.code) == (502, "hub_unavailable")
    hub.up()


def test_settings_change_at_once_survive_and_are_given_back(daemon: Daemon) -> None:
    before = daemon.get("/api/settings").json
    assert before["maxActiveDownloads"] == 4
    rule = {"days": ["mon"], "from": "22:00", "to": "07:00", "bandwidthLimit": 1000}
    patch = {"maxActiveDownloads": 2, "bandwidthLimit": 5_000_000, "schedule": [rule]}
    after = daemon.call("PATCH", "/api/settings", patch)
    assert (after.status, after.json) == (200, before | patch)
    refused = daemon.call("PATCH", "/api/settings", {"maxActiveDownloads": 3, "maxConnections": 0})
    assert refused.status == 422
    assert daemon.get("/api/settings").json == before | patch, "all or none"
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.get("/api/settings").json == before | patch
    back = daemon.call("PATCH", "/api/settings", dict.fromkeys(patch))
    assert back.json == before


def test_info_health_metrics_and_the_document(daemon: Daemon) -> None:
    daemon.wait(daemon.ask("own/small", "b.txt")["id"], "done")
    info = daemon.get("/api/info").json
    assert list(info) == INFO_FIELDS
    assert (info["pid"], info["counts"]["done"], info["loading"]) == (daemon.process and daemon.process.pid, 1, False)
    assert (info["socket"], info["url"]) == (str(daemon.socket), None)
    assert daemon.get("/api/health").json == {"status": "ok"}
    metrics = daemon.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    text = metrics.body.decode()
    for line in (
        'hfdmd_downloads{status="done"} 1.0',
        "hfdmd_received_bytes_total 5.0",
        "hfdmd_listeners 0.0",
        "hfdmd_queue_length 0.0",
        'hfdmd_api_seconds_count{method="POST",route="/api/download",status="202"} 1.0',
    ):
        assert line in text
    assert daemon.get("/api/openapi.json").json["openapi"].startswith("3.1")


def test_a_get_changes_nothing(daemon: Daemon) -> None:
    daemon.wait(daemon.ask("own/small", "b.txt")["id"], "done")

    def everything() -> Any:
        files = {path: path.stat().st_mtime_ns for path in daemon.state.rglob("*") if path.is_file()}
        return files, daemon.get("/api/progress").json, daemon.get("/api/settings").json

    before = everything()
    for target in (
        "/api/pause?all=true",
        "/api/cancel?id=x",
        "/api/download?modelRepo=own/small&filePath=config.json",
        "/api/download?deleteFile=true&all=true",
        "/api/settings?bandwidthLimit=1",
        "/api/files?modelRepo=own/small",
        "/api/progress?modelRepo=own/big",
        "/api/checks?offline=true",
        "/metrics",
    ):
        daemon.call("GET", target, b'{"all":true}', headers={"Content-Type": "application/json"})
    assert everything() == before


def test_a_full_queue_says_so_and_when_to_come_again(make_daemon: Any, hub: HubServer) -> None:
    hub.fault(None, None, Fault.delay(60).at("head"))
    daemon = make_daemon(HFDMD_MAX_QUEUE="3").start()
    for number in range(3):
        daemon.ask("own/small", f"f{number}")
    for body in ({"modelRepo": "own/small", "filePath": "f3"}, {"modelRepo": "own/big"}):
        answer = daemon.post("/api/download", body)
        assert (answer.status, answer.code) == (503, "queue_full")
        assert int(answer.headers["retry-after"]) > 0
    assert daemon.post("/api/download", {"modelRepo": "own/small", "filePath": "f0"}).status == 200


def test_too_many_listeners_are_told_so(make_daemon: Any) -> None:
    from tests.api.sse import Stream

    daemon = make_daemon(HFDMD_MAX_LISTENERS="2").start()
    with Stream(daemon), Stream(daemon), Stream(daemon) as third:
        assert third.status == 503
        assert b"queue_full" in third.body()
        assert int(third.headers["retry-after"]) > 0
