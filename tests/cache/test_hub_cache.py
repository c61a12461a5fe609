"""The cache, with the installed `huggingface_hub` as the judge."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError

from hfdmd.cache.storage import Placed, Storage
from hfdmd.failure import Failure
from hfdmd.record import Entry, Source
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.wire.types import Reason, RepoType
from hfdmd.wire.units import format_size
from tests.cache.files import (
    COMMIT,
    DATA,
    OTHER_COMMIT,
    REPO,
    assert_clean,
    delete,
    hf,
    offline,
    put,
    shares_blocks,
    source_of,
    spec_of,
    tree,
)
from tests.fakehub import HubServer
from tests.loop_disk import LoopDisk, needs_mounts
from tests.scarcity import no_descriptors


@pytest.mark.parametrize("path", ["config.json", "onnx/model.onnx", "a/b/c/d.bin", "ü/日本 x.bin", "n" * 255])
@pytest.mark.parametrize("lfs", [True, False])
def test_a_file_is_found_by_every_program(storage: Storage, cache: Path, path: str, lfs: bool) -> None:
    placed = put(storage, spec_of(path), DATA, lfs=lfs)
    assert offline(cache, path) == DATA
    assert offline(cache, path, revision=COMMIT) == DATA
    assert placed.path == cache / "models--owner--name" / "snapshots" / COMMIT / path
    assert storage.is_in_place(str(placed.path), placed.size_bytes)
    assert_clean(cache)
    etag = source_of(DATA, lfs=lfs).etag
    assert tree(cache) == {
        "CACHEDIR.TAG",
        f"models--owner--name/blobs/{etag}",
        "models--owner--name/refs/main",
        f"models--owner--name/snapshots/{COMMIT}/{path}",
    }
    link = os.readlink(placed.path)
    assert link == "../" * (path.count("/") + 2) + f"blobs/{etag}"


@pytest.mark.parametrize("kind", list(RepoType))
@pytest.mark.parametrize("revision", ["main", "v1.0", "feature/x", "refs/pr/12", COMMIT])
def test_revisions_and_kinds(storage: Storage, cache: Path, kind: RepoType, revision: str) -> None:
    put(storage, spec_of("a.txt", revision=revision, repo_type=kind), DATA)
    assert offline(cache, "a.txt", revision=revision, repo_type=kind.value) == DATA
    refs = cache / f"{kind.value}s--owner--name" / "refs"
    if revision == COMMIT:
        assert not refs.exists() or not tree(refs)
    else:
        assert (refs / revision).read_text() == COMMIT
    assert_clean(cache)


@pytest.mark.parametrize("revision", ["main", "refs/pr/12"])
def test_a_ref_follows_what_the_hub_told_last_not_what_ended_last(storage: Storage, cache: Path, revision: str) -> None:
    ref = cache / "models--owner--name" / "refs" / revision
    put(storage, spec_of("a", revision=revision), b"a", commit="a" * 40, told_at=200.0)
    put(storage, spec_of("b", revision=revision), b"b", commit="b" * 40, told_at=100.5)
    [small] = storage.place_small([(spec_of("c", revision=revision), source_of(b"c", commit="c" * 40), b"c", None)])
    assert isinstance(small, Placed)
    assert ref.read_text() == "a" * 40
    assert offline(cache, "a", revision=revision) == b"a"
    assert offline(cache, "b", revision="b" * 40) == b"b"
    put(storage, spec_of("d", revision=revision), b"d", commit="d" * 40, told_at=200.5)
    assert ref.read_text() == "d" * 40
    [taken] = storage.adopt([(spec_of("b", revision=revision), source_of(b"b", lfs=True, told_at=200.0), None)])
    assert isinstance(taken, Placed)
    assert ref.read_text() == "d" * 40
    assert_clean(cache)


def test_a_ref_that_an_app_wrote_is_not_moved_back(server: HubServer, storage: Storage, cache: Path) -> None:
    old = server.add_repo(REPO, {"a": b"a", "b": b"b"})
    before = time.time()
    new = server.commit(REPO, {"b": b"newer"})
    hf_hub_download(REPO, "b", cache_dir=cache, endpoint=server.endpoint)
    put(storage, spec_of("a"), b"a", commit=old, told_at=before)
    assert offline(cache, "b") == b"newer"
    newest = server.commit(REPO, {"b": b"newest"})
    put(storage, spec_of("b"), b"newest", commit=newest, told_at=time.time())
    assert offline(cache, "b") == b"newest"
    assert offline(cache, "b", revision=new) == b"newer"


def test_a_ref_from_the_future_or_without_a_commit_moves(storage: Storage, cache: Path) -> None:
    put(storage, spec_of("a"), b"a", commit="a" * 40, told_at=time.time() + 3600)  # before the clock was set back
    put(storage, spec_of("b"), b"b", commit="b" * 40, told_at=time.time())
    assert offline(cache, "b") == b"b"
    (cache / "models--owner--name" / "refs" / "main").write_text("")
    put(storage, spec_of("c"), b"c", commit="c" * 40, told_at=1.0)
    assert offline(cache, "c") == b"c"


def test_the_same_as_the_client_writes(server: HubServer, storage: Storage, cache: Path, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "sub/model.bin": DATA * 100}
    commit = server.add_repo(REPO, files, lfs=["sub/model.bin"])
    theirs = tmp_path / "theirs"
    old = os.umask(0o022)
    try:
        for path, data in files.items():
            hf_hub_download(REPO, path, cache_dir=theirs, endpoint=server.endpoint)
            put(storage, spec_of(path), data, lfs=path.startswith("sub"), commit=commit)
    finally:
        os.umask(old)
    ours = {name for name in tree(cache) if ".locks" not in name}
    assert ours == {name for name in tree(theirs) if ".locks" not in name}
    for name in ours:
        mine, his = (root / name for root in (cache, theirs))
        assert mine.read_bytes() == his.read_bytes()
        assert mine.is_symlink() == his.is_symlink()
        if mine.is_symlink():
            assert os.readlink(mine) == os.readlink(his)
        assert stat.S_IMODE(mine.stat().st_mode) == stat.S_IMODE(his.stat().st_mode), name


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o077])
def test_modes_follow_the_umask(storage: Storage, cache: Path, mask: int) -> None:
    old = os.umask(mask)
    try:
        spec, source = spec_of("a"), source_of(DATA, lfs=True)
        part = storage.part_path(spec, source)
        part.write_bytes(DATA)
        part.chmod(0o600)
        placed = storage.place(spec, source, part, None)
        storage.write_tree(spec.repo, COMMIT, [Entry("a", source, "1" * 40)])
    finally:
        os.umask(old)
    repo = cache / "models--owner--name"
    for file in (placed.path, repo / "refs" / "main", repo / "trees" / f"{COMMIT}.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask
    for folder in (repo, repo / "blobs", repo / "snapshots" / COMMIT):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~mask


def test_a_shared_caches_group_is_inherited(storage: Storage, cache: Path) -> None:
    cache.chmod(0o2775)
    placed = put(storage, spec_of("a/b"), DATA)
    assert placed.path.parent.stat().st_mode & stat.S_ISGID
    assert placed.path.stat().st_gid == cache.stat().st_gid


def test_prepare_says_when_the_cache_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file"):
        Storage(tmp_path / "file" / "hub").prepare()


def test_hf_cache_commands_agree(server: HubServer, storage: Storage, cache: Path) -> None:
    files = {"config.json": b"{}", "model.bin": DATA}
    commit = server.add_repo(REPO, files, lfs=["model.bin"])
    for path, data in files.items():
        put(storage, spec_of(path), data, lfs=path == "model.bin", commit=commit)
    waiting = spec_of("later.bin")
    part = storage.part_path(waiting, source_of(b"later", lfs=True))
    part.write_bytes(b"lat")
    before = tree(cache)
    assert REPO in hf(cache, "cache", "ls")
    hf(cache, "cache", "verify", REPO, endpoint=server.endpoint)
    hf(cache, "cache", "prune", "--yes")
    assert tree(cache) == before


def test_a_file_is_linked_under_whatever_revision(storage: Storage, cache: Path) -> None:
    first = put(storage, spec_of("a.bin"), DATA)
    spec = spec_of("moved/b.bin", revision="dev")
    source = source_of(DATA, lfs=True, commit=OTHER_COMMIT)
    assert storage.cached(spec, source)
    [placed] = storage.adopt([(spec, source, None)])
    assert isinstance(placed, Placed)
    assert offline(cache, "moved/b.bin", revision="dev") == DATA
    assert placed.path.resolve() == first.path.resolve()
    assert_clean(cache)


def test_what_is_not_there_is_not_adopted_and_leaves_no_trace(storage: Storage, cache: Path) -> None:
    assert storage.adopt([(spec_of("a"), source_of(DATA), None)]) == [None]
    assert not storage.cached(spec_of("a"), source_of(DATA))
    assert tree(cache) == {"CACHEDIR.TAG"}


@pytest.mark.parametrize("damage", [DATA[:-1], DATA[:-4] + b"XXXX", b""])
def test_a_damaged_blob_is_fetched_again_and_replaced(storage: Storage, cache: Path, damage: bytes) -> None:
    """A blob by an app, of the right name and the wrong content: the client would never notice."""
    source = source_of(DATA, lfs=True)
    spec = spec_of("a.bin")
    put(storage, spec, DATA)
    blob = cache / "models--owner--name" / "blobs" / source.etag
    blob.write_bytes(damage)
    reader = blob.open("rb")
    assert Storage(cache).adopt([(spec, source, None)]) == [None]
    part = storage.part_path(spec, source)
    part.write_bytes(DATA)
    storage.place(spec, source, part, None)
    assert offline(cache, "a.bin") == DATA
    with reader:
        assert reader.read() == damage  # an open file keeps its content


def test_what_hfdmd_placed_is_not_read_again(storage: Storage, cache: Path) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    placed = put(storage, spec, DATA)
    blob = cache / "models--owner--name" / "blobs" / source.etag
    found = blob.stat()
    blob.write_bytes(b"X" * len(DATA))
    os.utime(blob, ns=(found.st_atime_ns, found.st_mtime_ns))
    fresh = Storage(cache)
    assert fresh.adopt([(spec, source, placed)]) == [placed]  # by its record
    assert fresh.adopt([(spec, source, None)]) == [None]  # by its content
    os.utime(blob)
    assert fresh.adopt([(spec, source, placed)]) == [None]  # the record no longer fits


def test_adopting_can_be_stopped(storage: Storage, cache: Path) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    put(storage, spec, DATA)
    assert Storage(cache).adopt([(spec, source, None)], stopped=lambda: True) == [None]


def test_a_batch_of_small_files(storage: Storage, cache: Path) -> None:
    files = {f"d{i % 7}/{i}.json": b"%d" % i * (i % 50 + 1) for i in range(200)}
    files["empty"] = b""
    files["again/twin.json"] = files["d1/1.json"]
    items = [(spec_of(path), source_of(data), data, None) for path, data in files.items()]
    placed = storage.place_small(items)
    assert all(isinstance(one, Placed) for one in placed)
    for path, data in files.items():
        assert offline(cache, path) == data
    assert_clean(cache)
    assert not [name for name in tree(cache) if "hfdmd-" in name]
    assert storage.adopt([(spec, source, None) for spec, source, _, _ in items]) == placed


def test_one_bad_file_of_a_batch_takes_no_other_along(storage: Storage, cache: Path) -> None:
    (cache / "models--owner--name" / "snapshots" / COMMIT / "taken").mkdir(parents=True)
    good = spec_of("good"), source_of(b"1"), b"1", None
    wrong_size = spec_of("size"), source_of(b"12"), b"1", None
    below_a_file = spec_of("good/x"), source_of(b"2"), b"2", None
    taken = spec_of("taken"), source_of(b"3"), b"3", None
    first, second, third, fourth = storage.place_small([good, wrong_size, below_a_file, taken])
    assert isinstance(first, Placed)
    assert isinstance(second, Failure)
    assert isinstance(third, Failure)
    assert third.reason is Reason.PATH_TAKEN
    assert isinstance(fourth, Failure)
    assert fourth.reason is Reason.PATH_TAKEN
    assert offline(cache, "good") == b"1"


def test_somebody_elses_file_in_a_snapshot_is_left_alone(storage: Storage, cache: Path) -> None:
    folder = cache / "models--owner--name" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"mine")
    (folder / "right.bin").write_bytes(DATA)
    with pytest.raises(Failure, match=Reason.PATH_TAKEN):
        put(storage, spec_of("a.bin"), DATA)
    assert (folder / "a.bin").read_bytes() == b"mine"
    [taken] = storage.adopt([(spec_of("right.bin"), source_of(DATA, lfs=True), None)])
    assert isinstance(taken, Placed)


def test_a_dangling_or_wrong_link_is_mended(storage: Storage, cache: Path) -> None:
    folder = cache / "models--owner--name" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "a.bin").symlink_to("../../blobs/gone")
    put(storage, spec_of("a.bin"), DATA)
    assert offline(cache, "a.bin") == DATA


def test_folders_swapped_for_links_lead_nowhere(storage: Storage, cache: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = cache / "models--owner--name" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "sub").symlink_to(outside)
    with pytest.raises(Failure, match=Reason.PATH_TAKEN):
        put(storage, spec_of("sub/a.bin"), DATA)
    shutil.rmtree(folder)
    folder.symlink_to(outside)
    with pytest.raises(Failure, match=Reason.PATH_TAKEN):
        put(storage, spec_of("a.bin"), DATA)
    assert list(outside.iterdir()) == []


def test_a_branch_that_came_back_to_a_commit_is_not_moved_by_a_late_report(storage: Storage, cache: Path) -> None:
    """The Hub said A, then B, then A again; what it said about B is placed last."""
    for path, commit, told_at in (("1", "a", 100.0), ("2", "a", 300.0), ("3", "b", 200.0)):
        put(storage, spec_of(path), path.encode(), commit=commit * 40, told_at=told_at)
    ref = cache / "models--owner--name" / "refs" / "main"
    assert ref.read_text() == "a" * 40
    assert ref.stat().st_mtime == 300.0
    put(storage, spec_of("4"), b"4", commit="b" * 40, told_at=400.0)
    assert ref.read_text() == "b" * 40


@needs_mounts
def test_the_blobs_of_a_repo_may_be_on_another_disk(storage: Storage, cache: Path, disk: LoopDisk) -> None:
    repo = cache / "models--owner--name"
    repo.mkdir(parents=True)
    (repo / "blobs").symlink_to(disk.folder)
    placed = put(storage, spec_of("sub/a.bin"), DATA)
    assert placed.path.resolve().parent == disk.folder
    assert offline(cache, "sub/a.bin") == DATA
    [small] = storage.place_small([(spec_of("b.json"), source_of(b"{}"), b"{}", None)])
    assert isinstance(small, Placed)
    assert (repo / "refs" / "main").read_text() == COMMIT
    assert_clean(cache)
    assert not list(cache.rglob("hfdmd-*"))


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "C:\\x", "a\0b", "x" * 300])
def test_tampered_trackers_lead_nowhere(storage: Storage, cache: Path, tmp_path: Path, path: str) -> None:
    spec, source = spec_of(path), source_of(DATA)
    for attempt in (
        lambda: storage.part_path(spec, source),
        lambda: storage.place(spec, source, cache / "part", None),
        lambda: storage.cached(spec, source),
    ):
        with pytest.raises(Failure):
            attempt()
    assert isinstance(storage.adopt([(spec, source, None)])[0], Failure)
    assert isinstance(storage.place_small([(spec, source, DATA, None)])[0], Failure)
    assert {entry.name for entry in tmp_path.iterdir()} == {"hub"}


@pytest.mark.parametrize(
    ("etag", "commit"), [("../x", COMMIT), ("..", COMMIT), ("a" * 40, "../../x"), ("a" * 40, "A" * 40)]
)
def test_tampered_sources_lead_nowhere(storage: Storage, tmp_path: Path, etag: str, commit: str) -> None:
    spec, source = spec_of("a"), Source(commit=commit, etag=etag, size_bytes=len(DATA), digest=None)
    with pytest.raises(Failure):
        storage.part_path(spec, source)
    with pytest.raises(Failure):
        storage.lock(spec, source)
    assert isinstance(storage.place_small([(spec, source, DATA, None)])[0], Failure)
    assert not list(tmp_path.rglob("x"))


def test_a_part_file_that_vanished_is_fetched_again(storage: Storage) -> None:
    spec, source = spec_of("a"), source_of(DATA)
    part = storage.part_path(spec, source)
    with pytest.raises(Failure, match=Reason.RESTARTED):
        storage.place(spec, source, part, None)


def test_a_part_file_of_another_size_or_kind_is_not_placed(storage: Storage, cache: Path, tmp_path: Path) -> None:
    spec, source = spec_of("a"), source_of(DATA)
    part = storage.part_path(spec, source)
    part.write_bytes(DATA[:-1])
    with pytest.raises(Failure, match=Reason.DISK_ERROR):
        storage.place(spec, source, part, None)
    part.unlink()
    (tmp_path / "else").write_bytes(DATA)
    part.symlink_to(tmp_path / "else")
    with pytest.raises(Failure, match=Reason.DISK_ERROR):
        storage.place(spec, source, part, None)
    with pytest.raises(LocalEntryNotFoundError):
        offline(cache, "a")


def test_part_files_are_found_and_discarded(storage: Storage, cache: Path) -> None:
    spec, source = spec_of("a"), source_of(DATA)
    part = storage.part_path(spec, source)
    assert part.parent == cache / "models--owner--name" / "blobs"
    assert spec.id in part.name
    assert not part.name.endswith(".incomplete")
    part.write_bytes(b"half")
    (part.parent / "other.part").write_bytes(b"")
    assert_clean(cache)
    storage.discard_orphans([part])
    assert part.exists()
    stuck = part.with_name("hfdmd-0000000000000000.tmp")
    stuck.mkdir()  # cannot be unlinked; it does not keep the others
    storage.discard_orphans([])
    assert sorted(path.name for path in part.parent.iterdir()) == [stuck.name, "other.part"]
    stuck.rmdir()
    part.write_bytes(b"half")
    storage.discard_part(spec, source)
    storage.discard_part(spec, source)
    assert not part.exists()
    (cache / "models--owner--name" / "blobs" / "other.part").unlink()
    storage.part_path(spec, source)
    storage.discard_part(spec, source)
    assert tree(cache) == {"CACHEDIR.TAG"}
    assert not (cache / "models--owner--name").exists()


def test_a_copy_within_the_cache_waits_for_room(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shares_blocks(tmp_path):
        pytest.skip("copies share blocks here, and need no room")
    min_free_bytes = 2**52
    storage = Storage(cache, reserve=DiskReservations(lambda: min_free_bytes).reserved)
    put(storage, spec_of("a.bin"), DATA)
    monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", "1")
    items = [(spec_of("sub/b.bin"), source_of(DATA, lfs=True), None)]
    [refused] = storage.adopt(items)
    assert isinstance(refused, Failure)
    assert refused.reason is Reason.DISK_FULL
    assert refused.detail.startswith(f"needs {format_size(len(DATA))}, ")
    assert not [name for name in tree(cache) if "hfdmd-" in name]
    min_free_bytes = 0
    [copied] = storage.adopt(items)
    assert isinstance(copied, Placed)
    assert_clean(cache)


@pytest.mark.parametrize("variable", [True, False])
def test_a_cache_without_symlinks(
    storage: Storage, cache: Path, monkeypatch: pytest.MonkeyPatch, variable: bool
) -> None:
    if variable:
        monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", "1")
    else:

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "symlink", refuse)
    spec = spec_of("sub/a.bin")
    placed = put(storage, spec, DATA)
    assert not placed.path.is_symlink()
    assert offline(cache, "sub/a.bin") == DATA
    assert not list((cache / "models--owner--name" / "blobs").iterdir())
    [small] = storage.place_small([(spec_of("b.json"), source_of(b"1"), b"1", None)])
    assert isinstance(small, Placed)
    assert offline(cache, "b.json") == b"1"
    assert storage.adopt([(spec, source_of(DATA, lfs=True), None)]) == [placed]
    newer = put(storage, spec, DATA, commit=OTHER_COMMIT)
    assert not newer.path.is_symlink()
    assert newer.path.stat().st_ino != placed.path.stat().st_ino
    assert offline(cache, "sub/a.bin", revision=OTHER_COMMIT) == DATA
    assert_clean(cache)
    assert delete(storage, spec, source_of(DATA, lfs=True), placed)
    assert not placed.path.exists()


def test_no_descriptor_for_a_moment_is_not_the_disks_fault(storage: Storage, cache: Path) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    with no_descriptors(), pytest.raises(Failure) as failed:
        storage.part_path(spec, source)
    assert failed.value.reason is Reason.LOCKED
    assert not failed.value.is_final
    assert put(storage, spec, DATA, lfs=True).path.read_bytes() == DATA
