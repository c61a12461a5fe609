from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("hfdmd", deadline=None)  # timings never decide a unit test
settings.load_profile("hfdmd")

os.environ["HFDMD_DEBUG"] = "validate"  # every daemon that a test starts checks its invariants all the time
