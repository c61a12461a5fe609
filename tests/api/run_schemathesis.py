"""`python -m tests.api.run_schemathesis`: schemathesis with all its checks against a running daemon.

Ends with 1 for any finding: a 500, an answer that the OpenAPI document does not know, a body that the document allows
and the daemon refuses, or the other way round. Takes less than a minute.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.daemon_process import Daemon, new_folder
from tests.fakehub import HubServer

SECONDS = 45
WHICH_GO_TOGETHER = ("progress", "delete", "files")
"""Calls whose parameters depend on each other, or on an answer before, which OpenAPI cannot say: 422 is fair."""
BOUNDED_IN_BYTES = ("download", "reorder", "pause", "resume", "cancel", "retry")
"""Calls with names that may have so many bytes, where OpenAPI can only count characters: 422 is fair there too."""

CONFIG = """
[phases.stateful]
enabled = true

[checks.positive_data_acceptance]
expected-statuses = [200, 202, 401, 403, 404, 409, 502, 503]
""" + "".join(
    f"""
[[operations]]
include-operation-id = "{name}"
[operations.checks.positive_data_acceptance]
expected-statuses = [200, 202, 401, 403, 404, 409, 422, 502, 503]
"""
    for name in (*WHICH_GO_TOGETHER, *BOUNDED_IN_BYTES)
)


def main(arguments: list[str]) -> int:
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or shutil.which("schemathesis")
    if program is None:
        print("schemathesis is not installed: pip install schemathesis", file=sys.stderr)
        return 2
    with HubServer() as hub, new_folder() as folder, tempfile.TemporaryDirectory() as scratch:
        hub.add_repo("own/small", {"config.json": b"{}", "b.txt": b"text\n"})
        # Over TCP: there localDir is held to a folder of the test's own.
        allowed = Path(folder) / "allowed"
        allowed.mkdir()
        env = {"HFDMD_ALLOWED_DIRS": str(allowed)}
        with Daemon(Path(folder), hub.endpoint, tcp=True, **env) as daemon:
            config = Path(scratch) / "schemathesis.toml"
            config.write_text(CONFIG)
            result = subprocess.run(
                [program, "--config-file", str(config), "run", f"{daemon.url}/api/openapi.json",
                 "--header", f"Authorization: Bearer {daemon.token}", "--checks", "all",
                 "--max-time", str(SECONDS), "--continue-on-failure", "--no-color", *arguments],
                cwd=scratch,
                check=False,
            )  # fmt: skip
            is_whole = daemon.get("/api/health").status == 200
            faults = [line for line in daemon.log.splitlines() if "Traceback" in line or "a fault" in line]
    if faults or not is_whole:
        print("\n".join(["the daemon's log tells of faults:", *faults]), file=sys.stderr)
        return 1
    return result.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
