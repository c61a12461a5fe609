"""Tracker files: atomic, coalesced, named so that nothing can collide, and tolerant of damage."""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd.durable import sync_files
from hfdmd.migrations import Document
from hfdmd.record import FileRecord, FileSpec, RepoRecord, RepoSpec
from hfdmd.store import Store
from hfdmd.wire.types import RepoType, Status
from tests.daemon_process import until


def file_record(path: str = "a.bin", repo: str = "o/n", version: int = 1) -> FileRecord:
    spec = FileSpec(repo_type=RepoType.MODEL, model_repo=repo, revision="main", file_path=path)
    return FileRecord(id=spec.id, spec=spec, created_at="c", updated_at="u", version=version)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "trackers")
    opened.open()
    yield opened
    opened.close()


def path_of(store: Store, spec: FileSpec | RepoSpec) -> Path:
    return Path(store.path(spec))


def loaded(store: Store) -> dict[str, FileRecord | RepoRecord]:
    return {record.id: record for batch in store.load() for record in batch}


async def test_what_was_flushed_is_there_and_begins_as_promised(store: Store) -> None:
    record = file_record()
    store.put(record)
    await store.flush()
    text = path_of(store, record.spec).read_bytes()
    assert list(json.loads(text))[:3] == ["status", "progress", "error"]
    assert loaded(store) == {record.id: record}


async def test_a_cancelled_flush_does_not_end_the_writer(store: Store) -> None:
    for round_ in range(20):
        store.put(file_record(version=round_ + 1))
        waiting = asyncio.create_task(store.flush())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    last = file_record(version=99)
    store.put(last)
    async with asyncio.timeout(10):
        await store.flush()
    assert loaded(store)[last.id].version == 99


async def test_the_newest_state_wins_and_forgetting_deletes(store: Store) -> None:
    record = file_record()
    for version in range(1, 200):
        record.version = version
        store.put(record)
    await store.flush()
    assert loaded(store)[record.id].version == 199
    store.forget(record)
    await store.flush()
    assert loaded(store) == {}


async def test_many_in_one_batch(store: Store) -> None:
    records = [file_record(f"f{number}.bin") for number in range(300)]
    for record in records:
        store.put(record)
    await store.flush()
    assert len(loaded(store)) == 300
    assert not list(store.folder.rglob("*.tmp"))


async def test_a_file_named_like_a_repo_tracker_is_no_repo(store: Store) -> None:
    record = file_record("@repo")
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main")
    repo = RepoRecord(id=spec.id, spec=spec, created_at="c", updated_at="u", version=1)
    store.put(record)
    store.put(repo)
    await store.flush()
    assert loaded(store) == {record.id: record, repo.id: repo}
    assert store.load_one(spec) == repo


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda text: b"",
        lambda text: text.replace(b'"o/n"', b'"../../etc"'),
        lambda text: text.replace(b"a.bin", b"../a"),
        lambda text: text.replace(b'"in-progress"', b'"sleeping"'),
        lambda text: text.replace(b'"version":1', b'"version":-1'),
        lambda text: text.replace(b'"main"', b'"dev"'),
        lambda text: b'{"a":' * 100_000,
        lambda text: b"\xff" + text,
    ],
)
async def test_damage_is_set_aside(store: Store, damage: object) -> None:
    record = file_record()
    record.set_state(Status.DOWNLOADING)
    store.put(record)
    other = file_record("b.bin")
    store.put(other)
    await store.flush()
    path = path_of(store, record.spec)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert loaded(store) == {other.id: other}
    assert path.with_name(path.name + ".corrupt").exists()


async def test_a_newer_schema_is_left_alone(store: Store) -> None:
    record = file_record()
    store.put(record)
    await store.flush()
    path = path_of(store, record.spec)
    newer = path.read_bytes().replace(b'"schemaVersion":1', b'"schemaVersion":99')
    path.write_bytes(newer)
    assert loaded(store) == {}
    assert path.read_bytes() == newer


async def written(store: Store, record: FileRecord) -> Path:
    """The path of the record's tracker file, which is on disk."""
    store.put(record)
    await store.flush()
    return path_of(store, record.spec)


@pytest.mark.parametrize("old_name", ["models--o--n/a.bin.json", "o--n/whatever.json", "models--o--n/A.BIN.json"])
async def test_a_tracker_under_an_old_name_is_moved(store: Store, old_name: str) -> None:
    record = file_record(version=7)
    path = await written(store, record)
    content = path.read_bytes()
    old = store.folder / old_name
    old.parent.mkdir(exist_ok=True)
    path.rename(old)
    assert loaded(store) == {record.id: record}
    assert [found for found in store.folder.rglob("*") if found.is_file()] == [path]
    assert path.read_bytes() == content


@pytest.mark.parametrize(("old_version", "wins"), [(9, 9), (3, 5), (5, 5)])
async def test_of_two_trackers_of_one_download_the_newer_wins(store: Store, old_version: int, wins: int) -> None:
    record = file_record(version=old_version)
    path = await written(store, record)
    path.rename(path.with_name("old.json"))
    record.version = 5
    await written(store, record)
    assert loaded(store)[record.id].version == wins
    assert json.loads(path.read_bytes())["version"] == wins
    assert list(path.parent.iterdir()) == [path]


async def test_a_damaged_tracker_gives_way_to_a_good_one_under_an_old_name(store: Store) -> None:
    record = file_record()
    path = await written(store, record)
    path.rename(path.with_name("old.json"))
    path.write_bytes(b"{}")
    assert loaded(store) == {record.id: record}
    assert sorted(found.name for found in path.parent.iterdir()) == [path.name, path.name + ".corrupt"]


async def test_a_newer_schema_is_not_replaced_by_a_tracker_under_an_old_name(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    path = await written(store, file_record())
    old = path.with_name("old.json")
    old.write_bytes(path.read_bytes())
    path.write_bytes(path.read_bytes().replace(b'"schemaVersion":1', b'"schemaVersion":99'))
    before = {found: found.read_bytes() for found in (old, path)}
    assert loaded(store) == {}
    assert loaded(store) == {}
    assert {found: found.read_bytes() for found in (old, path)} == before
    assert len(store.left_alone) == 2
    for found in before:
        assert sum(line.startswith(f"the tracker file {found} ") for line in caplog.messages) == 1
    assert caplog.messages[-1] == "2 tracker files or folders were not read and are left alone; see above"


async def test_a_tracker_with_the_id_of_another_is_damaged_whatever_its_name(store: Store) -> None:
    path = await written(store, file_record("a.bin"))
    forged = path.with_name("old.json")
    forged.write_bytes(path.read_bytes().replace(b"a.bin", b"b.bin"))
    assert set(loaded(store)) == {file_record("a.bin").id}
    assert forged.with_name("old.json.corrupt").exists()


async def test_an_older_schema_is_migrated_in_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    record, spec = file_record(), RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main")
    repo = RepoRecord(id=spec.id, spec=spec, created_at="c", updated_at="u", version=1)
    path = await written(store, record)
    await written(store, repo)
    path.write_bytes(path.read_bytes().replace(b'"priority":0', b'"urgency":"40"'))

    def renamed(document: Document) -> Document:
        return {"priority" if name == "urgency" else name: value for name, value in document.items()}

    def as_number(document: Document) -> Document:
        return {**document, "priority": int(document["priority"]) + 1}

    monkeypatch.setattr("hfdmd.store.TRACKER_MIGRATIONS", (renamed, as_number))
    found = loaded(store)
    assert {key: (one.priority, one.schema_version) for key, one in found.items()} == {
        record.id: (41, 3),
        repo.id: (1, 3),
    }
    await written(store, found[record.id])
    assert loaded(store)[record.id] == found[record.id]


async def test_a_disk_that_takes_only_half_of_a_tracker_leaves_the_old_one(store: Store) -> None:
    record = file_record()
    store.put(record)
    await store.flush()
    before = path_of(store, record.spec).read_bytes()
    record.synced = [(number * 10, number * 10 + 5) for number in range(1000)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # as a full disk does: a short write, then an error
    try:
        store.put(record)
        with pytest.raises(OSError, match="File too large"):
            await store.flush(record.id)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path_of(store, record.spec).read_bytes() == before
    await store.flush(record.id)
    assert loaded(store) == {record.id: record}


async def test_a_folder_that_somebody_removed_is_made_again(store: Store) -> None:
    record = file_record()
    store.put(record)
    await store.flush()
    shutil.rmtree(store.folder)
    store.put(record)
    await store.flush()
    assert loaded(store) == {record.id: record}


async def test_an_unwritable_folder_is_told_and_mended(store: Store, tmp_path: Path) -> None:
    record = file_record()
    blocker = path_of(store, record.spec).parent
    blocker.write_bytes(b"a file where a folder should be")
    store.put(record)
    with pytest.raises(OSError, match="exists"):
        await store.flush(record.id)
    blocker.unlink()
    store.put(record)
    await store.flush(record.id)
    assert loaded(store) == {record.id: record}


@pytest.mark.parametrize("blocked", ["folder", "tracker", "temporary file"])
async def test_what_the_disk_refuses_for_one_record_delays_no_other(
    store: Store, blocked: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hfdmd.tracker_writer._RETRY_S", 0.01)
    caplog.set_level("INFO")
    bad, others = file_record(repo="o/bad"), [file_record(f"{number}.bin") for number in range(20)]
    path = path_of(store, bad.spec)
    blocker = path.parent
    if blocked == "folder":
        blocker.write_bytes(b"a file where a folder should be")
    else:
        blocker = path if blocked == "tracker" else path.with_name(f"{path.name}.tmp")
        (blocker / "in the way").mkdir(parents=True)
    for version in range(1, 20):
        for record in (bad, *others):
            record.version = version
            store.put(record)
        outcomes = await store.flush_each([bad.id, *(record.id for record in others)])
        assert isinstance(outcomes[0], OSError)
        assert outcomes[0].filename == str(path)
        assert outcomes[1:] == [None] * len(others)
    assert not store.has_written(bad.id)
    assert not store.wrote_all
    assert set(loaded(store)) == {record.id for record in others}
    if blocked == "folder":
        blocker.unlink()
    else:
        shutil.rmtree(blocker)
    await asyncio.to_thread(until, lambda: store.wrote_all, "the writer tries again by itself")
    assert loaded(store)[bad.id].version == 19
    store.close()
    said = [line for line in caplog.messages if "writ" in line]
    assert said == [
        f"cannot write the tracker file {path}: {outcomes[0].strerror}; trying again",
        "all tracker files can be written again",
    ]


async def test_one_that_is_refused_costs_a_large_batch_few_syncs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []

    def counted(root: int, paths: list[str]) -> None:
        syncs.append(len(paths))
        sync_files(root, paths)

    monkeypatch.setattr("hfdmd.tracker_writer.sync_files", counted)
    bad = file_record("bad", repo="o/bad")
    (store.folder / "models--o--bad").write_bytes(b"not a folder")
    records = [file_record(f"{number}.bin", version=number + 1) for number in range(256)]
    with store._writer._condition:  # they make one batch
        for record in (*records[:99], bad, *records[99:]):
            store.put(record)
    await store.flush(*(record.id for record in records))
    assert len(syncs) < 30
    with pytest.raises(OSError, match="models--o--bad"):
        await store.flush(bad.id)


async def test_a_refused_tracker_can_be_forgotten(store: Store) -> None:
    bad = file_record(repo="o/bad")
    path_of(store, bad.spec).parent.write_bytes(b"a file where a folder should be")
    store.put(bad)
    with pytest.raises(OSError, match="exists"):
        await store.flush(bad.id)
    store.forget(bad)
    await store.flush(bad.id)
    assert store.wrote_all


def test_a_leftover_that_cannot_be_removed_does_not_stop_the_start(tmp_path: Path) -> None:
    leftover = tmp_path / "trackers" / "models--o--n" / "a.json.tmp"
    leftover.mkdir(parents=True)
    removable = leftover.with_name("b.json.tmp")
    removable.write_bytes(b"{")
    store = Store(tmp_path / "trackers")
    store.open()
    store.close()
    assert leftover.exists()
    assert not removable.exists()


@pytest.mark.parametrize(("old_limit", "new_limit"), [(255, 143), (143, 255)])
async def test_trackers_are_found_where_names_may_be_longer_or_shorter_than_before(
    tmp_path: Path, old_limit: int, new_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = file_record("n" * 132)
    for limit in (old_limit, new_limit):
        monkeypatch.setattr("hfdmd.store.max_name_bytes", lambda _, limit=limit: limit)
        store = Store(tmp_path / "trackers")
        store.open()
        try:
            if limit == new_limit:
                assert store.load_one(record.spec) == record
                assert loaded(store) == {record.id: record}
            record.version += 1
            path = await written(store, record)
            assert len(path.name) + len(".corrupt") <= limit
            assert list(path.parent.iterdir()) == [path]
        finally:
            store.close()


LEGAL = st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=("Cc", "Cs"))
segments = st.text(LEGAL, min_size=1)


@given(st.lists(st.lists(segments, min_size=1, max_size=4).map("/".join), min_size=2, max_size=2, unique=True))
def test_different_paths_never_share_a_tracker(paths: list[str]) -> None:
    store = Store(Path("/trackers"))
    names = {path_of(store, file_record(path).spec) for path in paths}
    assert len(names) == 2
    assert len({str(name).lower() for name in names}) == 2
    assert all(len(name.name.encode()) + len(".corrupt") <= 255 for name in names)
    assert all(name.parent == Path("/trackers/models--o--n") for name in names)


def test_the_longest_names_fit() -> None:
    store = Store(Path("/trackers"))
    longest = "é" * 127 + "x"
    path = path_of(store, file_record(longest).spec)
    assert len(path.name.encode()) <= 255 - len(".corrupt")
    assert path.name.startswith("éé")
