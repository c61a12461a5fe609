"""Concurrent threads, the Hub's client in the same cache, and a full disk."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, scan_cache_dir

from hfdmd.cache.storage import Placed, Storage
from hfdmd.failure import Failure
from hfdmd.wire.types import Reason
from tests.cache.files import COMMIT, OTHER_COMMIT, REPO, delete, put, source_of, spec_of
from tests.fakehub import HubServer

ROUNDS = 30
THREADS = 6


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_threads_do_not_get_in_each_others_way(storage: Storage, tmp_path: Path) -> None:
    before = open_fds()

    def work(number: int) -> None:
        chance = random.Random(number)
        for turn in range(ROUNDS):
            local = tmp_path / "local" if chance.random() < 0.3 else None
            commit = chance.choice([COMMIT, OTHER_COMMIT])
            data = b"%d-%d" % (number, turn % 3) * 100
            path = f"d{turn % 2}/{number}-{turn}.bin"
            spec = spec_of(path, revision=chance.choice(["main", "dev"]), local_dir=local)
            placed = put(storage, spec, data, commit=commit)
            assert placed.path.read_bytes() == data
            small = [(spec_of(f"s/{number}-{turn}-{i}"), source_of(b"%d" % i), b"%d" % i, None) for i in range(5)]
            for one in storage.place_small(small):
                assert isinstance(one, Placed), one
                assert one.path.exists()
            if chance.random() < 0.7:
                assert delete(storage, spec, source_of(data, lfs=True, commit=commit), placed)
            else:
                [again] = storage.adopt([(spec, source_of(data, lfs=True, commit=commit), placed)])
                assert again == placed

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(work, number) for number in range(THREADS)]:
            done.result()
    assert scan_cache_dir(tmp_path / "hub").warnings == []
    assert open_fds() <= before + 1
    assert not list((tmp_path / "hub").rglob("hfdmd-*"))


def test_apps_and_the_daemon_at_once(server: HubServer, storage: Storage, tmp_path: Path) -> None:
    """Both fetch the same small files of a repo into the same cache."""
    files = {f"d{i % 3}/{i}.json": b"%d" % i * 50 for i in range(40)}
    commit = server.add_repo(REPO, files)
    cache = tmp_path / "hub"
    put(storage, spec_of("first"), b"1", commit=commit)  # until a repo's first folders are made, a scan may complain
    stop = threading.Event()
    problems: list[str] = []

    def look() -> None:
        while not stop.is_set():
            problems.extend(str(warning) for warning in scan_cache_dir(cache).warnings)

    def fetch(paths: list[str]) -> None:
        for path in paths:
            found = hf_hub_download(REPO, path, cache_dir=cache, endpoint=server.endpoint)
            assert Path(found).read_bytes() == files[path]

    watcher = threading.Thread(target=look)
    with ThreadPoolExecutor(2) as threads:
        app = threads.submit(fetch, list(files))
        watcher.start()
        for start in range(0, 40, 8):
            batch = list(files.items())[::-1][start : start + 8]
            items = [(spec_of(path), source_of(data, commit=commit), data, None) for path, data in batch]
            assert all(isinstance(one, Placed) for one in storage.place_small(items))
        app.result()
    stop.set()
    watcher.join()
    assert problems == []
    for path, data in files.items():
        assert Path(hf_hub_download(REPO, path, cache_dir=cache, local_files_only=True)).read_bytes() == data


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB, where the tests may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting takes root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(tiny_disk: Path) -> None:
    storage = Storage(tiny_disk / "hub")
    storage.prepare()
    placed = put(storage, spec_of("first"), b"1")
    with contextlib.suppress(OSError):
        (tiny_disk / "filler").write_bytes(b"x" * 2**20)
    data = b"x" * 100_000
    for local in (None, tiny_disk / "local"):
        spec = spec_of("big", local_dir=local)
        [failure] = storage.place_small([(spec, source_of(data), data, None)])
        assert isinstance(failure, Failure)
        assert failure.reason is Reason.DISK_FULL
    (tiny_disk / "filler").unlink()
    assert not list(tiny_disk.rglob("hfdmd-*.new"))
    [small] = storage.place_small([(spec_of("big"), source_of(data), data, None)])
    assert isinstance(small, Placed)
    assert placed.path.read_bytes() == b"1"
    assert scan_cache_dir(tiny_disk / "hub").warnings == []


def test_a_cache_that_cannot_be_written(tiny_disk: Path) -> None:
    storage = Storage(tiny_disk / "hub")
    storage.prepare()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(Failure, match=Reason.DISK_ERROR):
        storage.part_path(spec_of("a"), source_of(b"1"))
    [failure] = storage.place_small([(spec_of("a"), source_of(b"1"), b"1", None)])
    assert isinstance(failure, Failure)
    assert failure.reason is Reason.DISK_ERROR
    with pytest.raises(OSError, match=r"[Rr]ead-only|denied"):
        Storage(tiny_disk / "hub").prepare()
