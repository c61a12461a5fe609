"""`hfdm doctor` on broken machines: the line that names the fault, the cure that fits, the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import BIG, REPO, Hfdm
from tests.daemon.test_unwritable import OBEYS_MODES, read_only, root
from tests.daemon_process import DEADLINE_S, Daemon, until
from tests.fakehub import HubServer

NO_ENTRY = ("setpriv", "--reuid=54321", "--clear-groups")
"""Runs a command as a user whom the user database does not know, but who may read this Python."""
KEEPS_ACCESS = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")


class Machine:
    """A home, a Hub and an environment, to be broken; `wrapper` runs hfdm in it."""

    def __init__(self, home: Path, hub: HubServer, stack: ExitStack) -> None:
        self.home = home
        self.hub = hub
        self.stack = stack
        self.hfdm = Hfdm(home, hub.endpoint)
        self.env = self.hfdm.env
        self.env.pop("HFDMD_DEBUG")
        self.cache, self.state = self.hfdm.cache, self.hfdm.state
        self.wrapper: Sequence[str] = ()

    def doctor(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.wrapper, self.hfdm.program, "doctor", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )

    def daemon(self, **env: str) -> Daemon:
        self.env["HFDMD_SOCKET"] = str(self.home / "s")
        return self.stack.enter_context(Daemon(self.home, self.hub.endpoint, **env))

    def mounted(self, folder: Path, options: str, *, fill: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        full = f"; cat /dev/zero > '{folder}/full' 2> /dev/null" if fill else ""
        mounts = f"mount -t tmpfs -o {options} none '{folder}'{full}"
        self.wrapper = ("unshare", "--mount", "sh", "-c", f'{mounts}; exec "$@"', "sh")

    def server(self, status: int, **headers: str) -> str:
        """The URL of a server that answers every request so."""

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        self.stack.callback(thread.join)
        self.stack.callback(server.server_close)
        self.stack.callback(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"


@dataclass(frozen=True)
class Case:
    """A broken machine, and what is right: the line `what`, its state, words of what was found and of the cure."""

    breaks: Callable[[Machine], object]
    what: str
    state: str
    found: str
    cure: str
    code: int
    never: str = "Traceback"
    """What no line says."""
    online: bool = False
    marks: tuple[pytest.MarkDecorator, ...] = field(default=())


def foreign(machine: Machine, folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o755)
    os.chown(folder, 12345, 12345)
    machine.wrapper = OBEYS_MODES


def made_read_only(machine: Machine, folder: Path) -> None:
    folder.mkdir(parents=True)
    machine.wrapper = read_only(folder)


def missing_drive(machine: Machine) -> None:
    machine.cache.parent.mkdir(parents=True)
    machine.cache.symlink_to("/media/drive-that-is-not-there/hub")


def unmounted(machine: Machine) -> None:
    """The cache was on a drive when it was used."""
    machine.mounted(machine.home / "hf", "size=100m")
    with Daemon(machine.home, machine.hub.endpoint, wrapper=machine.wrapper) as daemon:
        daemon.wait(daemon.ask(REPO, "config.json")["id"], "done")
    machine.wrapper = ()


def file_in_place(machine: Machine) -> None:
    machine.cache.parent.mkdir(parents=True)
    machine.cache.write_text("")


def tracker_file_in_place(machine: Machine) -> None:
    (machine.state / "trackers").mkdir(parents=True)
    (machine.state / "trackers" / "models--a--b").write_text("")


def closed_token(machine: Machine) -> None:
    token = machine.home / "hf" / "token"
    token.parent.mkdir()
    token.write_text("hf_token")
    token.chmod(0)
    machine.wrapper = OBEYS_MODES


def no_home(machine: Machine) -> None:
    for name in ("HOME", "HF_HOME", "HFDMD_STATE_DIR"):
        del machine.env[name]
    machine.wrapper = (*NO_ENTRY, *KEEPS_ACCESS)


def token_of_mine_only(machine: Machine) -> None:
    machine.daemon()
    machine.env["HF_TOKEN"] = "hf_of_mine"


def waits_for_disk(machine: Machine) -> None:
    daemon = machine.daemon(HFDMD_MIN_FREE_BYTES="1 PB")
    for file in (BIG, "onnx/model.onnx"):
        key = daemon.ask(REPO, file)["id"]
        until(lambda key=key: daemon.view(key)["reason"] == "disk_full", "it waits")


def failed_repo(machine: Machine) -> None:
    daemon = machine.daemon()
    daemon.wait(daemon.ask("owner/none")["id"], "failed")


def set_env(**env: str) -> Callable[[Machine], object]:
    return lambda machine: machine.env.update(env)


BROKEN = {
    "a cache of another user": Case(
        lambda m: foreign(m, m.cache), "cache", "problem", "not writable", "sudo chown -R root", 1, marks=(root,)
    ),
    "a read-only cache": Case(
        lambda m: made_read_only(m, m.cache), "cache", "problem", "read-only file system", "mount -o remount,rw", 1,
        never="chown", marks=(root,),
    ),
    "a read-only state folder": Case(
        lambda m: made_read_only(m, m.state), "state", "problem", "read-only file system", "HFDMD_STATE_DIR", 1,
        never="chown", marks=(root,),
    ),
    "a drive that is not there": Case(
        missing_drive, "drive", "problem", "drive-that-is-not-there/hub, which is not there", "Mount the drive", 1
    ),
    "a drive that is not mounted": Case(
        unmounted, "drive", "problem", "nothing is mounted at", "Mount the drive", 1, marks=(root,)
    ),
    "a file in the place of the cache": Case(file_in_place, "cache", "problem", "not a folder", "Move it away", 1),
    "trackers of another user": Case(
        lambda m: foreign(m, m.state / "trackers" / "models--a--b"),
        "trackers", "problem", "models--a--b", "sudo chown -R root", 1, marks=(root,),
    ),
    "trackers on a read-only mount": Case(
        lambda m: made_read_only(m, m.state / "trackers" / "models--a--b"),
        "trackers", "problem", "models--a--b", "mount -o remount,rw", 1, never="chown", marks=(root,),
    ),
    "a file in the place of trackers": Case(
        tracker_file_in_place, "trackers", "problem", "not a folder", "Move it away", 1, never="chown"
    ),
    "no inodes for the cache": Case(
        lambda m: m.mounted(m.cache, "size=100m,nr_inodes=1"), "disk", "problem", "no inodes free", "df -i", 1,
        marks=(root,),
    ),
    "no inodes for the state": Case(
        lambda m: m.mounted(m.state, "size=100m,nr_inodes=1"), "state disk", "problem", "no inodes free", "df -i", 1,
        marks=(root,),
    ),
    "a full disk of the state": Case(
        lambda m: m.mounted(m.state, "size=100k", fill=True),
        "state disk", "problem", "0 B free", "HFDMD_STATE_DIR", 1, marks=(root,),
    ),
    "less disk than is to stay free": Case(
        set_env(HFDMD_MIN_FREE_BYTES="1 PB"), "disk", "problem", "1.0 PB are to stay free", "min_free_bytes", 1
    ),
    "a proxy that is no HTTP proxy": Case(
        set_env(HTTP_PROXY="gopher://me:secret@proxy:70"),
        "proxy", "problem", "HTTP_PROXY", "http://", 1, never="secret"
    ),
    "a proxy that wants a password": Case(
        lambda m: m.env.update(http_proxy=m.server(407), HF_ENDPOINT="http://hub.example"),
        "Hub", "problem", "password", "proxy", 1, online=True,
    ),
    "no_proxy in lower case": Case(
        set_env(http_proxy="http://proxy:1", no_proxy="127.0.0.1"), "proxy", "ok", "no_proxy=127.0.0.1", "", 0
    ),
    "a wrong clock": Case(
        lambda m: m.env.update(HF_ENDPOINT=m.server(200, Date=formatdate(1e9, usegmt=True))),
        "clock", "problem", "ahead of the Hub's", "timedatectl", 1, online=True,
    ),
    "a Hub that does not answer": Case(
        set_env(HF_ENDPOINT="http://127.0.0.1:1"),
        "Hub", "problem", "does not answer", "Check the network", 1, online=True
    ),
    "no certificates": Case(
        set_env(SSL_CERT_FILE="/nowhere.pem"), "certificates", "problem", "/nowhere.pem", "Unset", 1
    ),
    "a token that cannot be read": Case(
        closed_token, "token", "problem", "cannot be read: Permission denied", "chmod 600", 1, marks=(root,)
    ),
    "a token that the daemon has not": Case(
        token_of_mine_only, "your token", "warning", "the daemon has none", "hfdm login", 0, never="hf_of_mine"
    ),
    "a token that only the daemon has": Case(
        lambda m: m.daemon(HF_TOKEN="hf_of_daemon"), "your token", "warning", "the daemon has one", "daemon's", 0,
        never="hf_of_daemon",
    ),
    "downloads that wait for disk": Case(waits_for_disk, "downloads", "warning", "2 wait for disk", "Free some", 1),
    "a repo that failed": Case(failed_repo, "downloads", "warning", "1 failed", "hfdm retry", 0),
    "a user without a home": Case(
        no_home, "settings", "problem", "no home folder", "HFDMD_STATE_DIR", 1, marks=(root,)
    ),
    "a setting that is none": Case(
        set_env(HFDMD_BANDWIDTH_LIMIT="fast"), "settings", "problem", "HFDMD_BANDWIDTH_LIMIT: 'fast'", "20MB/s", 1
    ),
    "a socket path that is too long": Case(
        lambda m: m.env.update(HFDMD_SOCKET=f"/tmp/{'x' * 120}"), "socket", "problem", "bytes", "HFDMD_SOCKET", 1
    ),
}  # fmt: skip


@pytest.fixture
def machine(home: Path, hub: HubServer) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(home, hub, stack)


QUICK = (
    "a cache of another user",
    "a read-only cache",
    "a drive that is not mounted",
    "trackers of another user",
    "no inodes for the cache",
    "a full disk of the state",
    "a proxy that is no HTTP proxy",
    "a wrong clock",
    "a token that the daemon has not",
    "downloads that wait for disk",
    "a user without a home",
    "a setting that is none",
)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[*case.marks, *(() if name in QUICK else (pytest.mark.slow,))])
        for name, case in BROKEN.items()
    ],
)
def test_a_broken_machine(machine: Machine, name: str) -> None:
    case = BROKEN[name]
    case.breaks(machine)
    done = machine.doctor("--json", *(() if case.online else ("--offline",)))
    assert done.stderr == ""
    lines: list[dict[str, Any]] = [line for line in json.loads(done.stdout) if line["what"] == case.what]
    [line] = [line for line in lines if line["state"] == case.state] or [lines]
    assert line["state"] == case.state, line
    assert case.found in line["found"], line
    assert case.cure in line["cure"] + line["found"], line
    assert done.returncode == case.code, done.stdout
    assert case.never not in done.stdout
    others = [one for one in json.loads(done.stdout) if one["state"] == "problem" and one is not line]
    assert [one for one in others if one["what"] not in (case.what, "settings", "disk")] == [], "one fault, one line"


@root
def test_a_user_without_a_home_or_entry_works_where_everything_is_named(machine: Machine) -> None:
    del machine.env["HOME"]
    machine.home.chmod(0o777)
    machine.wrapper = (*NO_ENTRY, *KEEPS_ACCESS)
    daemon = Daemon(machine.home, machine.hub.endpoint, wrapper=machine.wrapper)
    del daemon.env["HOME"]
    with daemon:
        machine.env["HFDMD_SOCKET"] = str(daemon.socket)
        done = machine.doctor("--offline")
        assert done.returncode == 0, done.stdout
        assert daemon.wait(daemon.ask(REPO, "config.json")["id"], "done")["path"]
