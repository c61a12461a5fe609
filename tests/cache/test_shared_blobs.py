"""The store of Xet files that repos share, with the installed `huggingface_hub` as the judge."""

from __future__ import annotations

import os
from pathlib import Path

from hfdmd.cache.storage import Placed, Storage
from tests.cache.files import DATA, assert_clean, delete, hf, offline, put, source_of, spec_of


def test_a_shared_blob_is_read_through_and_never_written_through(storage: Storage, cache: Path) -> None:
    store = cache / "blobs" / "ee"
    store.mkdir(parents=True)
    (cache / "blobs" / ".huggingface-shared-blobs").write_text("1\n")
    payload = store / ("e" * 64)
    payload.write_bytes(DATA)
    payload.chmod(0o444)
    spec, source = spec_of("a.bin"), source_of(DATA, lfs=True, xet_hash="e" * 64)
    blobs = cache / "models--owner--name" / "blobs"
    blobs.mkdir(parents=True)
    blob = blobs / source.etag
    blob.symlink_to("../../blobs/ee/" + "e" * 64)
    [placed] = storage.adopt([(spec, source, None)])
    assert isinstance(placed, Placed)
    assert offline(cache, "a.bin") == DATA
    assert blob.is_symlink()

    payload.chmod(0o644)
    payload.write_bytes(b"damaged by somebody")
    assert Storage(cache).adopt([(spec, source, None)]) == [None]
    put(storage, spec, DATA)
    assert not blob.is_symlink()
    assert payload.read_bytes() == b"damaged by somebody"
    assert offline(cache, "a.bin") == DATA
    assert_clean(cache)


def test_a_file_of_another_repo_in_the_shared_store_is_linked(storage: Storage, cache: Path) -> None:
    store = cache / "blobs" / "ee"
    store.mkdir(parents=True)
    (cache / "blobs" / ".huggingface-shared-blobs").write_text("1\n")
    payload = store / ("e" * 64)
    payload.write_bytes(DATA)
    payload.chmod(0o444)
    spec, source = spec_of("sub/a.bin"), source_of(DATA, lfs=True, xet_hash="e" * 64)
    [placed] = storage.adopt([(spec, source, None)])
    assert isinstance(placed, Placed)
    assert offline(cache, "sub/a.bin") == DATA
    blob = cache / "models--owner--name" / "blobs" / source.etag
    assert os.readlink(blob) == "../../blobs/ee/" + "e" * 64
    users = payload.with_name(f"{payload.name}.refs")
    assert users.read_text() == f"models--owner--name/blobs/{source.etag}\n"
    assert_clean(cache)
    hf(cache, "cache", "prune", "--yes")
    assert offline(cache, "sub/a.bin") == DATA
    assert delete(storage, spec, source, placed)
    hf(cache, "cache", "prune", "--yes")
    assert not payload.exists()


def test_a_damaged_file_in_the_shared_store_is_not_linked(storage: Storage, cache: Path) -> None:
    payload = cache / "blobs" / "ee" / ("e" * 64)
    payload.parent.mkdir(parents=True)
    payload.write_bytes(DATA[:-1] + b"X")
    source = source_of(DATA, lfs=True, xet_hash="e" * 64)
    (cache / "blobs" / ".huggingface-shared-blobs").write_text("1\n")
    assert storage.adopt([(spec_of("a.bin"), source, None)]) == [None]
    payload.write_bytes(DATA)
    (cache / "blobs" / ".huggingface-shared-blobs").write_text("2\n")
    assert storage.adopt([(spec_of("a.bin"), source, None)]) == [None]
    assert not (cache / "models--owner--name").exists()
