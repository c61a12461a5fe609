"""hfdmd.service_manager against a socket that listens as systemd does, with and without systemd-python."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from hfdmd.service_manager import Notifier
from tests.service.conftest import REPO
from tests.service.manager import NotifySocket


def run(python: str, code: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`code` in a process of its own, since systemd-python reads the process's environment."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO), **env}
    return subprocess.run(
        [python, "-c", code], env=environment, capture_output=True, text=True, timeout=30, check=True, cwd="/"
    )


PROGRAM = """
import os
from hfdmd.service_manager import Notifier
notifier = Notifier.from_env()
notifier.ready("nothing to do")
notifier.status("2 downloads\\nREADY=0")
notifier.status("2 downloads\\nREADY=0")
notifier.watchdog()
notifier.reloading()
notifier.stopping()
print(os.getpid(), notifier.watchdog_interval_s)
"""


def test_says_each_thing_in_the_managers_words(python: str, notify: NotifySocket) -> None:
    before_us = time.monotonic_ns() // 1000
    done = run(python, PROGRAM, {"NOTIFY_SOCKET": notify.address, "WATCHDOG_USEC": "30000000"})
    pid, interval_s = done.stdout.split()
    messages = [notify.read() for _ in range(5)]
    assert {sender for sender, _ in messages} == {int(pid)}
    ready, status, watchdog, reloading, stopping = (assigned for _, assigned in messages)
    assert ready == {"READY": "1", "STATUS": "nothing to do"}
    assert status == {"STATUS": "2 downloads?READY=0"}, "a line break became an assignment, or was said twice"
    assert watchdog == {"WATCHDOG": "1"}
    assert reloading["RELOADING"] == "1"
    assert before_us <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert stopping["STOPPING"] == "1"
    assert float(interval_s) == 15.0
    assert done.stderr == ""


def test_is_silent_without_a_manager(python: str) -> None:
    done = run(python, PROGRAM, {"WATCHDOG_USEC": "30000000"})
    assert done.stdout.split()[1] == "None"
    assert done.stderr == ""


def test_goes_on_when_the_manager_is_gone(python: str, folder: object) -> None:
    done = run(python, PROGRAM, {"NOTIFY_SOCKET": f"{folder}/nobody"})
    assert "cannot send READY=1 to the service manager" in done.stderr


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "me"}, None),
        ({}, None),
    ],
)
def test_watchdog_interval(env: dict[str, str], expected: float | None) -> None:
    assert Notifier.from_env({"NOTIFY_SOCKET": "/nowhere", **env}).watchdog_interval_s == expected


@pytest.mark.parametrize(("env", "enabled"), [({}, False), ({"NOTIFY_SOCKET": "/nowhere"}, True)])
def test_knows_whether_anybody_listens(env: dict[str, str], enabled: bool) -> None:
    assert Notifier.from_env(env).enabled is enabled


def test_an_address_it_cannot_speak_to_is_said(caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier.from_env({"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "3000000"})
    notifier.ready("")
    assert notifier.watchdog_interval_s is None
    assert "vsock:2:1234" in caplog.text
