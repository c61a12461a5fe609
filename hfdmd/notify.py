"""Messages to the service manager: sd_notify(3), by systemd-python if installed, else by its protocol.

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

_SEND_TIMEOUT_S: Final = 1.0  # a manager that does not read must not block the event loop for long


def _protocol(address: str) -> Send | None:
    """Sends datagrams to `address`, a path or `@abstract`; None for other kinds (vsock)."""
    if not address.startswith(("/", "@")):
        return None
    target = "\0" + address[1:] if address.startswith("@") else address

    def send(text: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.settimeout(_SEND_TIMEOUT_S)
            connection.sendto(text.encode(), target)

    return send


def _library() -> Send | None:
    """systemd-python's notify, which reads `$NOTIFY_SOCKET` of the process; None if it is not installed."""
    try:
        daemon: Any = importlib.import_module("systemd.daemon")
    except ImportError:
        return None

    def send(text: str) -> None:
        daemon.notify(text)

    return send


def _watchdog_interval_s(env: Mapping[str, str]) -> float | None:
    """Half of `$WATCHDOG_USEC`; None without a watchdog for this process (sd_watchdog_enabled(3))."""
    usec, pid = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
    if not usec:
        return None
    if not usec.isascii() or not usec.isdigit() or int(usec) == 0 or (pid and not pid.isdigit()):
        log.warning("invalid watchdog variables: WATCHDOG_USEC=%r WATCHDOG_PID=%r", usec, pid)
        return None
    if pid and int(pid) != os.getpid():
        return None
    return int(usec) / 2_000_000


class Notifier:
    """One per daemon. No call raises: messages that cannot be sent are logged."""

    def __init__(self, send: Send | None, watchdog_interval_s: float | None = None) -> None:
        self._send = send
        self.watchdog_interval_s = watchdog_interval_s
        """Seconds between two calls of `watchdog()`; None without a watchdog."""
        self._last_status = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Notifier:
        """The notifier for the service manager that `env` names."""
        address = env.get("NOTIFY_SOCKET", "")
        if not address:
            return cls(None)
        # The library reads the environment of the process, so it cannot use another one.
        send = (_library() if env is os.environ else None) or _protocol(address)
        if send is None:
            log.warning(
                "NOTIFY_SOCKET=%r is neither a path nor an abstract name: the service manager gets no messages", address
            )
        return cls(send, _watchdog_interval_s(env) if send else None)

    @property
    def enabled(self) -> bool:
        """Whether there is a service manager."""
        return self._send is not None

    def ready(self, status: str) -> None:
        """The API accepts requests. Also ends `reloading()`."""
        self._notify("READY=1", self._status_line(status))

    def status(self, text: str) -> None:
        """The line of text in `systemctl status`. A repetition is not sent."""
        if text != self._last_status:
            self._notify(self._status_line(text))

    def stopping(self) -> None:
        """A clean shutdown has begun."""
        self._notify("STOPPING=1", self._status_line("stopping"))

    def reloading(self) -> None:
        """The configuration is being read again, until `ready()`."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._notify("RELOADING=1", f"MONOTONIC_USEC={usec}", self._status_line("reading the configuration again"))

    def watchdog(self) -> None:
        """The daemon is alive. To be called every `watchdog_interval_s`."""
        self._notify("WATCHDOG=1")

    def _status_line(self, text: str) -> str:
        self._last_status = text
        # One assignment per line: a line break in a file name must not begin another assignment.
        return "STATUS=" + "".join(c if c.isprintable() else "?" for c in text)

    def _notify(self, *assignments: str) -> None:
        if self._send is None:
            return
        try:
            self._send("\n".join(assignments))
        except OSError as error:
            log.warning("cannot send %s to the service manager: %s", assignments[0], error)
