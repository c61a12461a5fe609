"""Local folders: files under their own names, nothing outside, nothing of the user's touched."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub._local_folder import read_download_metadata
from msgspec.structs import replace

from hfdmd.cache.storage import Placed, Storage
from hfdmd.failure import Failure
from hfdmd.record import Entry
from hfdmd.wire.types import Reason
from tests.cache.files import COMMIT, DATA, OTHER_COMMIT, REPO, delete, put, source_of, spec_of, tree
from tests.fakehub import HubServer
from tests.loop_disk import LoopDisk, needs_mounts

root = pytest.mark.skipif(os.geteuid() != 0, reason="gives a link to another user, which takes root")
METADATA_FOLDER = ".cache/huggingface"


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return tmp_path / "models" / "mine"


@pytest.mark.parametrize("path", ["config.json", "onnx/sub/model.onnx", "n" * 255, "ü x.bin"])
def test_a_file_arrives_under_its_name(storage: Storage, local: Path, tmp_path: Path, path: str) -> None:
    placed = put(storage, spec_of(path, local_dir=local), DATA)
    assert placed.path == local / path
    assert (local / path).read_bytes() == DATA
    assert not (local / path).is_symlink()
    metadata = {name for name in tree(local) if name.startswith(METADATA_FOLDER)}
    fits = len(path) < 200
    assert metadata == {f"{METADATA_FOLDER}/.gitignore", f"{METADATA_FOLDER}/CACHEDIR.TAG"} | (
        {f"{METADATA_FOLDER}/download/{path}.metadata"} if fits else set()
    )
    assert tree(tmp_path / "hub") == {"CACHEDIR.TAG"}
    if fits:
        known = read_download_metadata(local, path)
        assert known is not None
        assert (known.commit_hash, known.etag) == (COMMIT, source_of(DATA, lfs=True).etag)


def test_the_client_takes_it_as_current(server: HubServer, storage: Storage, local: Path) -> None:
    files = {"config.json": b"{}", "sub/model.bin": DATA}
    commit = server.add_repo(REPO, files, lfs=["sub/model.bin"])
    for path, data in files.items():
        put(storage, spec_of(path, local_dir=local), data, lfs=path.startswith("sub"), commit=commit)
    before = {path: (local / path).stat().st_ino for path in files}
    snapshot_download(REPO, local_dir=local, endpoint=server.endpoint, cache_dir=local.parent / "hub2")
    assert server.sent_bytes() == 0
    assert {path: (local / path).stat().st_ino for path in files} == before


def test_and_we_take_the_clients(server: HubServer, storage: Storage, local: Path) -> None:
    commit = server.add_repo(REPO, {"a/m.bin": DATA}, lfs=["a/m.bin"])
    hf_hub_download(REPO, "a/m.bin", local_dir=local, endpoint=server.endpoint)
    [taken] = storage.adopt([(spec_of("a/m.bin", local_dir=local), source_of(DATA, lfs=True, commit=commit), None)])
    assert isinstance(taken, Placed)


def test_a_batch_of_small_files(storage: Storage, local: Path) -> None:
    files = {f"d{i % 3}/{i}.json": b"%d" % i for i in range(50)}
    items = [(spec_of(path, local_dir=local), source_of(data), data, None) for path, data in files.items()]
    placed = storage.place_small(items)
    assert all(isinstance(one, Placed) for one in placed)
    assert {path: (local / path).read_bytes() for path in files} == files
    again = storage.adopt([(spec, source, old) for (spec, source, _, _), old in zip(items, placed, strict=True)])
    assert again == placed
    assert not [name for name in tree(local) if "hfdmd-" in name]


def test_from_the_cache_by_copy(storage: Storage, local: Path, tmp_path: Path) -> None:
    cached = put(storage, spec_of("a.bin"), DATA)
    spec, source = spec_of("sub/b.bin", local_dir=local, revision="dev"), source_of(DATA, lfs=True)
    [placed] = storage.adopt([(spec, source, None)])
    assert isinstance(placed, Placed)
    found = (local / "sub/b.bin").lstat()
    assert stat.S_ISREG(found.st_mode)
    assert found.st_nlink == 1
    (local / "sub/b.bin").write_bytes(b"edited")
    assert cached.path.read_bytes() == DATA


def test_a_damaged_blob_is_not_copied(storage: Storage, local: Path) -> None:
    cached = put(storage, spec_of("a.bin"), DATA)
    cached.path.resolve().write_bytes(DATA[:-1] + b"X")
    assert storage.adopt([(spec_of("a.bin", local_dir=local), source_of(DATA, lfs=True), None)]) == [None]
    assert not (local / "a.bin").exists()
    assert not [name for name in tree(local) if "hfdmd-" in name]


def test_the_right_content_is_taken_as_it_is(storage: Storage, local: Path) -> None:
    local.mkdir(parents=True)
    (local / "a.bin").write_bytes(DATA)
    before = (local / "a.bin").stat()
    [placed] = storage.adopt([(spec_of("a.bin", local_dir=local), source_of(DATA, lfs=True), None)])
    assert placed == Placed(local / "a.bin", len(DATA), before.st_mtime_ns)
    assert (local / "a.bin").stat().st_ino == before.st_ino


def test_other_content_is_path_taken_early_and_late(storage: Storage, local: Path) -> None:
    spec, source = spec_of("a.bin", local_dir=local), source_of(DATA, lfs=True)
    part = storage.part_path(spec, source)
    part.write_bytes(DATA)
    (local / "a.bin").write_bytes(b"the user's own")
    [failure] = storage.adopt([(spec, source, None)])
    assert isinstance(failure, Failure)
    assert failure.reason is Reason.PATH_TAKEN
    with pytest.raises(Failure, match=Reason.PATH_TAKEN):
        storage.place(spec, source, part, None)
    [small] = storage.place_small([(spec, source, DATA, None)])
    assert isinstance(small, Failure)
    assert (local / "a.bin").read_bytes() == b"the user's own"


@pytest.mark.parametrize("kind", ["folder", "link", "dangling", "fifo"])
def test_other_things_in_the_way(storage: Storage, local: Path, kind: str) -> None:
    spec, source = spec_of("a.bin", local_dir=local), source_of(DATA, lfs=True)
    part = storage.part_path(spec, source)
    part.write_bytes(DATA)
    target = local / "a.bin"
    (local / "other").write_bytes(DATA)
    match kind:
        case "folder":
            target.mkdir()
        case "link":
            target.symlink_to("other")
        case "dangling":
            target.symlink_to("nothing")
        case "fifo":
            os.mkfifo(target)
    [failure] = storage.adopt([(spec, source, None)])
    assert isinstance(failure, Failure)
    assert failure.reason is Reason.PATH_TAKEN
    with pytest.raises(Failure, match=Reason.PATH_TAKEN):
        storage.place(spec, source, part, None)
    assert os.path.lexists(target)
    assert (local / "other").read_bytes() == DATA


def test_what_hfdmd_put_there_is_replaced_by_the_new_commits(storage: Storage, local: Path) -> None:
    spec = spec_of("a.bin", local_dir=local)
    first = put(storage, spec, DATA)
    newer = source_of(b"newer", lfs=True, commit=OTHER_COMMIT)
    assert storage.adopt([(spec, newer, first)]) == [None]
    second = put(storage, spec, b"newer", commit=OTHER_COMMIT, previous=first)
    assert (local / "a.bin").read_bytes() == b"newer"
    (local / "a.bin").write_bytes(b"edited by the user")
    [failure] = storage.adopt([(spec, source_of(DATA, lfs=True), second)])
    assert isinstance(failure, Failure)
    assert (local / "a.bin").read_bytes() == b"edited by the user"


def test_a_new_commits_file_comes_from_the_cache(storage: Storage, local: Path) -> None:
    spec = spec_of("a.bin", local_dir=local)
    first = put(storage, spec, DATA)
    put(storage, spec_of("a.bin"), b"newer", commit=OTHER_COMMIT)
    [second] = storage.adopt([(spec, source_of(b"newer", lfs=True, commit=OTHER_COMMIT), first)])
    assert isinstance(second, Placed)
    assert (local / "a.bin").read_bytes() == b"newer"


def test_an_unchanged_file_of_a_new_commit_is_kept(storage: Storage, local: Path) -> None:
    spec = spec_of("a.bin", local_dir=local)
    first = put(storage, spec, DATA)
    assert storage.adopt([(spec, source_of(DATA, lfs=True, commit=OTHER_COMMIT), first)]) == [first]
    known = read_download_metadata(local, "a.bin")
    assert known is not None
    assert known.commit_hash == OTHER_COMMIT


def linked(local: Path, where: str, outside: Path, owner: int | None = None) -> None:
    """Make `where` in the local folder a link to the new folder `outside`."""
    outside.mkdir()
    (local / where).parent.mkdir(parents=True, exist_ok=True)
    (local / where).symlink_to(outside)
    if owner is not None:
        os.lchown(local / where, owner, owner)


@pytest.mark.parametrize(
    ("where", "confined", "owner"),
    [
        ("sub", True, None),
        pytest.param("sub", False, 12345, marks=root),
        *((where, False, None) for where in (".cache", ".cache/huggingface", ".cache/huggingface/download")),
    ],
)
def test_links_that_are_not_followed(
    local: Path, tmp_path: Path, where: str, confined: bool, owner: int | None
) -> None:
    storage = Storage(tmp_path / "hub", lambda: [str(local)])
    outside = tmp_path / "outside"
    linked(local, where, outside, owner)
    spec, source = replace(spec_of("sub/a.bin", local_dir=local), confined=confined), source_of(DATA, lfs=True)
    with pytest.raises(Failure, match=Reason.PATH_TAKEN) as refused:
        put(storage, spec, DATA)
    assert f"{local / where} is a symbolic link" in refused.value.detail
    assert isinstance(storage.place_small([(spec, source, DATA, None)])[0], Failure)
    assert isinstance(storage.adopt([(spec, source, None)])[0], Failure | None)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("where", ["sub", "sub/deep"])
def test_a_folder_that_is_a_link_of_our_own_user_is_written_to(
    storage: Storage, local: Path, tmp_path: Path, where: str
) -> None:
    outside = tmp_path / "outside"
    linked(local, where, outside)
    big, small = spec_of("sub/deep/a.bin", local_dir=local), spec_of("sub/deep/b.json", local_dir=local)
    placed = put(storage, big, DATA)
    [written] = storage.place_small([(small, source_of(b"{}"), b"{}", None)])
    assert isinstance(written, Placed)
    behind = outside / "deep" if where == "sub" else outside
    assert (behind / "a.bin").read_bytes() == DATA
    assert (behind / "b.json").read_bytes() == b"{}"
    assert not list(tmp_path.rglob("hfdmd-*"))
    assert placed.path == local / "sub/deep/a.bin"
    metadata = read_download_metadata(local, "sub/deep/a.bin")
    assert metadata is not None
    assert metadata.etag == source_of(DATA, lfs=True).etag
    assert storage.adopt([(big, source_of(DATA, lfs=True), None)]) == [placed]
    assert delete(storage, big, source_of(DATA, lfs=True), placed)
    assert not (behind / "a.bin").exists()
    assert (local / where).is_symlink()


@needs_mounts
def test_the_part_file_is_on_the_disk_behind_the_link(storage: Storage, local: Path, disk: LoopDisk) -> None:
    local.mkdir(parents=True)
    (local / "checkpoints").symlink_to(disk.folder)
    spec = spec_of("checkpoints/sub/a.bin", local_dir=local)
    part = storage.part_path(spec, source_of(DATA, lfs=True))
    assert part == storage.part_location(spec)
    assert part.parent.stat().st_dev == disk.folder.stat().st_dev
    put(storage, spec, DATA)
    specs = [spec_of(f"checkpoints/{number}/x.json", local_dir=local) for number in range(20)]
    small = storage.place_small([(one, source_of(b"{}"), b"{}", None) for one in specs])
    assert all(isinstance(one, Placed) for one in small)
    assert (disk.folder / "sub" / "a.bin").read_bytes() == DATA
    disk.unmount()
    with pytest.raises(Failure, match=Reason.LOCKED):
        storage.part_path(spec, source_of(DATA, lfs=True))
    assert list(disk.folder.iterdir()) == []


@pytest.mark.parametrize("path", [".cache/huggingface/download/x.metadata", ".Cache/HuggingFace/x"])
def test_the_metadata_are_no_place_for_files(storage: Storage, local: Path, path: str) -> None:
    with pytest.raises(Failure, match=Reason.PATH_TAKEN):
        put(storage, spec_of(path, local_dir=local), DATA)


def test_deleting_takes_only_what_was_placed(storage: Storage, local: Path) -> None:
    spec, source = spec_of("sub/deep/a.bin", local_dir=local), source_of(DATA, lfs=True)
    (local / "sub").mkdir(parents=True)
    (local / "sub" / "mine.txt").write_text("mine")
    placed = put(storage, spec, DATA)
    (local / "sub/deep/a.bin").write_bytes(b"Z" * len(DATA))
    assert not delete(storage, spec, source, placed)
    assert (local / "sub/deep/a.bin").exists()
    (local / "sub/deep/a.bin").unlink()
    placed = put(storage, spec, DATA)
    assert delete(storage, spec, source, placed)
    assert not (local / "sub/deep").exists()
    assert {name for name in tree(local) if METADATA_FOLDER not in name} == {"sub/mine.txt"}
    assert not [name for name in tree(local) if name.endswith(".metadata")]
    assert not delete(storage, spec, source, placed)


def test_deleting_does_not_follow_a_swapped_folder_for_others(local: Path, tmp_path: Path) -> None:
    storage = Storage(tmp_path / "hub", lambda: [str(local)])
    spec, source = replace(spec_of("sub/a.bin", local_dir=local), confined=True), source_of(DATA, lfs=True)
    placed = put(storage, spec, DATA)
    outside = tmp_path / "outside"
    shutil.move(local / "sub", outside)
    (local / "sub").symlink_to(outside)
    assert not delete(storage, spec, source, placed)
    assert (outside / "a.bin").read_bytes() == DATA


def test_part_files_are_discarded(storage: Storage, local: Path) -> None:
    spec, source = spec_of("a.bin", local_dir=local), source_of(DATA)
    part = storage.part_path(spec, source)
    assert part.is_relative_to(local / METADATA_FOLDER)
    part.write_bytes(b"half")
    storage.discard_part(spec, source)
    storage.discard_part(spec, source)
    assert not part.exists()


def test_the_list_of_files_beside_the_metadata(storage: Storage, local: Path) -> None:
    entry = Entry("a.bin", source_of(DATA, lfs=True), "1" * 40)
    storage.write_tree(spec_of("x", local_dir=local).repo, COMMIT, [entry])
    assert (local / METADATA_FOLDER / "trees" / f"{COMMIT}.json").exists()


def test_a_folder_that_cannot_be_made(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match=Reason.PATH_TAKEN):
        put(storage, spec_of("a", local_dir=tmp_path / "file" / "sub"), DATA)
