"""A repo download that does not fit is refused with the numbers of now; what is on the disk needs no room."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from hfdmd.failure import Failure
from hfdmd.wire.types import Reason, Status
from tests.scheduler.parts import COMMIT, REPO, Entry, Wired, file_of, repo_of, source_for, until

DATA, OTHER = b"x" * 3_000_000, b"y" * 5_000_000


def entry(path: str, data: bytes) -> Entry:
    return Entry(path, source_for(data), "1" * 40)


async def needed(wired: Wired, **fields: object) -> str:
    """What a repo of two files says to need on a full disk."""
    wired.min_free_bytes = 2**60
    repo = repo_of(**fields)
    if not wired.made.index.holds(repo):
        wired.enter(repo)
    with pytest.raises(Failure) as refused:
        await wired.room.check(repo, [entry("a", DATA), entry("b", OTHER)])
    assert refused.value.reason is Reason.DISK_FULL
    return refused.value.detail.partition(",")[0]


async def test_all_that_is_still_to_come_is_needed(wired: Wired) -> None:
    assert await needed(wired) == "needs 8.0 MB"


async def test_what_is_in_the_cache_is_not_needed(wired: Wired) -> None:
    await wired.place(file_of("a", asked_singly=True), DATA)
    assert await needed(wired) == "needs 5.0 MB"


async def test_what_is_synced_is_not_needed(wired: Wired) -> None:
    begun = file_of("b", source=source_for(OTHER), synced=[(0, 1_000_000)])
    wired.enter(begun)
    assert await needed(wired) == "needs 7.0 MB"


async def test_what_was_deleted_from_the_repo_is_not_needed(wired: Wired) -> None:
    assert await needed(wired, dropped={"b"}) == "needs 3.0 MB"


async def test_it_is_listed_again_only_when_it_fits(wired: Wired) -> None:
    wired.hub.add({"a": DATA}, COMMIT)
    wired.lists, wired.min_free_bytes = True, 2**60
    repo = repo_of()
    await wired.start(repo)
    await until(lambda: repo.retry_at)
    assert (repo.state, repo.reason, repo.total_bytes) == (Status.QUEUED, Reason.DISK_FULL, len(DATA))
    asked = list(wired.hub.asked)
    before = repo.detail
    wired.min_free_bytes = 2**59
    version = repo.version
    wired.retries.room_may_be_there()
    await until(lambda: repo.version > version and repo.retry_at)
    assert (repo.state, repo.reason) == (Status.QUEUED, Reason.DISK_FULL)
    assert before != repo.detail
    assert str(repo.detail).startswith("needs 3.0 MB, ")
    assert wired.hub.asked == asked
    wired.min_free_bytes = 0
    wired.retries.room_may_be_there()
    await until(lambda: repo.listed)
    assert wired.room._needs == {}


async def test_what_came_meanwhile_is_looked_at_again(wired: Wired) -> None:
    assert await needed(wired) == "needs 8.0 MB"
    (repo,) = wired.made.index.repos.values()
    await wired.place(file_of("b", asked_singly=True), OTHER)
    await wired.room.check_again(repo)  # 8.0 MB may not be needed any more: it is listed again
    with pytest.raises(Failure, match=r"needs 3\.0 MB"):
        await wired.room.check(repo, [entry("a", DATA), entry("b", OTHER)])


async def test_a_drive_that_is_not_there_is_not_full(wired: Wired, tmp_path: Path) -> None:
    away = tmp_path / "models"
    away.symlink_to(tmp_path / "drive" / "models")
    wired.hub.add({"a": DATA}, COMMIT)
    wired.lists, wired.min_free_bytes = True, 2**60  # as on a small system disk
    repo = repo_of(spec=replace(REPO, local_dir=str(away)))
    await wired.start(repo)
    await until(lambda: repo.retry_at)
    assert (repo.state, repo.reason) == (Status.QUEUED, Reason.LOCKED)
    assert str(repo.detail).startswith(f"The drive of {away} is not there")


async def test_what_is_forgotten_is_not_remembered(wired: Wired) -> None:
    await needed(wired)
    (repo,) = wired.made.index.repos.values()
    assert list(wired.room._needs) == [repo.id]
    wired.made.ledger.forget(repo)
    assert wired.room._needs == {}
