"""What the daemon tells the service manager: sd_notify(3), by systemd-python when installed, else by its protocol.

Without `$NOTIFY_SOCKET` (a terminal, launchd, a container) every call does nothing.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

log = logging.getLogger(__name__)

Send = Callable[[str], None]

_SEND_TIMEOUT_S: Final = 1.0  # a manager that does not read must not hold the daemon's loop for long


def _protocol(address: str) -> Send | None:
    """Sends datagrams to `address`, a path or `@abstract`; None for a kind that is not spoken here (vsock)."""
    if not address.startswith(("/", "@")):
        return None
    target = "\0" + address[1:] if address.startswith("@") else address

    def send(text: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.settimeout(_SEND_TIMEOUT_S)
            connection.sendto(text.encode(), target)

    return send


def _library() -> Send | None:
    """systemd-python's notify, which reads `$NOTIFY_SOCKET` of the process itself; None where it is not installed."""
    try:
        daemon: Any = importlib.import_module("systemd.daemon")
    except ImportError:
        return None

    def send(text: str) -> None:
        daemon.notify(text)

    return send


def _watchdog_interval_s(env: Mapping[str, str]) -> float | None:
    """Half of `$WATCHDOG_USEC`; None when no watchdog waits for this very process (sd_watchdog_enabled(3))."""
    usec, pid = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
    if not usec:
        return None
    if not usec.isascii() or not usec.isdigit() or int(usec) == 0 or (pid and not pid.isdigit()):
        log.warning("the watchdog's variables make no sense: WATCHDOG_USEC=%r WATCHDOG_PID=%r", usec, pid)
        return None
    if pid and int(pid) != os.getpid():
        return None
    return int(usec) / 2_000_000


class Notifier:
    """One per daemon. No call raises: what cannot be sent is logged, since the work goes on without a manager."""

    def __init__(self, send: Send | None, watchdog_interval_s: float | None = None) -> None:
        self._send = send
        self.watchdog_interval_s = watchdog_interval_s
        """Seconds between two `watchdog()` calls that keep the manager content; None: nobody waits for them."""
        self._last_status = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Notifier:
        """The manager that started this process, as `env` names it."""
        address = env.get("NOTIFY_SOCKET", "")
        if not address:
            return cls(None)
        # The library looks into the process's own environment, so it cannot serve another one.
        send = (_library() if env is os.environ else None) or _protocol(address)
        if send is None:
            log.warning("NOTIFY_SOCKET=%r is no path and no abstract name: the service manager hears nothing", address)
        return cls(send, _watchdog_interval_s(env) if send else None)

    @property
    def enabled(self) -> bool:
        """Whether anybody hears what is told."""
        return self._send is not None

    def ready(self, status: str) -> None:
        """The API answers. Also ends `reloading()`."""
        self._tell("READY=1", self._status_line(status))

    def status(self, text: str) -> None:
        """What it is doing, in words, for `systemctl status`. The same words again are not sent."""
        if text != self._last_status:
            self._tell(self._status_line(text))

    def stopping(self) -> None:
        """A clean stop has begun."""
        self._tell("STOPPING=1", self._status_line("stopping"))

    def reloading(self) -> None:
        """The configuration is being read again; `ready()` says when that is over."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={usec}", self._status_line("reading the configuration again"))

    def watchdog(self) -> None:
        """The loop turns and the workers answer. To be called every `watchdog_interval_s`."""
        self._tell("WATCHDOG=1")

    def _status_line(self, text: str) -> str:
        self._last_status = text
        # One assignment a line: a line break in a file's name must not become an assignment of its own.
        return "STATUS=" + "".join(c if c.isprintable() else "?" for c in text)

    def _tell(self, *assignments: str) -> None:
        if self._send is None:
            return
        try:
            self._send("\n".join(assignments))
        except OSError as error:
            log.warning("the service manager was not told %s: %s", assignments[0], error)
