"""What systemd and launchd pass to the daemon and receive from it: messages of sd_notify(3), listening sockets.

Through systemd-python if installed, else by systemd's protocols. Sockets of systemd are named by LISTEN_FDS, those of
launchd by launch_activate_socket. Such a socket belongs to the manager, so its file is never unlinked here. Without
`$NOTIFY_SOCKET` (a terminal, launchd, a container) no message is sent.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

log = logging.getLogger("hfdmd.notify")

Send = Callable[[str], object]

_SEND_TIMEOUT_S: Final = 1.0  # a manager that does not read must not block the event loop for long
_FIRST_FD: Final = 3  # SD_LISTEN_FDS_START
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_NOT_OURS: Final = (errno.ENOENT, errno.ESRCH, errno.EALREADY)


def _systemd_python() -> Any:
    """`systemd.daemon`, which uses the environment of the process; None if it is not installed."""
    try:
        return importlib.import_module("systemd.daemon")
    except ImportError:
        return None


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
        library = _systemd_python() if env is os.environ else None
        send = library.notify if library is not None else _protocol(address)
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


def systemd_sockets(env: MutableMapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """The sockets of sd_listen_fds_with_names(3), non-blocking, by name (`FileDescriptorName=`).

    Of several with the same name the second is called `name.2`, and so on. Empty if the sockets are not for this
    process. The variables are removed, so that no child process uses the sockets.
    Raises ValueError if a descriptor is not a listening stream socket.
    """
    library = _systemd_python() if env is os.environ else None
    names = _names_by_protocol(env) if library is None else dict(library.listen_fds_with_names(unset_environment=True))
    for variable in _VARIABLES:
        env.pop(variable, None)
    sockets: dict[str, socket.socket] = {}
    try:
        for fd, name in names.items():
            number = 1 + sum(other == name or other.startswith(name + ".") for other in sockets)
            sockets[name if number == 1 else f"{name}.{number}"] = _listening(fd)
    except ValueError:
        for taken in sockets.values():
            taken.close()
        raise
    return sockets


def launchd_sockets(name: str = "api") -> list[socket.socket]:
    """The sockets under `name` in the plist's `Sockets`, non-blocking; empty if not started by launchd.

    launchd passes them once: a second call returns an empty list. Raises OSError for any other error and ValueError
    if one is not a listening stream socket. See launch_activate_socket(3).
    """
    library = ctypes.CDLL(None)
    try:
        activate, free = library.launch_activate_socket, library.free
    except AttributeError:  # not macOS
        return []
    # Without the types ctypes would truncate the pointers to 32 bits.
    activate.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.POINTER(ctypes.c_int)), ctypes.POINTER(ctypes.c_size_t)]
    activate.restype = ctypes.c_int
    free.argtypes, free.restype = [ctypes.c_void_p], None

    fds = ctypes.POINTER(ctypes.c_int)()
    count = ctypes.c_size_t()
    failure = activate(name.encode(), ctypes.byref(fds), ctypes.byref(count))
    if failure in _NOT_OURS:
        return []
    if failure:
        raise OSError(failure, f"launchd does not pass the socket {name!r}: {os.strerror(failure)}")
    try:
        return [_listening(fd) for fd in fds[: count.value]]
    finally:
        free(fds)


def _names_by_protocol(env: MutableMapping[str, str]) -> dict[int, str]:
    if env.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = env.get("LISTEN_FDS", "")
    if not count.isascii() or not count.isdigit():
        raise ValueError(f"LISTEN_FDS={count!r} is not a number")
    names = env["LISTEN_FDNAMES"].split(":") if env.get("LISTEN_FDNAMES") else ["unknown"] * int(count)
    if len(names) != int(count):
        raise ValueError(f"LISTEN_FDNAMES names {len(names)} sockets, LISTEN_FDS says {count}")
    return dict(enumerate(names, _FIRST_FD))


def _listening(fd: int) -> socket.socket:
    """`fd` as a Python socket that child processes do not inherit."""
    try:
        os.set_inheritable(fd, False)
        taken = socket.socket(fileno=fd)
    except OSError as error:
        raise ValueError(f"descriptor {fd} was passed as a socket but is not one: {error}") from error
    try:
        listens = taken.type == socket.SOCK_STREAM and taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:  # macOS before 10.15 has no SO_ACCEPTCONN; only the type is checked
        listens = taken.type == socket.SOCK_STREAM
    if not listens:
        taken.detach()
        raise ValueError(f"descriptor {fd} was passed but is not a listening stream socket (Accept=yes?)")
    taken.setblocking(False)
    return taken
