"""Which files may be copied from: other revisions of the repo, the same path first, and files with a known hash."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from hfdmd.cache import revisions
from hfdmd.cache.storage import Storage
from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.record import FileRecord, FileSpec, RepoSpec, new_file
from hfdmd.scheduler.index import Index
from hfdmd.scheduler.xet_bases import MAX_OTHERS, XetBases
from hfdmd.wire.types import Reason, RepoType, Status
from tests.scheduler.parts import source_for

OLD, OLDER, NEW = "1" * 40, "2" * 40, "3" * 40


class Answers:
    """A Hub that knows Xet hashes by commit."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.hashes: dict[str, str] = {}

    async def xet_hash(self, spec: FileSpec, commit: str) -> str | None:
        self.asked.append((commit, spec.file_path))
        if commit not in self.hashes:
            raise Failure(Reason.REVISION_NOT_FOUND, "gone")
        return self.hashes[commit]


class Setup:
    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.index = Index()
        self.hub = Answers()
        self.bases = XetBases(self.index, Storage(self.cache))
        self.record = self.make("model.bin", NEW, "c" * 64, Status.DOWNLOADING)

    def make(
        self, path: str, commit: str, xet_hash: str | None, status: Status = Status.DONE, **more: Any
    ) -> FileRecord:
        repo = more.pop("repo", "o/n")
        spec = RepoSpec(repo_type=RepoType.MODEL, model_repo=repo, revision=commit).file(path)
        source = replace(source_for(b"x" * 50, commit=commit), xet_hash=xet_hash)
        record = new_file(spec, 1, 0.0, 0.0, source=source, path=f"/files/{commit[0]}/{path}", **more)
        record.set_state(status)
        self.index.add(record)
        return record

    def cached(self, commit: str, files: dict[str, str | None]) -> None:
        """A snapshot as the Hub's client leaves it; its tree file names the hashes that are given."""
        repo = self.cache / "models--o--n"
        for path in files:
            (repo / "snapshots" / commit / path).parent.mkdir(parents=True, exist_ok=True)
            (repo / "snapshots" / commit / path).write_bytes(b"x" * 40)
        tree = {path: {"size": 40, "xet_hash": name} for path, name in files.items() if name is not None}
        (repo / "trees").mkdir(exist_ok=True)
        (repo / "trees" / f"{commit}.json").write_text(json.dumps({"format_version": 1, "files": tree}))

    async def found(self) -> list[tuple[str, str]]:
        assert self.record.source is not None
        xet = self.bases.file(self.record.spec, self.record.source, cast(Hub, self.hub))
        assert xet is not None
        return [(base.hash[0], str(base.path)) for base in await xet.bases()]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


async def test_other_revisions_of_the_repo_the_same_path_first(setup: Setup) -> None:
    setup.make("other.bin", OLD, "a" * 64)
    setup.make("model.bin", OLD, "b" * 64)
    setup.make("model.bin", OLDER, None)
    setup.make("third.bin", OLD, "d" * 64, Status.FAILED)
    setup.make("fourth.bin", NEW, "e" * 64)
    setup.make("model.bin", OLDER, "f" * 64, repo="o/else")
    assert await setup.found() == [("b", "/files/1/model.bin"), ("a", "/files/1/other.bin")]
    assert setup.hub.asked == []


async def test_files_that_the_hubs_client_has_fetched(setup: Setup) -> None:
    setup.cached(OLD, {"model.bin": "a" * 64, "other.bin": "b" * 64, "config.json": None})
    setup.cached(OLDER, {"model.bin": None})
    setup.hub.hashes[OLDER] = "d" * 64
    names = [name for name, _ in await setup.found()]
    assert sorted(names[:2]) == ["a", "d"]
    assert names[2:] == ["b"]
    assert setup.hub.asked == [(OLDER, "model.bin")]


async def test_a_snapshot_of_very_many_files_is_not_searched_to_its_end(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.cached(OLD, {f"{number}.bin": f"{number:064x}" for number in range(50)})
    looked_at: list[Path] = []
    real = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        looked_at.append(path)
        return real(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(revisions, "MAX_FILES", 5)
    monkeypatch.setattr(Path, "stat", stat)
    assert len(await setup.found()) == 5
    assert len([path for path in looked_at if OLD in path.parts]) < 10


async def test_a_hub_that_does_not_know_the_commit_and_trees_that_are_damaged(setup: Setup) -> None:
    setup.cached(OLD, {"model.bin": None})
    (setup.cache / "models--o--n/trees" / f"{OLD}.json").write_text('{"files": {"../../x": {"xet_hash": 7}}}')
    assert await setup.found() == []


async def test_the_same_content_is_found_once_and_never_the_file_itself(setup: Setup) -> None:
    setup.make("model.bin", OLD, "b" * 64)
    setup.make("copy.bin", OLD, "b" * 64)
    setup.make("same.bin", OLDER, "c" * 64)
    assert [name for name, _ in await setup.found()] == ["b"]


async def test_a_file_of_another_repo_is_found_by_its_hash(setup: Setup) -> None:
    assert setup.record.source is not None
    xet = setup.bases.file(setup.record.spec, setup.record.source, cast(Hub, setup.hub))
    assert xet is not None
    assert xet.by_hash("a" * 64) is None
    other = setup.make("else.bin", OLD, "a" * 64, repo="o/else")
    setup.bases.changed(other, Status.DOWNLOADING)
    base = xet.by_hash("a" * 64)
    assert base is not None
    assert (str(base.path), base.is_of_same_repo) == ("/files/1/else.bin", False)
    other.set_state(Status.CANCELLED)
    assert xet.by_hash("a" * 64) is None


async def test_what_was_forgotten_hides_no_file_of_the_same_content(setup: Setup) -> None:
    assert setup.record.source is not None
    xet = setup.bases.file(setup.record.spec, setup.record.source, cast(Hub, setup.hub))
    assert xet is not None
    setup.make("first.bin", OLD, "a" * 64, repo="o/else")
    second = setup.make("second.bin", OLD, "a" * 64, repo="o/else")
    assert xet.by_hash("a" * 64) is not None
    setup.index.remove(second)
    setup.bases.forgotten(second)
    base = xet.by_hash("a" * 64)
    assert base is not None
    assert str(base.path) == "/files/1/first.bin"


async def test_few_of_a_very_large_repo_are_looked_at(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def every_one(model_repo: str) -> list[FileRecord]:
        raise AssertionError("all records of the repo are looked at, for one file of it")

    monkeypatch.setattr(setup.index, "of_repo", every_one)
    for number in range(MAX_OTHERS + 50):
        setup.make(f"{number}.bin", OLD, f"{number:064x}")
    setup.make("model.bin", OLD, "b" * 64)
    found = await setup.found()
    assert found[0] == ("b", "/files/1/model.bin")
    assert len(found) == MAX_OTHERS + 1


async def test_a_file_that_is_not_in_xet(setup: Setup) -> None:
    record = setup.make("plain.bin", NEW, None)
    assert record.source is not None
    assert setup.bases.file(record.spec, record.source, cast(Hub, setup.hub)) is None
