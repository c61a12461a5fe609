"""On the booted system: who may use the daemon, and who may read and write the shared cache."""

from __future__ import annotations

import json

import pytest

from tests.service.box import CACHE, HUB_URL, SOCKET, STATE, Box
from tests.service.hub_in_box import SERVES, content

MODEL = "model.safetensors"
CURL = ("curl", "--silent", "--show-error", "--unix-socket", SOCKET)

OFFLINE = f"""
import hashlib
from huggingface_hub import hf_hub_download
path = hf_hub_download("acme/small", "{MODEL}")
print(hashlib.sha256(open(path, "rb").read()).hexdigest())
print(hf_hub_download("acme/small", "config.json", local_files_only=True))
"""


@pytest.fixture(autouse=True, scope="module")
def member(box: Box) -> None:
    box.ok("usermod", "--append", "--groups", "hfdmd", "member")
    for file in SERVES["acme/small"]:
        box.download("acme/small", file)
    for file in SERVES["acme/small"]:
        box.until_done("acme/small", file)


def test_a_member_downloads(box: Box) -> None:
    asked = '{"modelRepo": "acme/small", "filePath": "config.json"}'
    header = "Content-Type: application/json"
    answer = json.loads(box.ok_as("member", *CURL, "--header", header, "--data", asked, "http://x/api/download"))
    assert answer["status"] == "done"
    printed = box.ok_as("member", "hfdm", "download", "acme/small", MODEL)
    assert box.path(printed.strip()).read_bytes() == content("acme/small", MODEL).read()


def test_a_member_reads_the_model_offline(box: Box) -> None:
    # A program of the member's own, with its own huggingface_hub.
    cache = f"HF_HUB_CACHE={CACHE}/huggingface/hub"
    env = ("env", "PYTHONPATH=/srv/hub/packages", "HF_HUB_OFFLINE=1", cache, f"HF_ENDPOINT={HUB_URL}")
    printed = box.ok_as("member", *env, "/usr/bin/python3", "-c", OFFLINE).split()
    assert printed[0] == content("acme/small", MODEL).sha256
    assert printed[1].startswith(f"{CACHE}/huggingface/hub/models--acme--small/snapshots/")


def test_a_stranger_is_refused(box: Box) -> None:
    refused = box.run_as("stranger", *CURL, "http://x/api/health")
    assert refused.code == 7, "curl's code for a connection that was refused"
    refused = box.run_as("stranger", "hfdm", "--no-spawn", "info")
    assert refused.code == 3
    assert "group" in refused.err


@pytest.mark.parametrize("user", ["member", "stranger"])
def test_nobody_else_writes_into_the_cache(box: Box, user: str) -> None:
    written = box.run_as(user, "find", CACHE, "-writable", "-not", "-type", "l").out
    assert written == ""
    assert box.run_as(user, "touch", f"{CACHE}/huggingface/hub/x").code != 0


def test_what_is_the_daemons_alone(box: Box) -> None:
    assert box.run_as("stranger", "ls", STATE).code != 0
    found = box.run_as("member", "find", STATE, "-writable", "-not", "-type", "l")
    assert found.out == "", "a member can write into the state"


def test_a_member_names_no_folder_of_its_own(box: Box) -> None:
    asked = json.dumps({"modelRepo": "acme/small", "filePath": "config.json", "localDir": "/home/member/models"})
    header = "Content-Type: application/json"
    answer = box.ok_as("member", *CURL, "--header", header, "--data", asked, "http://x/api/download")
    assert json.loads(answer)["code"] == "forbidden_path"


@pytest.mark.parametrize("folder", ["/etc", "/usr", "/opt/hfdmd", "/run", "/srv", "/var/log"])
def test_the_daemon_itself_writes_only_its_cache_and_state(box: Box, folder: str) -> None:
    # Its own mount namespace and its own user: what the kernel would let the daemon do.
    inside = ("nsenter", "--mount", f"--target={box.main_pid()}", "setpriv", "--reuid=hfdmd", "--regid=hfdmd")
    tried = box.run(*inside, "--clear-groups", "touch", f"{folder}/x")
    assert tried.code != 0
    assert box.run(*inside, "--clear-groups", "touch", f"{CACHE}/x").code == 0
    box.path(f"{CACHE}/x").unlink()


def test_the_daemon_sees_no_home(box: Box) -> None:
    listed = box.run("nsenter", "--mount", f"--target={box.main_pid()}", "ls", "-A", "/home", "/root")
    assert "member" not in listed.out
