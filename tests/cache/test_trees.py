"""The list of a commit's files, as the installed `huggingface_hub` reads and writes it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from huggingface_hub import get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import IncompleteSnapshotError

from hfdmd.cache.storage import Storage
from hfdmd.record import Entry
from tests.cache.files import COMMIT, DATA, REPO, assert_clean, git_oid, put, source_of, spec_of, tree
from tests.fakehub import HubServer


def test_an_incomplete_snapshot_is_known_to_be_one(storage: Storage, cache: Path) -> None:
    entries = [Entry(f"f{i}.json", source_of(b"%d" % i), git_oid(b"%d" % i)) for i in range(3)]
    big = source_of(DATA, lfs=True, xet_hash="e" * 64)
    entries.append(Entry("sub/ü.bin", big, "2" * 40))
    repo = spec_of("x").repo
    storage.write_tree(repo, COMMIT, entries)
    assert_clean(cache)
    for index in range(3):
        put(storage, spec_of(f"f{index}.json"), b"%d" % index, lfs=False)
    with pytest.raises(IncompleteSnapshotError, match="1 file"):
        snapshot_download(REPO, cache_dir=cache, local_files_only=True)
    put(storage, spec_of("sub/ü.bin"), DATA)
    folder = Path(snapshot_download(REPO, cache_dir=cache, local_files_only=True))
    assert tree(folder) == {entry.path for entry in entries}
    found = {file.path: file for file in get_cached_repo_tree(REPO, cache_dir=cache)}
    assert found["sub/ü.bin"].xet_hash == "e" * 64
    assert found["f1.json"].blob_id == git_oid(b"1")
    assert found["f1.json"].size == 1
    assert_clean(cache)


def test_the_client_takes_its_own_list_for_granted(server: HubServer, storage: Storage, cache: Path) -> None:
    """What the client writes of a listing, and what we write, are one."""
    commit = server.add_repo(REPO, {"a.json": b"1", "b/m.bin": DATA}, lfs=["b/m.bin"])
    snapshot_download(REPO, cache_dir=cache, endpoint=server.endpoint)
    path = cache / "models--owner--name" / "trees" / f"{commit}.json"
    theirs = path.read_text()
    repo = server.repo(REPO)
    entries = [
        Entry("b/m.bin", source_of(DATA, lfs=True, commit=commit), repo.commits[commit].files["b/m.bin"].git_oid),
        Entry("a.json", source_of(b"1", commit=commit), git_oid(b"1")),
    ]
    storage.write_tree(spec_of("x").repo, commit, entries)
    assert json.loads(path.read_text()) == json.loads(theirs)
    assert stat.S_IMODE(path.stat().st_mode) != 0o600
