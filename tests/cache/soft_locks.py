"""Run as a program, by `tests.no_flock`: what locks do where there is no `flock`.

The Hub's client turns to soft locks for ENOSYS alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

from huggingface_hub.utils import WeakFileLock

from hfdmd.cache import locks


def main() -> None:
    path, is_known_to_the_client = Path(sys.argv[1]), sys.argv[2] == "ENOSYS"
    for _ in range(2):
        lock = locks.try_lock(str(path))
        assert lock is not None, "it is free"
        assert locks.try_lock(str(path)) is None, "it is held"
        if is_known_to_the_client:
            try:
                with WeakFileLock(path, timeout=0.2):
                    raise AssertionError("the client has it too")
            except TimeoutError:
                pass
        lock.release()
        assert not path.exists()
        if is_known_to_the_client:
            with WeakFileLock(path):
                assert locks.try_lock(str(path)) is None, "the client holds it"


if __name__ == "__main__":
    main()
