from __future__ import annotations

from hypothesis import settings

settings.register_profile("hfdmd", deadline=None)  # timings never decide a unit test
settings.load_profile("hfdmd")
