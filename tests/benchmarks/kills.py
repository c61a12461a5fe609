"""`python -m tests.benchmarks.kills`: kill -9 at random moments, over files, repos and folders, with pauses between.

Ends with 1 when a byte is wrong, anything is left over, or the daemon's log has a traceback. `--kills 1000` takes about
half an hour. The seed that is printed repeats the same choices.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.content import sha256_of
from tests.daemon_process import Daemon, new_folder
from tests.fakehub import HubServer, SeededContent, seeded

REPO = "bench/killed"
SIZES = (1_000, 200_000, 300_000, 1_500_000, 8_000_000, 24_000_000)
RATE_BYTES_PER_S = 12e6
LONGEST_LIFE_S = 1.5
DEADLINE_S = 180.0


@dataclass
class Round:
    """One Hub with fresh content: a repo and a folder of its files, and files of their own."""

    number: int
    files: dict[str, SeededContent] = field(init=False)

    def __post_init__(self) -> None:
        sizes = enumerate(SIZES)
        self.files = {f"part{at}/file{at}.bin": seeded(size, seed=100 * self.number + at) for at, size in sizes}

    def wrong(self, root: Path) -> list[str]:
        """The files below `root` that are missing or have wrong content."""
        return [
            f"{root / path}"
            for path, content in self.files.items()
            if not (root / path).is_file() or sha256_of(root / path) != content.sha256
        ]


def leftovers(daemon: Daemon, folder: Path) -> list[str]:
    """What should be gone when everything is done: part files and copies, kept listings, files that were replaced."""
    temporary = [path for root in (daemon.cache, folder, daemon.state) for path in root.rglob("*hfdmd-*")]
    return [str(path) for path in (*temporary, *daemon.state.glob("lists/*"), *daemon.state.rglob("*.tmp"))]


def run_round(number: int, kills: int, chosen: random.Random) -> list[str]:
    """What was wrong after that many kills, and after everything was let finish."""
    made = Round(number)
    with HubServer() as hub, new_folder() as home, tempfile.TemporaryDirectory() as local:
        folder = Path(local) / "model"
        hub.add_repo(REPO, dict(made.files))
        hub.rate_bytes_per_s = RATE_BYTES_PER_S
        with Daemon(Path(home), hub.endpoint, HFDMD_NO_SPAWN="1") as daemon:
            keys = [daemon.ask(REPO, path)["id"] for path in made.files]
            keys += [daemon.ask(REPO)["id"], daemon.ask(REPO, localDir=str(folder))["id"]]
            for _ in range(kills):
                time.sleep(chosen.uniform(0.0, LONGEST_LIFE_S))
                if chosen.random() < 0.5:
                    key = chosen.choice(keys)
                    daemon.post("/api/pause", id=key)
                    time.sleep(chosen.uniform(0.0, 0.05))
                    daemon.post("/api/resume", id=key)
                daemon.kill_and_start()
                if all(daemon.view(key)["status"] == "done" for key in keys):
                    daemon.call("DELETE", "/api/download", {"all": True, "deleteFile": True})
                    keys = [daemon.ask(REPO, path)["id"] for path in made.files]
                    keys += [daemon.ask(REPO)["id"], daemon.ask(REPO, localDir=str(folder))["id"]]
            daemon.post("/api/resume", all=True)
            hub.rate_bytes_per_s = 0
            snapshot = Path(daemon.wait(keys[-2], "done", deadline_s=DEADLINE_S)["path"])
            for key in keys:
                daemon.wait(key, "done", deadline_s=DEADLINE_S)
            faults = [line for line in daemon.log.splitlines() if "Traceback" in line or "a fault" in line]
            stopped = daemon.stop()
            return [
                *(f"wrong content: {path}" for path in made.wrong(snapshot) + made.wrong(folder)),
                *(f"left over: {path}" for path in leftovers(daemon, folder)),
                *(f"in the log: {line}" for line in faults),
                *([f"exit code {stopped}"] if stopped else []),
            ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--each", type=int, default=20, help="kills between two checks of all content (20)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chosen, done, wrong = random.Random(options.seed), 0, 0
    began = time.monotonic()
    while done < options.kills:
        kills = min(options.each, options.kills - done)
        faults = run_round(done // options.each, kills, chosen)
        done, wrong = done + kills, wrong + len(faults)
        print("\n".join([f"{done} kills, {time.monotonic() - began:.0f} s, {wrong} faults", *faults]), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
