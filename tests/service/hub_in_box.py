"""The Hub inside the box: over TLS, with a few repos, and a control socket through which a test sets its pace.

Run by the box's own unit, as root; `SERVES` and `content` are also what the tests compare with.
"""

from __future__ import annotations

import json
import os
import shutil
import socketserver
from pathlib import Path

from tests.fakehub import HubServer, SeededContent, seeded

PORT = 8443
CA = Path("/srv/hub/ca.pem")
CONTROL = Path("/run/hub.sock")
MIB = 1 << 20

SERVES = {
    "acme/small": {"config.json": 2_000, "model.safetensors": 3 * MIB},
    "acme/twenty": {f"part-{number:02}.bin": 4 * MIB for number in range(20)},
    "acme/steady": {f"part-{number:02}.bin": 12 * MIB for number in range(4)},
    "acme/upgrade": {"big.bin": 24 * MIB},
    "acme/crash": {"big.bin": 24 * MIB},
    "acme/reload": {"big.bin": 16 * MIB},
    "acme/hang": {"big.bin": 16 * MIB},
    "acme/person": {"model.safetensors": 2 * MIB},
}
"""Repo, file, size in bytes."""


def content(repo: str, file: str) -> SeededContent:
    """What the Hub serves for it."""
    seed = sum((repo + file).encode())
    return seeded(SERVES[repo][file], seed=seed)


class Control(socketserver.StreamRequestHandler):
    """One JSON line in, one out: `{"rate": bytes/s}` sets the pace, `{"sent": file or null}` asks for body bytes."""

    def handle(self) -> None:
        for line in self.rfile:
            asked = json.loads(line)
            if "rate" in asked:
                HUB.rate_bytes_per_s = asked["rate"]
            answer = {"sent": HUB.sent_bytes(asked.get("sent"))}
            self.wfile.write(json.dumps(answer).encode() + b"\n")


HUB = HubServer(port=PORT, tls=True)


def main() -> None:
    """Serves until it is killed; notifies systemd when it listens."""
    for repo, files in SERVES.items():
        HUB.add_repo(repo, {file: content(repo, file) for file in files})
    HUB.start()
    shutil.copy(HUB.ca_path, CA.with_suffix(".new"))
    CA.with_suffix(".new").replace(CA)
    CONTROL.unlink(missing_ok=True)
    with socketserver.ThreadingUnixStreamServer(os.fspath(CONTROL), Control) as control:
        from hfdmd.service_manager import Notifier

        Notifier.from_env().ready("serving")
        control.serve_forever()


if __name__ == "__main__":
    main()
