"""On the booted system, last of all: uninstalled completely except for the models, and installed again over them."""

from __future__ import annotations

from tests.service.box import CACHE, INSTALL, PIP, REQUIREMENT, SOCKET, STATE, Box
from tests.service.hub_in_box import SERVES, content

MODEL = "model.safetensors"


def test_refuses_while_downloads_are_unfinished(box: Box) -> None:
    box.hub(rate=100_000)
    one = {"modelRepo": "acme/twenty", "filePath": "part-00.bin"}
    box.call("DELETE", "/api/download", {**one, "deleteFile": True})
    box.download("acme/twenty", "part-00.bin")
    refused = box.run(INSTALL, "--uninstall")
    assert refused.code == 1
    assert "1 downloads are not finished" in refused.err
    assert box.call("GET", "/api/health")[0] == 200
    box.hub(rate=0)
    box.until_done("acme/twenty", "part-00.bin")


def test_models_stay_and_nothing_else(box: Box) -> None:
    box.ok(INSTALL, "--uninstall")
    added = {path for path in box.listing() - box.before if not path.startswith((CACHE, "/home/"))}
    # The administrator's own file, which the test wrote, stays with its folder; the rest is the tools' own.
    kept = {"/etc/hfdmd", "/etc/hfdmd/environment"}
    tools = ("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/var/lib/systemd/", "/var/lib/private")
    assert {path for path in added - kept if not path.startswith(tools)} == set()
    assert not box.path(STATE).exists()
    assert not box.path(SOCKET).exists()
    assert box.run("id", "hfdmd").code != 0
    assert box.ok("find", CACHE, "-not", "-uid", "0") == "", "files of a deleted uid"


def test_installed_again_it_takes_the_models_over(box: Box) -> None:
    box.ok(*PIP, INSTALL, REQUIREMENT, timeout_s=180)
    sent_before = box.hub(sent=MODEL)
    assert box.ok("stat", "--format=%U", CACHE).strip() == "hfdmd"
    box.download("acme/small", MODEL)
    done = box.until_done("acme/small", MODEL)
    assert box.path(done["path"]).read_bytes() == content("acme/small", MODEL).read()
    assert box.hub(sent=MODEL) == sent_before, "it was here already"
    assert SERVES["acme/small"][MODEL] == done["totalBytes"]


def test_models_go_when_asked(box: Box) -> None:
    box.ok(INSTALL, "--uninstall", "--delete-models")
    assert not box.path(CACHE).exists()
