"""`python -m tests.api.run_schemathesis`: schemathesis with all its checks against a running daemon.

Ends with 1 for any finding: a 500, an answer that the OpenAPI document does not know, a body that the document allows
and the daemon refuses, or the other way round. Each seed is a run of its own, with a daemon of its own; a seed that has
found something finds it again with `--seed`. `--minutes 60` runs new seeds for an hour.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.daemon_process import Daemon, new_folder
from tests.fakehub import HubServer

RUN_S = 20
SEEDS = (1, 2, 3)
"""The same each time, so that a failure is not one of chance."""
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


def main() -> int:
    """Run all seeds; the exit code of the first that found something, else 0."""
    options, more = _parser().parse_known_args()
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or shutil.which("schemathesis")
    if program is None:
        print("schemathesis is not installed: pip install schemathesis", file=sys.stderr)
        return 2
    found = {seed: code for seed in _seeds(options) if (code := _run(program, seed, more))}
    for seed in found:
        print(f"seed {seed} found something: python -m tests.api.run_schemathesis --seed {seed}", file=sys.stderr)
    return next(iter(found.values()), 0)


def _seeds(options: argparse.Namespace) -> Iterator[int]:
    if options.minutes is None:
        yield from options.seed or SEEDS
        return
    until, chosen = time.monotonic() + 60 * options.minutes, random.SystemRandom()
    for number in itertools.count(1):
        if time.monotonic() > until:
            print(f"{number - 1} seeds in {options.minutes:g} minutes")
            return
        yield chosen.randrange(2**31)


def _run(program: str, seed: int, more: list[str]) -> int:
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
                 "--header", f"Authorization: Bearer {daemon.token}", "--checks", "all", "--seed", str(seed),
                 "--max-time", str(RUN_S), "--continue-on-failure", "--no-color", *more],
                cwd=scratch,
                check=False,
            )  # fmt: skip
            is_whole = daemon.get("/api/health").status == 200
            faults = [line for line in daemon.log.splitlines() if "Traceback" in line or "a fault" in line]
    if faults or not is_whole:
        print("\n".join(["the daemon's log has faults:", *faults]), file=sys.stderr)
        return 1
    return result.returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.api.run_schemathesis", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, action="append", help=f"may be repeated; else {SEEDS}")
    which.add_argument("--minutes", type=float, help="run new seeds for that long")
    return parser


if __name__ == "__main__":
    sys.exit(main())
