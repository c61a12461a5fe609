"""What hfdmd wrote: copied within a folder, and told apart from what other programs wrote."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from hfdmd.cache.storage import Placed
from hfdmd.record import FileRecord, RepoSpec, new_file
from hfdmd.scheduler import written_files as written_files_module
from hfdmd.scheduler.storage_batches import Placement
from hfdmd.scheduler.written_files import WrittenFiles
from hfdmd.wire.types import RepoType, Status
from tests.scheduler.parts import Wired, file_of, source_for

DATA = b"the content" * 100
SOURCE = replace(source_for(DATA), told_at=1.0)
"""The Hub answered later than the files of these tests were written."""


def local(path: str, folder: Path, revision: str = "main") -> FileRecord:
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision=revision, local_dir=str(folder))
    return new_file(spec.file(path), 1, 0.0, 0.0, asked_singly=True, source=source_for(DATA))


def placement_of(record: FileRecord) -> Placement:
    assert record.source is not None
    return Placement(record.spec, record.source, None)


async def test_content_is_copied_within_its_folder_only(wired: Wired, tmp_path: Path) -> None:
    first = local("a", tmp_path / "f")
    await wired.place(first, DATA)
    wired.written_files.add(first)
    again = local("b", tmp_path / "f")
    copied = await wired.written_files.copy_same_content(placement_of(again))
    assert copied is not None
    assert copied.path == tmp_path / "f" / "b"
    assert copied.path.read_bytes() == DATA
    assert copied.path.stat().st_ino != (tmp_path / "f" / "a").stat().st_ino
    assert await wired.written_files.copy_same_content(placement_of(local("b", tmp_path / "g"))) is None
    assert await wired.written_files.copy_same_content(placement_of(file_of("b", source=source_for(DATA)))) is None
    assert await wired.written_files.copy_same_content(placement_of(first)) is None, "not of itself"


async def test_a_file_that_was_changed_or_is_not_done_is_not_copied(wired: Wired, tmp_path: Path) -> None:
    first = local("a", tmp_path / "f")
    await wired.place(first, DATA)
    (tmp_path / "f" / "a").write_bytes(DATA[::-1])
    os.utime(tmp_path / "f" / "a", ns=(1, 1))
    again = placement_of(local("b", tmp_path / "f"))
    assert await wired.written_files.copy_same_content(again) is None
    wired.made.ledger.forget(first)
    assert await wired.written_files.copy_same_content(again) is None
    assert not (tmp_path / "f" / "b").exists()


async def test_a_download_that_is_forgotten_does_not_hide_another_of_its_content(wired: Wired, tmp_path: Path) -> None:
    first, second = local("a", tmp_path / "f"), local("b", tmp_path / "f")
    for record in (first, second):
        await wired.place(record, DATA)
    wired.made.ledger.forget(first)
    copied = await wired.written_files.copy_same_content(placement_of(local("c", tmp_path / "f")))
    assert copied is not None


def found(size_bytes: int = len(DATA), mtime_ns: int = 5, *, is_found: bool = True) -> Placed:
    return Placed(Path("/p"), size_bytes, mtime_ns, found=is_found)


def done(**fields: object) -> FileRecord:
    return file_of("a", Status.DONE, source=SOURCE, **fields)


@pytest.fixture
def written(wired: Wired) -> WrittenFiles:
    return wired.written_files


async def test_what_was_written_for_this_download_is_not_foreign(written: WrittenFiles) -> None:
    assert not written.is_foreign(done(), found(is_found=False))


async def test_what_was_on_disk_before_is_foreign_unless_hfdmd_wrote_it(written: WrittenFiles) -> None:
    assert written.is_foreign(done(), found())
    written.add(file_of("b", Status.DONE, source=SOURCE, placed_bytes=len(DATA), placed_mtime_ns=5))
    assert not written.is_foreign(done(), found())
    assert written.is_foreign(done(), found(mtime_ns=6)), "another program has written it since"
    other = file_of("a", source=replace(SOURCE, etag="0" * 64))
    assert written.is_foreign(other, found()), "it is another content"


async def test_what_was_adopted_once_stays_foreign(written: WrittenFiles) -> None:
    kept = {"placed_bytes": len(DATA), "placed_mtime_ns": 5}
    written.add(done(adopted=True, **kept))
    assert written.is_foreign(done(adopted=True, **kept), found())
    assert written.is_foreign(done(), found()), "that hfdmd adopted it does not make it its own"
    assert not written.is_foreign(done(adopted=False, **kept), found())


async def test_what_a_crash_left_between_placing_and_its_tracker_is_not_foreign(written: WrittenFiles) -> None:
    now = time.time()
    before, after = int((now - 50) * 1e9), int((now + 50) * 1e9)
    record = file_of("a", source=replace(source_for(DATA), told_at=now - 100))
    assert not written.is_foreign(record, found(mtime_ns=before)), "younger than the answer, older than the daemon"
    assert written.is_foreign(record, found(mtime_ns=after))
    assert written.is_foreign(record, found(mtime_ns=int((now - 200) * 1e9)))


async def test_the_memory_is_bounded_and_keeps_what_downloads_name(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_files_module, "_SPARE", 10)
    kept = done(placed_bytes=len(DATA), placed_mtime_ns=5, asked_singly=True)
    wired.enter(kept)
    wired.written_files.add(kept)
    for number in range(100):
        gone = file_of("b", Status.DONE, source=SOURCE, placed_bytes=len(DATA), placed_mtime_ns=number + 10)
        wired.written_files.add(gone)
    assert len(wired.written_files._written) < 20
    assert not wired.written_files.is_foreign(file_of("c", source=SOURCE), found())
