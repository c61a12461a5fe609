"""Records are found by repo and path without looking through the repo."""

from __future__ import annotations

import pytest

from hfdmd.record import FileRecord, FileSpec, Record, RepoRecord, RepoSpec
from hfdmd.scheduler.index import Index
from hfdmd.wire.types import RepoType, Selector

NOW = "2026-01-01T00:00:00.000000Z"


def file(path: str, revision: str = "main", repo: str = "org/model") -> FileRecord:
    spec = FileSpec(repo_type=RepoType.MODEL, model_repo=repo, revision=revision, file_path=path)
    return FileRecord(id=spec.id, spec=spec, created_at=NOW, updated_at=NOW, version=1)


def repo(name: str = "org/model") -> RepoRecord:
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo=name, revision="main")
    return RepoRecord(id=spec.id, spec=spec, created_at=NOW, updated_at=NOW, version=1)


def ids(records: list[Record]) -> set[str]:
    return {record.id for record in records}


@pytest.fixture
def records() -> list[Record]:
    return [
        repo(),
        file("a.bin"),
        file("a.bin", "v1"),
        file("b.bin"),
        repo("org/other"),
        file("a.bin", repo="org/other"),
    ]


def test_a_path_means_all_revisions_of_it_and_nothing_else(records: list[Record]) -> None:
    index = Index()
    for record in records:
        index.add(record)
    _, main, v1, _, _, _ = records
    assert ids(index.match(Selector(model_repo="org/model", file_path="a.bin"))) == {main.id, v1.id}
    assert ids(index.match(Selector(model_repo="org/model", file_path="a.bin", revision="v1"))) == {v1.id}
    assert index.match(Selector(model_repo="org/model", file_path="c.bin")) == []
    assert index.match(Selector(model_repo="org/none", file_path="a.bin")) == []
    assert ids(index.match(Selector(model_repo="org/model"))) == ids(records[:4])


def test_what_is_removed_is_found_no_more_and_takes_nothing_along(records: list[Record]) -> None:
    index = Index()
    for record in records:
        index.add(record)
    left = list(records)
    while left:
        index.remove(left.pop(0))
        for name in ("org/model", "org/other"):
            assert ids(index.match(Selector(model_repo=name))) == ids(
                [record for record in left if record.spec.model_repo == name]
            )
            assert ids(index.match(Selector(model_repo=name, file_path="a.bin"))) == ids(
                [
                    record
                    for record in left
                    if isinstance(record, FileRecord)
                    and (record.spec.model_repo, record.spec.file_path) == (name, "a.bin")
                ]
            )


def test_a_repo_download_that_is_removed_has_no_files() -> None:
    index = Index()
    whole = repo()
    one = file("a.bin")
    one.repo_ids = [whole.id]
    index.add(whole)
    index.add(one)
    assert ids(list(index.children(whole))) == {one.id}
    index.remove(whole)
    assert list(index.children(whole)) == []
