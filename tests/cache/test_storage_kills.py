"""After a kill at any moment the cache is valid, and no incomplete file has its final name."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir

from hfdmd.cache.storage import Storage
from tests.cache.files import git_oid, spec_of

KILLS = 12

WRITER = """
import itertools, sys
from pathlib import Path
from hfdmd.record import Entry
from hfdmd.cache.storage import Storage
from tests.cache.files import put, source_of, spec_of

root = Path(sys.argv[1])
storage = Storage(root / "hub")
storage.prepare()
print("ready", flush=True)
for turn in itertools.count(int(sys.argv[2])):
    commit = f"{turn % 3:040x}"
    for local in (None, root / "local"):
        items = [
            (spec_of(f"d{i % 3}/{turn}-{i}.json", local_dir=local), source_of(data, commit=commit), data, None)
            for i in range(10)
            for data in [b"%d-%d" % (turn, i) * 20]
        ]
        storage.place_small(items)
        put(storage, spec_of(f"big-{turn}.bin", local_dir=local), b"%d" % turn * 5000, lfs=False, commit=commit)
        storage.write_tree(items[0][0].repo, commit, [Entry(s.file_path, o, "1" * 40) for s, o, _, _ in items])
"""


@pytest.mark.slow
def test_kills_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(11)
    for kill in range(KILLS):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(kill * 1000)]
        root = Path(__file__).parents[2]
        writer = subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, 0.15))  # the moment is the test's point; no state is waited for
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert_sound(tmp_path)
    storage = Storage(tmp_path / "hub")
    storage.discard_orphans([])
    assert not list((tmp_path / "hub").rglob("hfdmd-*"))
    local = tmp_path / "local"
    for turn in (kill * 1000 + turn for kill in range(KILLS) for turn in range(100)):
        files = [f"d{i % 3}/{turn}-{i}.json" for i in range(10)]
        storage.discard_leftovers(spec_of(path, local_dir=local) for path in (*files, f"big-{turn}.bin"))
    storage.discard_unlisted(spec_of("x", local_dir=local).repo, None, ())
    assert not list(local.rglob("hfdmd-*"))


def assert_sound(root: Path) -> None:
    cache = root / "hub"
    assert scan_cache_dir(cache).warnings == []
    repo = cache / "models--owner--name"
    for blob in (repo / "blobs").glob("[0-9a-f]*"):
        assert git_oid(blob.read_bytes()) == blob.name
    for entry in (repo / "snapshots").rglob("*"):
        assert entry.exists()
        assert not entry.name.startswith("hfdmd-")
    for ref in (repo / "refs").rglob("*"):
        assert not ref.name.startswith("hfdmd-")
        assert (repo / "snapshots" / ref.read_text()).is_dir()
    for file in root.glob("local/d*/*.json"):
        turn, _, number = file.stem.partition("-")
        assert file.read_bytes() == f"{turn}-{number}".encode() * 20
