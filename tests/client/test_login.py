"""`hfdm login` and `logout`, and whose Hub token `hfdm` sends."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from tests.client.conftest import Hfdm
from tests.client.terminal import Terminal
from tests.daemon_process import DEADLINE_S
from tests.fakehub import HubServer

TOKEN = "secret-of-the-caller-0123456789"


@pytest.fixture
def gated(hub: HubServer) -> HubServer:
    hub.add_repo("owner/gated", {"x": b"secret"}, gated=True)
    hub.add_token(TOKEN)
    return hub


def login(hfdm: Hfdm, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [hfdm.program, "login"],
        env=hfdm.env,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def test_login_stores_what_stdin_has_and_logout_deletes_it(hfdm: Hfdm, gated: HubServer) -> None:
    file = hfdm.home / "hf" / "token"
    assert hfdm("download", "owner/gated", "x").returncode == 5
    done = login(hfdm, f"{TOKEN}\n")
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert str(file) in done.stderr
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (TOKEN, 0o600)
    assert [path.name for path in file.parent.iterdir() if "token" in path.name] == ["token"]
    official = [str(Path(hfdm.program).with_name("python")), "-c", "import huggingface_hub as h; print(h.get_token())"]
    assert subprocess.run(official, env=hfdm.env, capture_output=True, text=True, check=True).stdout.strip() == TOKEN
    assert hfdm("download", "owner/gated", "x").returncode == 0
    assert hfdm("logout").returncode == 0
    assert not file.exists()
    again = hfdm("logout")
    assert (again.returncode, "No token" in again.stderr) == (0, True)


@pytest.mark.parametrize("text", ["", "\n", "two words\n", "naïve\n"])
def test_what_is_no_token_is_not_stored(hfdm: Hfdm, text: str) -> None:
    done = login(hfdm, text)
    assert done.returncode == 2
    assert "no token" in done.stderr
    assert not (hfdm.home / "hf" / "token").exists()


def test_a_terminal_does_not_show_the_token(hfdm: Hfdm) -> None:
    with Terminal([hfdm.program, "login"], hfdm.env) as terminal:
        terminal.until("not shown")
        terminal.press(f"{TOKEN}\r")
        terminal.until("Stored in")
        assert TOKEN not in terminal.text
    assert (hfdm.home / "hf" / "token").read_text() == TOKEN


def test_hfdm_sends_the_callers_token(hfdm: Hfdm, gated: HubServer) -> None:
    """The running daemon has none."""
    mine = {"HF_TOKEN": TOKEN}
    assert hfdm("files", "owner/gated", **mine).returncode == 0
    assert hfdm("download", "owner/gated", "x", **mine).returncode == 0
    assert hfdm("rm", "owner/gated", "x", "--delete-file", "--yes").returncode == 0
    assert hfdm("download", "owner/gated", "x").returncode == 5
    assert TOKEN not in "".join(path.read_text("latin-1") for path in hfdm.state.rglob("*") if path.is_file())


def test_a_token_is_not_sent_to_a_daemon_of_another_hub(hfdm: Hfdm, gated: HubServer) -> None:
    done = hfdm("download", "owner/gated", "x", HF_TOKEN=TOKEN, HF_ENDPOINT="https://mirror.example")
    assert done.returncode == 5, done.stderr
    assert not any(request.authorization for request in gated.log)


def test_a_token_with_odd_characters_is_refused_without_showing_it(hfdm: Hfdm) -> None:
    done = hfdm("download", "owner/name", "config.json", HF_TOKEN="hf_bad token")
    assert done.returncode == 2
    assert "HF_TOKEN" in done.stderr
    assert "hf_bad" not in done.stderr
