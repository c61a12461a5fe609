"""Storage as a whole: what it remembers is bounded, and one bad file stops no other of its batch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hfdmd.cache.storage import Placed, Storage
from hfdmd.failure import Failure
from hfdmd.record import FileSpec
from hfdmd.wire.types import RepoType
from tests.cache import files
from tests.cache.files import delete, put, source_of

REPOS = 100  # what is kept of one is found as well as what is kept of thousands


def spec_of(number: int, local_dir: Path | None) -> FileSpec:
    return FileSpec(
        repo_type=RepoType.MODEL,
        model_repo=f"owner{number}/name",
        revision="main",
        file_path="a.bin",
        local_dir=None if local_dir is None else str(local_dir / str(number)),
    )


@pytest.mark.parametrize("ends", ["placed", "discarded", "gone"])
def test_nothing_is_remembered_of_thousands_of_repos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    storage = Storage(tmp_path / "hub")
    source = source_of(b"content", lfs=True)
    for number in range(REPOS):
        spec = spec_of(number, None)
        part = storage.part_path(spec, source)
        match ends:
            case "placed":
                part.write_bytes(b"content")
                assert delete(storage, spec, source, storage.place(spec, source, part, None))
            case "discarded":
                storage.discard_part(spec, source)
            case "gone":
                part.parent.parent.rename(tmp_path / str(number))
                storage.discard_part(spec, source)
    assert len(storage._cache._locks) == 0
    assert storage._cache._expected == {}
    assert not list((tmp_path / "hub").glob("models--*"))


def test_nothing_is_remembered_of_folders(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "hub")
    for number in range(REPOS):
        storage.part_path(spec_of(number, tmp_path), source_of(b"content"))
    assert len(storage._local._locks) == 0


def test_a_small_file_that_cannot_be_placed_keeps_no_other_from_its_place(storage: Storage, cache: Path) -> None:
    contents = {f"{number}.json": b"%d" % number for number in range(5)}
    blobs = cache / "models--owner--name" / "blobs"
    (blobs / source_of(contents["2.json"]).etag).mkdir(parents=True)  # a folder where the blob should be
    placed = storage.place_small(
        [(files.spec_of(name), source_of(data), data, None) for name, data in contents.items()]
    )
    for (name, data), outcome in zip(contents.items(), placed, strict=True):
        if name == "2.json":
            assert isinstance(outcome, Failure)
            assert name in outcome.detail
        else:
            assert isinstance(outcome, Placed)
            assert outcome.path.read_bytes() == data
    assert not list(cache.rglob("hfdmd-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount keeps a blob from being deleted, which takes root")
def test_a_blob_that_cannot_be_deleted_keeps_no_other(storage: Storage, cache: Path) -> None:
    removable = []
    for number in range(4):
        spec, data = files.spec_of(f"{number}.bin"), b"%d" % number
        removable.append((spec, source_of(data, lfs=True), put(storage, spec, data)))
    blobs = cache / "models--owner--name" / "blobs"
    busy = blobs / removable[0][1].etag
    subprocess.run(["mount", "--bind", busy, busy], check=True)
    try:
        outcomes = storage.delete_all(removable)
        assert isinstance(outcomes[0], Failure)
        assert [path.name for path in blobs.iterdir()] == [busy.name]
    finally:
        subprocess.run(["umount", busy], check=True)
