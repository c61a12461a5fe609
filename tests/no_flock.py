"""`python -m tests.no_flock ENOLCK COMMAND…` runs a command where flock(2) fails, as on some network file systems.

The kernel itself says so, by a seccomp filter that the command inherits: seccomp(2), and linux/filter.h, seccomp.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence

import pytest

FLOCK = {"x86_64": 73, "aarch64": 32}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ERRNO, _ALLOW = 0x0005_0000, 0x7FFF_0000
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2

needs_seccomp = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in FLOCK, reason="needs seccomp of a known machine"
)
KINDS = ("ENOSYS", "ENOTSUP", "ENOLCK")


def without_flock(kind: str) -> Sequence[str]:
    """The start of a command whose flock(2) fails with the error of that name."""
    return (sys.executable, "-m", "tests.no_flock", kind)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def forbid_flock(number: int) -> None:
    """From now on flock(2) fails with this error in this process and those that it starts. Raises OSError."""
    steps = (
        (_LOAD, 0, 0, 0),  # the number of the call
        (_JUMP_IF_EQUAL, 0, 1, FLOCK[platform.machine()]),
        (_RETURN, 0, 0, _ERRNO | number),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(_SECCOMP, _FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "no seccomp filter")


if __name__ == "__main__":
    forbid_flock(getattr(errno, sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
