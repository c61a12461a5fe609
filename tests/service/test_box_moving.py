"""On the booted system: stopping, crashing, hanging and reloading while bytes are on the move."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon_process import until
from tests.service.box import CACHE, PREFIX, SOCKET, STATE, Box
from tests.service.hub_in_box import SERVES, content

STOP_LIMIT_S = 5.0


@pytest.fixture(autouse=True)
def full_speed(box: Box) -> Iterator[None]:
    yield
    box.hub(rate=0)
    box.call("PATCH", "/api/settings", {"maxActiveDownloads": None})


def test_two_thousand_requests_over_restarts(box: Box) -> None:
    # The service's socket as seen from here; a new connection for each request, as separate programs would.
    command = [sys.executable, str(Path(__file__).with_name("knock.py")), str(box.path(SOCKET)), "2000"]
    pid = box.main_pid()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as knocking:
        assert knocking.stdout is not None
        assert knocking.stdout.readline() == "200\n"
        box.restart()
        box.restart()
        output, errors = knocking.communicate(timeout=60)
    assert box.main_pid() != pid
    assert output.split("\n")[-2] == "lost 0", errors


def test_kill_9_goes_on_and_a_client_waits(box: Box) -> None:
    size_bytes = SERVES["acme/crash"]["big.bin"]
    sent_before = box.hub(sent="big.bin", rate=3 << 20)
    box.download("acme/crash", "big.bin")
    box.until_at_least("acme/crash", "big.bin", 9 << 20)
    pid = box.main_pid()
    box.ok("kill", "-9", str(pid))
    start_s = time.monotonic()
    status, now = box.call("GET", "/api/progress?modelRepo=acme/crash&filePath=big.bin")
    assert status == 200
    assert time.monotonic() - start_s < 10
    assert box.main_pid() not in (0, pid)
    assert now["downloadedBytes"] > 0, "nothing of it was kept"
    box.hub(rate=0)
    done = box.until_done("acme/crash", "big.bin")
    assert box.path(done["path"]).read_bytes() == content("acme/crash", "big.bin").read()
    # At most the last moment before the kill is fetched again: checkpoints are synced about every 2 s.
    again = box.hub(sent="big.bin") - sent_before - size_bytes
    assert again < 9 << 20


def test_stop_with_twenty_downloads_running(box: Box) -> None:
    files = SERVES["acme/twenty"]
    status, _ = box.call("PATCH", "/api/settings", {"maxActiveDownloads": len(files)})
    assert status == 200
    box.hub(rate=5 << 20)
    before = {file: box.hub(sent=file) for file in files}
    for file in files:
        box.download("acme/twenty", file)

    def all_running() -> bool:
        _, answer = box.call("GET", "/api/progress?modelRepo=acme/twenty&status=downloading")
        moving = [one for one in answer["downloads"] if one["downloadedBytes"]]
        return len(answer["downloads"]) == len(files) and len(moving) > len(files) // 4

    until(all_running, "twenty downloads run")
    start_s = time.monotonic()
    box.ok("systemctl", "stop", "hfdmd.service")
    took_s = time.monotonic() - start_s
    service = box.show()
    assert (service["Result"], service["ExecMainStatus"]) == ("success", "0")
    assert took_s < STOP_LIMIT_S, f"stopping took {took_s:.1f} s"
    # All that was received has a synced checkpoint: nothing is downloaded twice.
    box.hub(rate=0)
    for file in files:
        box.until_done("acme/twenty", file)
    for file, size_bytes in files.items():
        fetched = box.hub(sent=file) - before[file]
        assert fetched <= size_bytes * 1.05, f"{file}: {fetched} bytes fetched of {size_bytes}"


@pytest.fixture
def config(box: Box) -> Iterator[Path]:
    """The administrator's config.toml, which no other test sees."""
    file = box.path("/etc/hfdmd/config.toml")
    yield file
    file.unlink(missing_ok=True)
    box.restart()


def test_reload_leaves_downloads_alone(box: Box, config: Path) -> None:
    box.hub(rate=2 << 20)
    box.download("acme/reload", "big.bin")
    before = box.until_at_least("acme/reload", "big.bin", 1 << 20)
    pid, attempt = box.main_pid(), before["attempt"]
    config.write_text("max_active_downloads = 7\n")
    box.ok("systemctl", "reload", "hfdmd.service")

    def reloaded() -> bool:
        _, now = box.call("GET", "/api/settings")
        return bool(now["maxActiveDownloads"] == 7)

    until(reloaded, "the new settings", 10)
    after = box.progress("acme/reload", "big.bin")
    assert (box.main_pid(), after["status"], after["attempt"]) == (pid, "downloading", attempt)
    assert box.show()["ActiveState"] == "active"


def test_a_bad_file_on_reload_changes_nothing(box: Box, config: Path) -> None:
    config.write_text("max_active_downloads = 6\n")
    box.restart()
    pid, began_s = box.main_pid(), time.time()
    config.write_text("max_active_downloads = 'many'\n")
    box.ok("systemctl", "reload", "hfdmd.service")
    until(lambda: box.journal("-u", "hfdmd", "PRIORITY=3", since_s=began_s), "a word about it", 10)
    status, settings = box.call("GET", "/api/settings")
    assert (box.main_pid(), status, settings["maxActiveDownloads"]) == (pid, 200, 6)


def test_a_hung_loop_is_aborted_and_its_stack_is_in_the_journal(box: Box) -> None:
    box.drop_in("WatchdogSec=3s\nEnvironment=PYTHONPATH=/srv/hang\n")
    try:
        box.restart()
        box.hub(rate=2 << 20)
        box.download("acme/hang", "big.bin")
        box.until_at_least("acme/hang", "big.bin", 1 << 20)
        pid, began_s = box.main_pid(), time.time()
        box.ok("kill", "-USR1", str(pid))
        until(lambda: box.main_pid() not in (0, pid), "another daemon")
        until(lambda: box.show()["ActiveState"] == "active", "READY")
        text = "\n".join(str(entry["MESSAGE"]) for entry in box.journal("-u", "hfdmd", since_s=began_s))
        assert "Watchdog timeout" in text
        assert "hang_the_loop" in text, "the Python stack of the hang is not in the journal"
        box.hub(rate=0)
        box.until_done("acme/hang", "big.bin")
    finally:
        box.drop_in("")
        box.restart()


def test_a_quiet_daemon_is_no_hang(box: Box) -> None:
    # A frozen Hub, then an empty queue, over several watchdog periods: neither may look like a hang.
    box.drop_in("WatchdogSec=1s\n")
    try:
        box.restart()
        pid = box.main_pid()
        box.hub(rate=20_000)
        box.download("acme/person", "model.safetensors")
        quiet = threading.Event()
        quiet.wait(4)
        assert (box.main_pid(), box.show()["NRestarts"]) == (pid, "0")
    finally:
        box.hub(rate=0)
        box.drop_in("")
        box.restart()
    box.until_done("acme/person", "model.safetensors")


@pytest.mark.parametrize("setting", ["HFDMD_LISTEN=0.0.0.0:7878", "HFDMD_MAX_CONNECTIONS=many"])
def test_bad_configuration_is_not_retried(box: Box, setting: str) -> None:
    box.drop_in(f"Environment={setting}\n")
    try:
        box.run("systemctl", "restart", "hfdmd.service")
        until(lambda: box.show()["ActiveState"] == "failed", "the failure")
        service = box.show()
        assert (service["ExecMainStatus"], service["NRestarts"]) == ("78", "0")
        shown = box.run("hfdm", "service", "status")
        assert "exit code 78" in shown.out
        assert "reset-failed" in shown.out
    finally:
        box.drop_in("")
        said = box.run("hfdm", "service", "start")
    assert said.code == 0, said.err
    assert box.call("GET", "/api/health")[0] == 200


def test_a_second_daemon_is_told_of_the_first(box: Box) -> None:
    env = ("env", f"HFDMD_STATE_DIR={STATE}", f"HF_HOME={CACHE}/huggingface", f"HFDMD_SOCKET={STATE}/second.sock")
    second = box.run("runuser", "-u", "hfdmd", "--", *env, f"{PREFIX}/bin/hfdmd")
    assert second.code == 75
    assert str(box.main_pid()) in second.err
    assert box.call("GET", "/api/health")[0] == 200


def test_the_journal_is_searched_by_field(box: Box) -> None:
    entries = box.journal("HFDMD_REPO=acme/small", "-u", "hfdmd")
    assert entries, "no record carries the repo"
    assert {entry["_SYSTEMD_UNIT"] for entry in entries} == {"hfdmd.service"}
    assert {entry["SYSLOG_IDENTIFIER"] for entry in entries} == {"hfdmd"}
    assert all(entry["PRIORITY"] in "34567" for entry in entries)


def test_no_secret_reached_the_journal(box: Box) -> None:
    text = box.ok("journalctl", "-u", "hfdmd", "--output=export", "--no-pager")
    for secret in ("X-Amz-Signature", "Signature=", "Authorization", "Bearer "):
        assert secret not in text


def test_nothing_runs_as_root(box: Box) -> None:
    owner = os.stat(box.path(f"/proc/{box.main_pid()}")).st_uid
    assert owner == box.uid("hfdmd")
