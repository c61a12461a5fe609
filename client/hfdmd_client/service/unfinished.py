"""What the daemon of a state folder has still to do, read from its tracker files while it does not run."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hfdmd.wire.malformed import MALFORMED

_UNFINISHED = ("queued", "in-progress", "paused")


class _Tracker(msgspec.Struct):
    status: str


def unfinished(state: Path) -> list[str]:
    """The names of the tracker files whose downloads are neither done nor given up."""
    found = []
    for path in sorted((state / "trackers").rglob("*.json")):
        try:
            tracker = msgspec.json.decode(path.read_bytes(), type=_Tracker)
        except (OSError, *MALFORMED):  # gone meanwhile, or not one of the daemon's
            continue
        if tracker.status in _UNFINISHED:
            found.append(str(path.relative_to(state / "trackers").with_suffix("")))
    return found
