"""`hfdm` as a person sees it: in a real pseudo-terminal, at several widths."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import termios
from collections.abc import Iterator

import pytest

from tests.client.conftest import BIG, BIG_BYTES, REPO, Hfdm
from tests.client.terminal import Terminal
from tests.daemon_process import Daemon, until
from tests.fakehub import HubServer
from tests.marks import slow

WIDTHS = [60, slow(80), slow(200)]


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_download_shows_a_bar_and_then_the_path(hfdm: Hfdm, hub: HubServer, columns: int) -> None:
    hub.rate_bytes_per_s = 6_000_000
    with Terminal([hfdm.program, "download", REPO, BIG], hfdm.env, columns=columns) as terminal:
        seen = terminal.until(r"\d+\.\d% .*\S+ MB/s")
        assert "━" in seen
        assert terminal.end() == 0
        last = terminal.text.split("✓")[-1]
        assert re.search(r"snapshots/[0-9a-f]{40}/model\.safetensors", last)
        assert max(len(line) for line in terminal.lines if "━" in line) <= columns


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_repo_shows_its_files(hfdm: Hfdm, hub: HubServer, columns: int) -> None:
    hub.rate_bytes_per_s = 6_000_000
    with Terminal([hfdm.program, "download", REPO], hfdm.env, columns=columns) as terminal:
        terminal.until(r"/3 files\)")
        terminal.until(r"safetensors +━")
        assert terminal.end() == 0
        assert "(3/3 files)" in terminal.text


@pytest.mark.parametrize("columns", WIDTHS)
def test_watch_shows_everything_and_obeys_keys(hfdm: Hfdm, hub: HubServer, daemon: Daemon, columns: int) -> None:
    hub.rate_bytes_per_s = 100_000
    asked = daemon.download(REPO, BIG).json
    with Terminal([hfdm.program, "watch"], hfdm.env, columns=columns) as terminal:
        terminal.until(r"1 downloading")
        terminal.until(r"\d+\.\d% ")
        terminal.press(" ")
        terminal.until(r"paused: 1")
        assert daemon.view(asked["id"])["status"] == "paused"
        terminal.press("p")
        terminal.until(r"resumed: 1")
        terminal.press("P")
        until(lambda: daemon.view(asked["id"])["status"] == "paused", "all are paused")
        terminal.press("R")
        until(lambda: daemon.view(asked["id"])["status"] != "paused", "all are resumed")
        terminal.press("c")
        terminal.until(rf"Cancel {REPO}")
        terminal.press("y")
        until(lambda: daemon.view(asked["id"])["status"] == "cancelled", "it is cancelled")
        terminal.press("q")
        assert terminal.end() == 0
        assert "\x1b[?1049l" in terminal.raw  # the screen from before is back
        assert "\x1b[?25h" in terminal.raw[-300:]  # and the cursor


def test_ctrl_c_in_one_of_two_terminals(hfdm: Hfdm, hub: HubServer, daemon: Daemon) -> None:
    hub.rate_bytes_per_s = 1_000_000
    command = [hfdm.program, "download", REPO, BIG]
    with Terminal(command, hfdm.env) as first, Terminal(command, hfdm.env) as second:
        first.until(r"\d+\.\d%")
        second.until(r"\d+\.\d%")
        first.press("\x03")
        assert first.end() == 130
        assert "continues in the background" in first.text
        assert "Traceback" not in first.text
        hub.rate_bytes_per_s = 0
        assert second.end() == 0
        assert hub.sent_bytes(BIG) < 2 * BIG_BYTES  # one transfer for both


@pytest.fixture
def heard_signals() -> Iterator[None]:
    """Also where the tests themselves run under `nohup`, which their programs would inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["watch", "download"])
def test_a_signal_leaves_the_terminal_as_it_was(
    hfdm: Hfdm, hub: HubServer, daemon: Daemon, verb: str, number: signal.Signals
) -> None:
    hub.rate_bytes_per_s = 1_000_000
    daemon.download(REPO, BIG)
    with Terminal([hfdm.program, verb, REPO, BIG], hfdm.env) as terminal:
        terminal.until(r"\d+\.\d%")
        terminal.child.kill(number)
        until(lambda: not terminal.child.isalive(), "it has ended")
        after = termios.tcgetattr(terminal.child.child_fd)[3]
        assert terminal.end() == 128 + number
        assert terminal.raw.count("\x1b[?25h") >= terminal.raw.count("\x1b[?25l") > 0
        assert after & termios.ECHO
        assert after & termios.ICANON
        assert "Traceback" not in terminal.text


def test_a_signal_that_is_ignored_stays_so(hfdm: Hfdm, hub: HubServer, daemon: Daemon) -> None:
    """As `nohup` wants it."""
    hub.rate_bytes_per_s = 1_000_000
    process = subprocess.Popen(
        ["nohup", hfdm.program, "download", REPO, BIG], env=hfdm.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until(lambda: bool(daemon.get("/api/progress", status="downloading").json["downloads"]), "it is downloading")
    process.send_signal(signal.SIGHUP)
    hub.rate_bytes_per_s = 0
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.slow
def test_the_daemon_is_killed_and_restarted_under_two_terminals(hfdm: Hfdm, hub: HubServer, daemon: Daemon) -> None:
    hub.rate_bytes_per_s = 2_000_000
    download = [hfdm.program, "download", REPO, BIG]
    watch = [hfdm.program, "watch", REPO, BIG]
    with Terminal(download, hfdm.env) as first:
        first.until(r"\d+\.\d% ")
        second = Terminal(watch, hfdm.env, columns=60)
        second.until(r"\d+\.\d% ")
        daemon.kill()
        daemon.start()
        first.read()
        assert daemon.stop() == 0
        daemon.start()
        hub.rate_bytes_per_s = 0
        assert first.end() == 0
        assert second.end() == 0
        assert "✓" in first.text
        assert "Traceback" not in first.text + second.text


WAITS, MOVES = r"(network|hub unavailable|stalled): ", r"[\d.]+ [kM]B/s"


@pytest.mark.parametrize("verb", ["download", slow("watch")])
def test_an_outage_is_named_in_the_row_and_no_speed_is_shown(
    hfdm: Hfdm, hub: HubServer, daemon: Daemon, verb: str
) -> None:
    hub.rate_bytes_per_s = 500_000
    daemon.download(REPO, BIG)
    with Terminal([hfdm.program, verb, REPO, BIG], hfdm.env, columns=120) as terminal:
        terminal.until(MOVES)
        hub.down()
        terminal.until(WAITS)
        before = len(terminal.text)
        for _ in range(15):
            terminal.read()
        assert not re.search(MOVES, terminal.text[before:])
        hub.up()
        before = len(terminal.text)
        until(lambda: terminal.read() or re.search(MOVES, terminal.text[before:]), "it goes on")
        hub.rate_bytes_per_s = 0
        assert terminal.end() == 0


def test_an_outage_is_one_line_without_a_terminal(hfdm: Hfdm, hub: HubServer, daemon: Daemon) -> None:
    hub.rate_bytes_per_s = 500_000
    daemon.call("PATCH", "/api/settings", {"stallTimeout": 1})
    process = hfdm.popen("download", REPO, BIG)
    key = until(lambda: daemon.get("/api/progress").json["downloads"], "it is asked for")[0]["id"]
    until(lambda: daemon.view(key)["downloadedBytes"], "it moves")
    hub.down()
    until(lambda: daemon.view(key)["attempt"] >= 2, "it was tried again")
    hub.rate_bytes_per_s = 0
    hub.up()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    _, *lines = errors.splitlines()
    assert len([line for line in lines if "resolving" in line or "network" in line]) == 1, errors


def test_no_colour_and_dumb_terminals(hfdm: Hfdm, hub: HubServer) -> None:
    colour = re.compile(r"\x1b\[(?!0m|1m|2m|22m)[0-9;]*[34][0-9;]*m")
    with Terminal([hfdm.program, "download", REPO, "config.json"], {**hfdm.env, "NO_COLOR": "1"}) as terminal:
        assert terminal.end() == 0
        assert not colour.search(terminal.raw)
    with Terminal([hfdm.program, "status"], {**hfdm.env, "NO_COLOR": "1"}) as terminal:
        assert terminal.end() == 0
        assert not colour.search(terminal.raw)
    hub.rate_bytes_per_s = 6_000_000
    with Terminal([hfdm.program, "download", REPO, BIG], hfdm.env, term="dumb") as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.raw
    with Terminal([hfdm.program, "watch", REPO, BIG], hfdm.env, term="dumb") as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.raw


def test_doctor_colours_the_mark_only(hfdm: Hfdm) -> None:
    with Terminal([hfdm.program, "doctor", "--offline"], hfdm.env) as terminal:
        assert terminal.end() in (0, 1)
        assert re.search(r"\x1b\[32m✓\x1b\[0m daemon", terminal.raw)


@pytest.mark.slow
@pytest.mark.parametrize("columns", WIDTHS)
def test_tables_fit(hfdm: Hfdm, hub: HubServer, columns: int) -> None:
    hub.add_repo("owner/long", {"a/" + "very-long-folder/" * 6 + "model-00001-of-00012.safetensors": b"x" * 3000})
    hfdm("download", "owner/long")
    hfdm("download", REPO, "nothing.bin")
    for verb in (["status", "--all"], ["files", "owner/long"], ["status"]):
        with Terminal([hfdm.program, *verb], hfdm.env, columns=columns) as terminal:
            assert terminal.end() == 0
            assert terminal.widest <= columns, terminal.text


def test_rm_asks_first(hfdm: Hfdm) -> None:
    hfdm("download", REPO, "config.json")
    with Terminal([hfdm.program, "rm", "--all"], hfdm.env) as terminal:
        terminal.until(r"\[y/N\]")
        assert f"{REPO} config.json" in terminal.text
        terminal.press("n\n")
        assert terminal.end() == 1
        assert "Nothing was changed" in terminal.text
    with Terminal([hfdm.program, "rm", "--all"], hfdm.env) as terminal:
        terminal.until(r"\[y/N\]")
        terminal.press("y\n")
        assert terminal.end() == 0
        assert "removed" in terminal.text


def test_rm_names_what_it_asks_about(hfdm: Hfdm) -> None:
    key = json.loads(hfdm("download", REPO, "config.json", "--json").stdout)["id"]
    for answer, code in (("\x04", 130), ("\x03", 130), ("n\n", 1), ("y\n", 0)):
        with Terminal([hfdm.program, "rm", "--id", key, "--delete-file"], hfdm.env) as terminal:
            terminal.until(r"\[y/N\]")
            assert f"{REPO} config.json" in terminal.text
            terminal.press(answer)
            assert terminal.end() == code
            assert ("removed" if code == 0 else "Nothing was changed") in terminal.text
    for gone in (["--id", key], [REPO], [REPO, "config.json"]):
        with Terminal([hfdm.program, "rm", *gone, "--delete-file"], hfdm.env) as terminal:
            assert terminal.end() == 4
            assert "[y/N]" not in terminal.text


def test_it_outlives_the_terminal_that_started_it(lone_hfdm: Hfdm, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 1_000_000
    terminal = Terminal([lone_hfdm.program, "download", REPO, BIG], lone_hfdm.env)
    terminal.until(r"\d+\.\d% ")
    terminal.child.kill(signal.SIGHUP)
    terminal.child.close(force=True)  # the terminal itself is gone, and hangs up on all that belongs to it
    assert len(lone_hfdm.pids()) == 1
    hub.rate_bytes_per_s = 0
    assert lone_hfdm("download", REPO, BIG).returncode == 0


def test_the_title_shows_the_progress_and_is_given_back(hfdm: Hfdm, hub: HubServer) -> None:
    hub.rate_bytes_per_s = 6_000_000
    with Terminal([hfdm.program, "download", REPO, BIG], hfdm.env) as terminal:
        assert terminal.end() == 0
        assert re.search(r"\x1b\]2;\d+% name\x07\x1b\]9;4;1;\d+\x07", terminal.raw)
        assert "\x1b]9;4;0\x07\x1b[23;2t\x07" in terminal.raw
