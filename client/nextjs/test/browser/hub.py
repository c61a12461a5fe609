"""The test Hub for the browser tests, told what to do by JSON lines on stdin; answers each with a line.

`{"repo": NAME, "files": {PATH: SIZE}}` adds a repo, `{"rate": BYTES_PER_S}` slows all bodies together down,
`{"missing": PATH, "of": NAME}` makes a file a 404, `{"clear": true}` ends all faults,
`{"sent": PATH}` asks for the bytes sent.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.fakehub import Fault, HubServer, seeded


def answer(hub: HubServer, told: dict[str, Any]) -> dict[str, Any]:
    """Does what one line says."""
    if "repo" in told:
        files = {path: seeded(size, seed=number) for number, (path, size) in enumerate(told["files"].items(), 1)}
        commit = hub.add_repo(told["repo"], files)
        return {"commit": commit, "sha256": {path: content.sha256 for path, content in files.items()}}
    if "rate" in told:
        hub.rate_bytes_per_s = told["rate"]
    if "missing" in told:
        hub.fault(told["of"], told["missing"], Fault.missing())
    if "clear" in told:
        hub.clear_faults()
    if "sent" in told:
        return {"bytes": hub.sent_bytes(told["sent"])}
    return {}


def main() -> None:
    """Serves until stdin ends."""
    with HubServer() as hub:
        print(json.dumps({"endpoint": hub.endpoint}), flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(hub, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
