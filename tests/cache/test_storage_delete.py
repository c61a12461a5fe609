"""Deleting from the cache: only placed files that are unchanged, and blobs that no other file uses."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, scan_cache_dir

from hfdmd.cache.storage import Placed, Storage
from tests.cache.files import COMMIT, DATA, OTHER_COMMIT, REPO, delete, put, source_of, spec_of, tree
from tests.fakehub import HubServer


def test_the_last_file_takes_its_folders_along(storage: Storage, cache: Path) -> None:
    spec = spec_of("a/b/c.bin", revision="refs/pr/1")
    placed = put(storage, spec, DATA)
    assert delete(storage, spec, source_of(DATA, lfs=True), placed)
    assert tree(cache) == {"CACHEDIR.TAG"}
    assert [path.name for path in cache.iterdir()] == ["CACHEDIR.TAG"]
    assert not storage.is_in_place(str(placed.path), placed.size_bytes)


def test_a_blob_that_another_entry_needs_stays(storage: Storage, cache: Path) -> None:
    source = source_of(DATA, lfs=True)
    first, twin, other = spec_of("a.bin"), spec_of("sub/twin.bin"), spec_of("a.bin", revision="dev")
    placed = put(storage, first, DATA)
    [same] = storage.adopt([(twin, source, None)])
    [elsewhere] = storage.adopt([(other, source_of(DATA, lfs=True, commit=OTHER_COMMIT), None)])
    assert isinstance(same, Placed)
    assert isinstance(elsewhere, Placed)
    assert delete(storage, first, source, placed)
    assert same.path.read_bytes() == DATA
    assert delete(storage, twin, source, same)
    assert elsewhere.path.read_bytes() == DATA
    assert scan_cache_dir(cache).warnings == []
    assert not (cache / "models--owner--name" / "refs" / "main").exists()
    assert (cache / "models--owner--name" / "refs" / "dev").read_text() == OTHER_COMMIT


def test_an_apps_files_stay(server: HubServer, storage: Storage, cache: Path) -> None:
    commit = server.add_repo(REPO, {"a.bin": DATA, "b.json": b"{}"}, lfs=["a.bin"])
    spec = spec_of("a.bin")
    placed = put(storage, spec, DATA, commit=commit)
    theirs = hf_hub_download(REPO, "b.json", cache_dir=cache, endpoint=server.endpoint)
    assert delete(storage, spec, source_of(DATA, lfs=True, commit=commit), placed)
    assert Path(theirs).read_bytes() == b"{}"
    assert hf_hub_download(REPO, "b.json", cache_dir=cache, local_files_only=True) == theirs
    assert scan_cache_dir(cache).warnings == []


def test_what_is_not_what_was_recorded_stays(storage: Storage) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    placed = put(storage, spec, DATA)
    put(storage, spec, DATA)  # the same again: another file, another time
    os.utime(placed.path, ns=(1, 1))
    assert not delete(storage, spec, source, placed)
    assert not delete(storage, spec, source, Placed(placed.path, placed.size_bytes + 1, 1))
    assert not delete(storage, spec_of("other.bin"), source, placed)
    assert placed.path.read_bytes() == DATA


def test_a_recorded_path_elsewhere_is_not_touched(storage: Storage, tmp_path: Path) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    put(storage, spec, DATA)
    victim = tmp_path / "victim"
    victim.write_bytes(DATA)
    found = victim.stat()
    assert not delete(storage, spec, source, Placed(victim, found.st_size, found.st_mtime_ns))
    assert victim.exists()


@pytest.mark.parametrize("swapped", ["snapshots", f"snapshots/{COMMIT}", f"snapshots/{COMMIT}/sub"])
def test_a_folder_swapped_for_a_link_leads_nowhere(storage: Storage, cache: Path, tmp_path: Path, swapped: str) -> None:
    spec, source = spec_of("sub/a.bin"), source_of(DATA, lfs=True)
    placed = put(storage, spec, DATA)
    folder = cache / "models--owner--name" / swapped
    outside = tmp_path / "outside"
    shutil.move(folder, outside)
    folder.symlink_to(outside)
    before = tree(outside)
    try:
        assert not delete(storage, spec, source, placed)
    finally:
        assert tree(outside) == before


def test_an_entry_swapped_for_a_link_elsewhere_stays(storage: Storage, tmp_path: Path) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    placed = put(storage, spec, DATA)
    victim = tmp_path / "victim"
    shutil.copy2(placed.path, victim)
    placed.path.unlink()
    placed.path.symlink_to(victim)
    assert not delete(storage, spec, source, placed)
    assert victim.exists()
    assert placed.path.is_symlink()


def test_a_payload_in_the_shared_store_stays(storage: Storage, cache: Path) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    placed = put(storage, spec, DATA)
    blob = placed.path.resolve()
    payload = cache / "blobs" / "ee" / ("e" * 64)
    payload.parent.mkdir(parents=True)
    (cache / "blobs" / ".huggingface-shared-blobs").write_text("1\n")
    blob.rename(payload)
    blob.symlink_to("../../blobs/ee/" + "e" * 64)
    assert delete(storage, spec, source, placed)
    assert payload.read_bytes() == DATA
    assert not os.path.lexists(blob)


def test_nothing_there(storage: Storage, cache: Path) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    assert not delete(storage, spec, source, Placed(cache / "models--owner--name/snapshots" / COMMIT / "a.bin", 1, 1))
    assert tree(cache) == {"CACHEDIR.TAG"}


def test_many_at_once(storage: Storage, cache: Path) -> None:
    items = [(spec_of(f"d{i % 5}/{i}.json"), source_of(b"%d" % i), b"%d" % i, None) for i in range(100)]
    placed = storage.place_small(items)
    gone = [(items[i][0], items[i][1], one) for i, one in enumerate(placed) if isinstance(one, Placed)]
    assert len(gone) == 100
    assert storage.delete_all(gone[:99]) == [True] * 99
    assert storage.is_in_place(str(gone[99][2].path), gone[99][2].size_bytes)
    assert scan_cache_dir(cache).warnings == []
    assert storage.delete_all(gone[98:]) == [False, True]
    assert [path.name for path in cache.iterdir()] == ["CACHEDIR.TAG"]


def test_a_repos_folder_stays_for_the_part_file_that_is_coming(storage: Storage) -> None:
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True)
    placed = put(storage, spec, DATA)
    coming, its_source = spec_of("b.bin"), source_of(b"b")
    part = storage.part_path(coming, its_source)
    assert delete(storage, spec, source, placed)
    assert part.parent.is_dir()
    storage.discard_part(coming, its_source)
    assert not part.parent.exists()


def test_what_a_deletion_that_was_killed_left_goes_with_the_next(storage: Storage, cache: Path) -> None:
    contents = [b"%d" % number * 1000 for number in range(4)]
    specs = [spec_of(f"d{number}/{number}.bin") for number in range(4)]
    placed = [put(storage, spec, data) for spec, data in zip(specs, contents, strict=True)]
    items = [(s, source_of(data, lfs=True), one) for s, data, one in zip(specs, contents, placed, strict=True)]
    repo = cache / "models--owner--name"
    for one in placed[:3]:
        one.path.unlink()
    (repo / "blobs" / items[0][1].etag).unlink()
    changed = repo / "blobs" / items[2][1].etag
    changed.write_bytes(b"somebody else's")
    assert storage.delete_all(items) == [False, False, False, True]
    assert tree(cache) == {"CACHEDIR.TAG", str(changed.relative_to(cache))}
    changed.unlink()
    assert storage.delete_all(items) == [False] * 4
    assert [path.name for path in cache.iterdir()] == ["CACHEDIR.TAG"]


def test_a_blob_left_by_a_deletion_that_was_killed_stays_while_another_entry_needs_it(
    storage: Storage, cache: Path
) -> None:
    source = source_of(DATA, lfs=True)
    placed = put(storage, spec_of("a.bin"), DATA)
    [same] = storage.adopt([(spec_of("twin.bin"), source, None)])
    assert isinstance(same, Placed)
    placed.path.unlink()
    assert not delete(storage, spec_of("a.bin"), source, placed)
    assert same.path.read_bytes() == DATA
    assert (cache / "models--owner--name" / "refs" / "main").exists()
