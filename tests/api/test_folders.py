"""Folders: which callers may write, delete and update files in which folder (docs/api.md, section 6; decision 0017)."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import Answer, Daemon
from tests.fakehub import HubServer

# Where files may go


def test_the_own_user_may_use_any_folder_and_tcp_only_allowed_ones(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(tcp=True)
    allowed, other = daemon.home / "allowed", daemon.home / "other"
    for folder in (allowed / "deep", other):
        folder.mkdir(parents=True)
    (allowed / "out").symlink_to(other)
    (allowed / "in").symlink_to(allowed / "deep")
    (daemon.home / "allowed-not").mkdir()
    daemon.env["HFDMD_ALLOWED_DIRS"] = str(allowed)
    daemon.start()
    for folder, may in (
        (allowed, True),
        (allowed / "deep", True),
        (allowed / "not" / "yet", True),
        (allowed / "in", True),
        (allowed / "out", False),
        (allowed / "out" / "deeper", False),
        (other, False),
        (daemon.home / "allowed-not", False),
        (daemon.home, False),
        (Path("/"), False),
        (Path("/etc"), False),
    ):
        body = {"modelRepo": "own/small", "filePath": "config.json", "localDir": str(folder)}
        refused = daemon.call("POST", "/api/download", body, tcp=True, token=daemon.token)
        assert (refused.status in (200, 202)) is may, folder
        assert may or (refused.status, refused.code) == (403, "forbidden_path")
    body = {"modelRepo": "own/small", "filePath": "config.json", "localDir": str(other)}
    assert daemon.post("/api/download", body).status == 202, "over the own user's socket"


def test_a_link_inside_an_allowed_folder_leads_nowhere(make_daemon: Callable[..., Daemon]) -> None:
    """A folder replaced by a symlink after the check: nothing is written through it."""
    daemon = make_daemon(tcp=True)
    allowed, other = daemon.home / "allowed", daemon.home / "other"
    allowed.mkdir()
    other.mkdir()
    daemon.env["HFDMD_ALLOWED_DIRS"] = str(allowed)
    daemon.start()
    (allowed / "sub").symlink_to(other)
    body = {"modelRepo": "own/small", "filePath": "sub/a.bin", "localDir": str(allowed)}
    view = daemon.call("POST", "/api/download", body, tcp=True, token=daemon.token).json
    assert daemon.wait(view["id"], "failed")["reason"] in ("path_taken", "disk_error")
    assert list(other.iterdir()) == []


@pytest.mark.parametrize("file", ["config.json", None])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_folder_that_becomes_a_link_out_of_the_allowed_ones(
    make_daemon: Callable[..., Daemon], hub: HubServer, file: str | None, restarted: bool
) -> None:
    """The folder itself replaced by a symlink while the download is queued."""
    daemon = make_daemon(tcp=True)
    allowed, other = daemon.home / "allowed", daemon.home / "other"
    for folder in (allowed / "deep", other):
        folder.mkdir(parents=True)
    daemon.env["HFDMD_ALLOWED_DIRS"] = str(allowed)
    daemon.start()
    hub.freeze()
    body = {"modelRepo": "own/small", **({} if file is None else {"filePath": file})}
    views = []
    for name in ("late", "inner", "plain"):
        asked = {**body, "localDir": str(allowed / name)}
        views.append(daemon.call("POST", "/api/download", asked, tcp=True, token=daemon.token).json)
    if restarted:
        daemon.stop()
    (allowed / "late").symlink_to(other)
    (allowed / "inner").symlink_to(allowed / "deep")
    if restarted:
        daemon.start()
    hub.thaw()
    late, inner, plain = views
    failed = daemon.wait(late["id"], "failed")
    assert failed["reason"] == "path_taken"
    assert "allowed_dirs" in failed["detail"]
    assert list(other.iterdir()) == []
    for view in (inner, plain):
        assert daemon.wait(view["id"], "done")["localDir"] == view["localDir"]
    assert (allowed / "deep" / "config.json").read_bytes() == b"{}"
    again = {**body, "localDir": str(allowed / "late"), "retry": True}
    assert daemon.call("POST", "/api/download", again, tcp=True, token=daemon.token).code == "forbidden_path"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_user_on_the_socket_is_held_to_allowed_dirs(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon().start()
    for path in (daemon.home, daemon.socket):
        path.chmod(0o777)
    code = (
        "import socket,sys,os\n"
        f"os.setgid({pwd.getpwnam('nobody').pw_gid}); os.setuid({pwd.getpwnam('nobody').pw_uid})\n"
        f"s = socket.socket(socket.AF_UNIX); s.connect({str(daemon.socket)!r})\n"
        'body = b\'{"modelRepo":"own/small","filePath":"config.json","localDir":"/tmp/x"}\'\n'
        'head = "POST /api/download HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n"\n'
        'head += f"Content-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"\n'
        "s.sendall(head.encode() + body); print(s.recv(4096).decode())\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("HTTP/1.1 403")
    assert "forbidden_path" in said


# What is in a folder of others


@pytest.fixture
def mixed(make_daemon: Callable[..., Daemon]) -> Daemon:
    """A daemon with TCP and `allowed` in `allowed_dirs`; its own user also uses `other`."""
    daemon = make_daemon(tcp=True)
    daemon.env["HFDMD_ALLOWED_DIRS"] = str(daemon.home / "allowed")
    for name in ("allowed", "other"):
        (daemon.home / name).mkdir()
    return daemon.start()


def over_tcp(daemon: Daemon, method: str, path: str, body: Any) -> Answer:
    return daemon.call(method, path, body, tcp=True, token=daemon.token)


def test_files_outside_are_not_deleted_for_who_may_not_put_them_there(mixed: Daemon) -> None:
    outside = mixed.ask("own/small", "b.txt", localDir=str(mixed.home / "other"))
    path = Path(mixed.wait(outside["id"], "done")["path"])
    cached = mixed.ask("own/small", "config.json")
    cached = mixed.wait(cached["id"], "done")
    before = mixed.get("/api/progress").json
    for selector in (
        {"id": outside["id"]},
        {"modelRepo": "own/small", "filePath": "b.txt"},
        {"modelRepo": "own/small", "localDir": str(mixed.home / "other")},
        {"modelRepo": "own/small"},
        {"all": True},
        {"all": True, "status": "done"},
    ):
        refused = over_tcp(mixed, "DELETE", "/api/download", {**selector, "deleteFile": True})
        assert (refused.status, refused.code) == (403, "forbidden_path"), selector
        assert str(mixed.home / "other") in refused.json["detail"]
    query = {"id": outside["id"], "deleteFile": "true"}
    refused = mixed.call("DELETE", "/api/download", query=query, tcp=True, token=mixed.token)
    assert refused.code == "forbidden_path"
    assert mixed.get("/api/progress").json == before, "nothing is half done"
    assert over_tcp(mixed, "DELETE", "/api/download", {"id": cached["id"], "deleteFile": True}).status == 200
    assert not Path(cached["path"]).exists()
    assert over_tcp(mixed, "DELETE", "/api/download", {"id": outside["id"]}).status == 200, "it is only forgotten"
    assert path.read_bytes() == b"text\n"
    mixed.wait(mixed.ask("own/small", "b.txt", localDir=str(mixed.home / "other"))["id"], "done")
    assert mixed.call("DELETE", "/api/download", {"all": True, "deleteFile": True}).status == 200, "the own user may"
    assert not path.exists()


def test_nothing_outside_is_set_going_by_who_may_not_put_it_there(mixed: Daemon, hub: HubServer) -> None:
    hub.freeze()
    outside = {"modelRepo": "own/small", "localDir": str(mixed.home / "other")}
    file, repo = (mixed.post("/api/download", {**outside, **more}).json for more in ({"filePath": "b.txt"}, {}))
    for view in (file, repo):
        for action, then in (("pause", "resume"), ("cancel", "retry")):
            changed = over_tcp(mixed, "POST", f"/api/{action}", {"id": view["id"]})
            assert changed.status == 200, "it may be stopped"
            before = mixed.view(view["id"])
            for selector in ({"id": view["id"]}, {"modelRepo": "own/small"}, {"all": True}):
                refused = over_tcp(mixed, "POST", f"/api/{then}", selector)
                assert (refused.status, refused.code) == (403, "forbidden_path"), (then, selector)
            assert mixed.view(view["id"]) == before
    for more in ({"retry": True}, {"update": True}, {}):
        assert over_tcp(mixed, "POST", "/api/download", {**outside, "filePath": "b.txt", **more}).status == 403
        assert over_tcp(mixed, "POST", "/api/download", {**outside, **more}).status == 403
    hub.thaw()
    assert list((mixed.home / "other").rglob("*.txt")) == []
    assert mixed.post("/api/retry", {"all": True}).status == 200, "the own user may"
    mixed.wait(file["id"], "done")


def test_what_is_done_outside_hinders_nobody_who_goes_on_elsewhere(mixed: Daemon, hub: HubServer) -> None:
    mixed.wait(mixed.ask("own/small", "b.txt", localDir=str(mixed.home / "other"))["id"], "done")
    failed = mixed.ask("own/small", "no.bin", localDir=str(mixed.home / "allowed"))
    mixed.wait(failed["id"], "failed")
    hub.freeze()
    inside = mixed.ask("own/big", localDir=str(mixed.home / "allowed"))
    assert over_tcp(mixed, "POST", "/api/pause", {"all": True}).status == 200
    assert over_tcp(mixed, "POST", "/api/resume", {"all": True}).status == 200
    assert mixed.view(inside["id"])["status"] != "paused"
    assert over_tcp(mixed, "POST", "/api/retry", {"all": True}).status == 200
    assert mixed.view(failed["id"])["status"] != "failed"


def test_a_folder_that_leads_out_counts_as_what_it_leads_to(mixed: Daemon) -> None:
    """A download of the daemon's user below an allowed folder that was replaced by a link since."""
    inside = mixed.home / "allowed" / "x"
    view = mixed.wait(mixed.ask("own/small", "b.txt", localDir=str(inside))["id"], "done")
    inside.rename(mixed.home / "other" / "x")
    inside.symlink_to(mixed.home / "other" / "x")
    refused = over_tcp(mixed, "DELETE", "/api/download", {"id": view["id"], "deleteFile": True})
    assert refused.code == "forbidden_path"
    inside.unlink()
    (mixed.home / "other" / "x").rename(inside)
    assert over_tcp(mixed, "DELETE", "/api/download", {"id": view["id"], "deleteFile": True}).status == 200
    assert not Path(view["path"]).exists()
