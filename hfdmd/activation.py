"""Listening sockets of the service manager: systemd's LISTEN_FDS, launchd's launch_activate_socket.

Such a socket belongs to the manager, so its file is never unlinked here.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import socket
from collections.abc import MutableMapping
from typing import Any, Final

_FIRST_FD: Final = 3  # SD_LISTEN_FDS_START
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_NOT_OURS: Final = (errno.ENOENT, errno.ESRCH, errno.EALREADY)


def systemd_sockets(env: MutableMapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """The sockets of sd_listen_fds_with_names(3), non-blocking, by name (`FileDescriptorName=`).

    Of several with the same name the second is called `name.2`, and so on. Empty if the sockets are not for this
    process. The variables are removed, so that no child process uses the sockets.
    Raises ValueError if a descriptor is not a listening stream socket.
    """
    names = _names_by_library() if env is os.environ else None
    if names is None:
        names = _names_by_protocol(env)
    for variable in _VARIABLES:
        env.pop(variable, None)
    sockets: dict[str, socket.socket] = {}
    try:
        for fd, name in names.items():
            sockets[_unused(name, sockets)] = _listening(fd)
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


def _names_by_library() -> dict[int, str] | None:
    """{fd: name} of this process by systemd-python; None if it is not installed."""
    try:
        daemon: Any = importlib.import_module("systemd.daemon")
    except ImportError:
        return None
    return dict(daemon.listen_fds_with_names(unset_environment=True))


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


def _unused(name: str, taken: MutableMapping[str, socket.socket]) -> str:
    number = 1 + sum(other == name or other.startswith(name + ".") for other in taken)
    return name if number == 1 else f"{name}.{number}"


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
