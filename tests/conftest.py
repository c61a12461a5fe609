from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("hfdmd", deadline=None)  # timings never decide a unit test
settings.load_profile("hfdmd")

os.environ["HFDMD_DEBUG"] = "validate"  # every daemon that a test starts checks its invariants all the time


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: tests wait for processes and timers half of the time, so each core can run two."""
    return 2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2 * (os.cpu_count() or 1)
