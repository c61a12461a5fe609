"""launchd's side, as far as it can be shown without macOS: the plists' keys, and taking the sockets from a stand-in."""

from __future__ import annotations

import json
import os
import plistlib
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hfdmd.service_manager import launchd_sockets
from hfdmd_client.service import unit_files
from tests.service.conftest import REPO

# launchd.plist(5): the keys that are used here, and what each must be. A wrong type makes launchd ignore the key.
TYPES: dict[str, type] = {
    "Label": str,
    "UserName": str,
    "GroupName": str,
    "InitGroups": bool,
    "ProgramArguments": list,
    "EnvironmentVariables": dict,
    "Sockets": dict,
    "RunAtLoad": bool,
    "KeepAlive": dict,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "Umask": int,
    "SoftResourceLimits": dict,
    "HardResourceLimits": dict,
    "StandardErrorPath": str,
}
SOCKET_TYPES: dict[str, type] = {
    "SockType": str,
    "SockPathName": str,
    "SockPathMode": int,
    "SockPathOwner": int,
    "SockPathGroup": int,
}
VALUES: dict[str, str | int] = {
    "HFDMD": "/opt/R&D/<hfdmd>/bin/hfdmd",
    "SOCKET": "/private/state/hfdmd.sock",
    "STATE_DIR": "/private/state",
    "LOG": "/private/state/launchd.log",
    "HF_HOME": "/private/cache/huggingface",
    "GID": 505,
}
SUN_PATH_BYTES = 104


def made(name: str) -> dict[str, Any]:
    text = unit_files.plist(f"launchd/{name}.plist", VALUES, {"HTTPS_PROXY": "http://proxy:3128"}, unit_files.MARK)
    assert unit_files.MARK in text
    content: dict[str, Any] = plistlib.loads(text.encode())
    return content


def absolute(path: str) -> bool:
    """As launchd wants it: nothing is expanded."""
    return path.startswith("/") and not set("~$@") & set(path)


@pytest.mark.parametrize("name", ["agent", "daemon"])
def test_plist_has_only_what_launchd_knows(name: str) -> None:
    job = made(name)
    assert {key: type(value) for key, value in job.items()} == {key: TYPES[key] for key in job}
    assert job["KeepAlive"] == {"SuccessfulExit": False}, "what ends cleanly stays ended; what breaks is started again"
    assert job["ProcessType"] in ("Background", "Standard", "Adaptive", "Interactive")
    assert job["ProgramArguments"] == [VALUES["HFDMD"]]
    assert job["Umask"] == 0o022
    for limits in (job["SoftResourceLimits"], job["HardResourceLimits"]):
        assert limits == {"NumberOfFiles": 8192}
    environment = job["EnvironmentVariables"]
    assert all(isinstance(value, str) for value in environment.values())
    assert environment["HTTPS_PROXY"] == "http://proxy:3128"
    paths = [environment["HFDMD_SOCKET"], environment["HFDMD_STATE_DIR"], job["StandardErrorPath"]]
    assert all(absolute(path) for path in (*paths, *job["ProgramArguments"]))


@pytest.mark.parametrize(("name", "mode"), [("agent", 0o600), ("daemon", 0o660)])
def test_plist_socket(name: str, mode: int) -> None:
    job = made(name)
    assert list(job["Sockets"]) == ["api"], "the name that the daemon asks launchd for"
    api = job["Sockets"]["api"]
    assert {key: type(value) for key, value in api.items()} == {key: SOCKET_TYPES[key] for key in api}
    assert (api["SockType"], api["SockPathMode"]) == ("stream", mode)
    assert api["SockPathName"] == job["EnvironmentVariables"]["HFDMD_SOCKET"]
    assert len(api["SockPathName"].encode()) < SUN_PATH_BYTES
    if name == "daemon":
        assert (api["SockPathOwner"], api["SockPathGroup"]) == (0, VALUES["GID"])
        assert (job["UserName"], job["GroupName"]) == ("_hfdmd", "hfdmd")


PROGRAM = """
import json, sys
from hfdmd.service_manager import launchd_sockets
try:
    first, second = launchd_sockets(sys.argv[1]), launchd_sockets(sys.argv[1])
except OSError as error:
    print(json.dumps({"error": error.errno, "text": str(error)}))
else:
    names = [one.getsockname() for one in first]
    print(json.dumps({"names": names, "blocking": [one.getblocking() for one in first], "again": len(second)}))
"""


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: taking sockets from launchd is not shown here; apt-get install gcc libc6-dev")
    library = tmp_path_factory.mktemp("launchd") / "fake_launchd.so"
    source = Path(__file__).with_name("fake_launchd.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(library), str(source)], check=True, timeout=60
    )
    return library


def ask(stand_in: Path, name: str, env: dict[str, str], fds: list[int]) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO), "LD_PRELOAD": str(stand_in), **env}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name],
        env=environment,
        pass_fds=fds,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd="/",
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_takes_the_sockets_once(stand_in: Path, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        for number, listening in enumerate((one, other)):
            listening.bind(str(folder / str(number)))
            listening.listen()
        fds = [one.fileno(), other.fileno()]
        answer = ask(stand_in, "api", {"FAKE_LAUNCHD_FDS": ",".join(map(str, fds))}, fds)
    assert answer == {"names": [f"{folder}/0", f"{folder}/1"], "blocking": [False, False], "again": 0}


@pytest.mark.parametrize(("name", "env"), [("api", {}), ("web", {"FAKE_LAUNCHD_FDS": "0"})])
def test_no_sockets_when_launchd_has_none(stand_in: Path, name: str, env: dict[str, str]) -> None:
    assert ask(stand_in, name, env, [])["names"] == []


def test_another_refusal_is_said(stand_in: Path) -> None:
    answer = ask(stand_in, "api", {"FAKE_LAUNCHD_ERRNO": "13"}, [])
    assert answer["error"] == 13
    assert "'api'" in answer["text"]


def test_no_sockets_where_there_is_no_launchd() -> None:
    if sys.platform == "darwin":
        pytest.skip("this machine has launchd")
    assert launchd_sockets() == []
