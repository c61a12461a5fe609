"""Run as a program: what locks do where the kernel has no `flock`, as some network file systems have none.

The kernel itself says so (ENOSYS), by a seccomp filter of this process: seccomp(2), and linux/filter.h, seccomp.h.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from pathlib import Path

from huggingface_hub.utils import WeakFileLock

from hfdmd.cache import locks

FLOCK = {"x86_64": 73, "aarch64": 32}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ERRNO, _ALLOW = 0x0005_0000, 0x7FFF_0000
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def forbid_flock() -> None:
    """From now on flock(2) is not there for this process. Raises OSError."""
    steps = (
        (_LOAD, 0, 0, 0),  # the number of the call
        (_JUMP_IF_EQUAL, 0, 1, FLOCK[platform.machine()]),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(_SECCOMP, _FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "no seccomp filter")


def main() -> None:
    path = Path(sys.argv[1])
    forbid_flock()
    for _ in range(2):
        lock = locks.try_lock(str(path))
        assert lock is not None, "it is free"
        assert locks.try_lock(str(path)) is None, "it is held"
        try:
            with WeakFileLock(path, timeout=0.2):
                raise AssertionError("the client has it too")
        except TimeoutError:
            pass
        lock.release()
        assert not path.exists()
        with WeakFileLock(path):
            assert locks.try_lock(str(path)) is None, "the client holds it"


if __name__ == "__main__":
    main()
