"""Storage as a whole: what it remembers is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfdmd.cache.storage import Storage
from hfdmd.record import FileSpec
from hfdmd.wire.types import RepoType
from tests.cache.files import delete, source_of

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
