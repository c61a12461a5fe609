"""On the booted system: installed by one command, it starts at boot, on demand, and again after whatever happens."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator

import pytest

from tests.daemon_process import until
from tests.service.box import CACHE, INSTALL, PIP, PREFIX, REQUIREMENT, SOCKET, STATE, Box
from tests.service.hub_in_box import SERVES, content


def test_one_command_installs_and_starts(box: Box) -> None:
    service, socket = box.show(), box.show("hfdmd.socket")
    assert (service["ActiveState"], service["SubState"], service["NRestarts"]) == ("active", "running", "0")
    assert (service["UnitFileState"], socket["UnitFileState"]) == ("enabled", "enabled")
    assert socket["ActiveState"] == "active"
    assert service["StatusText"], "it does not say what it is doing"
    status, info = box.call("GET", "/api/info")
    assert status == 200
    assert (info["stateDir"], info["cacheDir"], info["socket"]) == (STATE, f"{CACHE}/huggingface/hub", SOCKET)
    assert info["pid"] == box.main_pid()


def test_modes_and_owners(box: Box) -> None:
    found = box.path(SOCKET).stat()
    group = int(box.ok("getent", "group", "hfdmd").split(":")[2])
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 0, group)
    names = {
        STATE: "750 hfdmd hfdmd",
        CACHE: "755 hfdmd hfdmd",
        "/etc/hfdmd": "755 root root",
        PREFIX: "755 root root",
    }
    for path, expected in names.items():
        assert box.ok("stat", "--format=%a %U %G", path).strip() == expected, path


def test_again_changes_nothing(box: Box) -> None:
    pid, unit = box.main_pid(), box.path("/etc/systemd/system/hfdmd.service")
    written_ns = unit.stat().st_mtime_ns
    said = box.run("hfdm", "service", "install", "--system", "--now", "--program", f"{PREFIX}/bin/hfdmd")
    assert said.code == 0, said.err
    assert "already running" in said.err
    assert box.main_pid() == pid
    assert unit.stat().st_mtime_ns == written_ns


def test_systemd_finds_the_sandbox_tight_enough(box: Box) -> None:
    box.ok("systemd-analyze", "security", "--threshold=15", "--no-pager", "hfdmd.service")


def test_downloads_over_https_in_the_sandbox(box: Box) -> None:
    for file in SERVES["acme/small"]:
        box.download("acme/small", file)
    for file, size_bytes in SERVES["acme/small"].items():
        done = box.until_done("acme/small", file)
        assert done["downloadedBytes"] == size_bytes
        assert box.path(done["path"]).read_bytes() == content("acme/small", file).read()


def test_the_command_speaks_of_it(box: Box) -> None:
    shown = box.ok("hfdm", "service", "status")
    assert "service: active (running), enabled at boot" in shown
    assert "socket: active (running)" in shown
    assert "hfdmd" in box.ok("hfdm", "service", "logs", "--lines", "5")


@pytest.fixture
def running(box: Box) -> Iterator[None]:
    """Whatever a test does to the service, the next one finds it running."""
    yield
    box.ok("hfdm", "service", "start", "--system")
    assert box.call("GET", "/api/health")[0] == 200


@pytest.mark.usefixtures("running")
def test_hfdm_restart_restarts_the_service(box: Box) -> None:
    pid = box.main_pid()
    said = box.run("hfdm", "restart")
    assert said.code == 0, said.err
    assert box.main_pid() not in (0, pid), "the service does not run any more; what does?"
    assert box.show()["ActiveState"] == box.show("hfdmd.socket")["ActiveState"] == "active"


@pytest.mark.usefixtures("running")
def test_hfdm_stop_is_roots(box: Box) -> None:
    refused = box.run_as("stranger", "hfdm", "stop")
    assert refused.code != 0
    assert box.show()["ActiveState"] == "active"
    said = box.run("hfdm", "stop")
    assert said.code == 0, said.err
    assert box.show()["ActiveState"] == box.show("hfdmd.socket")["ActiveState"] == "inactive"


def test_refuses_code_from_a_home(box: Box) -> None:
    box.ok("install", "-m", "755", "/bin/true", "/home/ada/hfdmd")
    refused = box.run("hfdm", "service", "install", "--system", "--program", "/home/ada/hfdmd")
    assert refused.code == 1
    assert "home" in refused.err
    refused = box.run_as("ada", "hfdm", "service", "install", "--system")
    assert refused.code == 1
    assert "sudo" in refused.err
    box.path("/home/ada/hfdmd").unlink()


def test_socket_activation_from_cold(box: Box) -> None:
    box.ok("systemctl", "stop", "hfdmd.service")
    assert box.show("hfdmd.socket")["ActiveState"] == "active"
    assert box.path(SOCKET).is_socket(), "stopping the service took the socket away"
    start_s = time.monotonic()
    status, answer = box.call("GET", "/api/health")
    assert (status, answer["status"]) == (200, "ok")
    assert time.monotonic() - start_s < 10
    until(lambda: box.show()["ActiveState"] == "active", "READY")


def test_downloads_go_on_after_a_reboot(box: Box) -> None:
    files = SERVES["acme/steady"]
    box.hub(rate=6 << 20)
    for file in files:
        box.download("acme/steady", file)
    for file in files:
        box.until_at_least("acme/steady", file, 1 << 20)
    box.hub(rate=256 << 10)
    box.reboot()
    service = box.show()
    assert (service["ActiveState"], service["NRestarts"]) == ("active", "0")
    box.hub(rate=0)
    for file, size_bytes in files.items():
        done = box.until_done("acme/steady", file)
        with box.path(done["path"]).open("rb") as stream:
            assert stream.read() == content("acme/steady", file).read()
        sent_since = box.hub(sent=file)
        assert sent_since < size_bytes, "what was there before the reboot was fetched again"


def test_upgrade_loses_no_byte(box: Box) -> None:
    size_bytes = SERVES["acme/upgrade"]["big.bin"]
    sent_before = box.hub(sent="big.bin", rate=8 << 20)
    box.download("acme/upgrade", "big.bin")
    box.until_at_least("acme/upgrade", "big.bin", 8 << 20)
    box.hub(rate=256 << 10)
    version = box.ok("readlink", f"{PREFIX}/current")
    box.ok(*PIP, INSTALL, REQUIREMENT, timeout_s=180)
    assert box.ok("readlink", f"{PREFIX}/current") != version
    assert len(box.ok("ls", f"{PREFIX}/versions").split()) == 1, "the old version was left behind"
    assert box.progress("acme/upgrade", "big.bin")["status"] != "done", "there was nothing to lose"
    box.hub(rate=0)
    done = box.until_done("acme/upgrade", "big.bin")
    assert box.path(done["path"]).read_bytes() == content("acme/upgrade", "big.bin").read()
    fetched = box.hub(sent="big.bin") - sent_before
    assert fetched < size_bytes * 1.1, f"{fetched} bytes fetched for a file of {size_bytes}"


def test_an_upgrade_that_does_not_start_is_taken_back(box: Box) -> None:
    version = box.ok("readlink", f"{PREFIX}/current")
    failed = box.run(
        "env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv/wheels /srv/broken", INSTALL, "hfdmd==99.0", timeout_s=180
    )
    assert failed.code == 1
    assert "the old one is back" in failed.err
    assert box.ok("readlink", f"{PREFIX}/current") == version
    assert len(box.ok("ls", f"{PREFIX}/versions").split()) == 1
    status, _ = box.call("GET", "/api/health")
    assert status == 200
