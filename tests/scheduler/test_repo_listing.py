"""Listings: files become downloads, the list is kept, and a failure says what a person can do, or waits."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from hfdmd.failure import Failure
from hfdmd.record import FileRecord, RepoRecord, RepoSpec
from hfdmd.wire.types import Reason, RepoType, Selector, Status
from tests.scheduler.parts import COMMIT, OTHER_COMMIT, REPO, Wired, file_of, repo_of, source_for, until

FILES = {"a.json": b"{}", "sub/b.bin": b"b" * 1000, "c.md": b"c"}


@pytest.fixture
def wired(wired: Wired) -> Wired:
    wired.lists = True
    wired.hub.add(FILES)
    return wired


async def listed(wired: Wired, repo: RepoRecord) -> RepoRecord:
    """Lets the repo download be listed; its files only hang then."""
    if not wired.made.index.holds(repo):
        wired.enter(repo)
    wired.admit()
    await until(lambda: (repo.listed or repo.attempt) and repo.id not in wired.made.running.listings)
    return repo


def children(wired: Wired, repo: RepoRecord) -> dict[str, FileRecord]:
    return {record.spec.file_path: record for record in wired.made.index.children(repo)}


def globs(*include: str, exclude: tuple[str, ...] = ()) -> RepoSpec:
    return RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision="main", include=include, exclude=exclude)


async def test_a_listing_makes_downloads_and_keeps_its_list(wired: Wired) -> None:
    repo = await listed(wired, repo_of(spec=globs("*.json", "sub/*", exclude=("*.md",)), retry=True))
    found = children(wired, repo)
    assert {path: record.source for path, record in found.items()} == {
        path: source_for(FILES[path]) for path in ("a.json", "sub/b.bin")
    }
    assert (repo.commit, repo.listed, repo.files_total, repo.total_bytes) == (COMMIT, True, 2, 1002)
    assert (repo.revive, repo.retry, repo.moving, repo.attempt) == (False, False, False, 0)
    assert repo.state is Status.DOWNLOADING
    kept = wired.listings.read(repo.id, COMMIT)
    assert kept is not None
    assert [entry.path for entry in kept.entries] == ["a.json", "sub/b.bin"]


async def test_the_tree_of_the_cache_names_what_is_left_out_too(wired: Wired) -> None:
    await listed(wired, repo_of(spec=globs("*.json")))
    (tree,) = [path for path in wired.cache_dir.rglob("*") if path.is_file() and COMMIT in path.name]
    assert all(name in tree.read_text() for name in FILES)


async def test_a_repo_without_matching_files_fails_and_may_be_asked_for_again(wired: Wired) -> None:
    repo = await listed(wired, repo_of(spec=globs("*.safetensors")))
    assert (repo.state, repo.reason, repo.commit) == (Status.FAILED, Reason.FILE_NOT_FOUND, None)
    assert "no files that match *.safetensors; it has 3 in all" in (repo.detail or "")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Failure(Reason.NETWORK, "away", retry_after_s=500), Status.QUEUED, Reason.NETWORK),
        (Failure(Reason.GATED, "accept the terms"), Status.FAILED, Reason.GATED),
        (PermissionError(13, "Permission denied"), Status.FAILED, Reason.DISK_ERROR),
        (ZeroDivisionError(), Status.FAILED, Reason.INTERNAL),
    ],
)
async def test_a_listing_that_fails(wired: Wired, error: Exception, status: Status, reason: Reason) -> None:
    wired.hub.failures = [error]
    repo = await listed(wired, repo_of(commit=COMMIT))
    assert (repo.state, repo.reason, repo.listed) == (status, reason, False)
    assert (repo.retry_at is not None) is (status is Status.QUEUED)
    assert repo.attempt == 1
    assert repo.commit == COMMIT, "what the Hub said before stays pinned"


async def test_a_commit_that_is_gone_is_resolved_anew(wired: Wired) -> None:
    wired.hub.contents = {OTHER_COMMIT: FILES}
    wired.hub.head = OTHER_COMMIT
    repo = await listed(wired, repo_of(commit=COMMIT))
    assert (repo.commit, repo.listed) == (OTHER_COMMIT, True)
    spec = RepoSpec(repo_type=RepoType.MODEL, model_repo="o/n", revision=COMMIT)
    pinned = await listed(wired, repo_of(spec=spec, commit=COMMIT, number=1))
    assert (pinned.state, pinned.reason) == (Status.FAILED, Reason.REVISION_NOT_FOUND)


async def test_what_is_refused_is_noted(wired: Wired) -> None:
    wired.hub.refused = [("../x", "leaves the folder"), ("y", "why")]
    repo = await listed(wired, repo_of())
    assert repo.note == "2 files are left out: '../x' leaves the folder"
    assert repo.detail == repo.note


async def test_a_listing_ends_the_wait_of_others_for_the_network(wired: Wired) -> None:
    waits = file_of("waits", asked_singly=True, number=5)
    wired.enter(waits)
    wired.made.ledger.edit(waits, reason=Reason.NETWORK, retry_at="2999-01-01T00:00:00.000000Z")
    await listed(wired, repo_of())
    await until(lambda: waits.retry_at is None)


async def test_a_list_that_cannot_be_kept_costs_nothing_else(
    wired: Wired, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(wired.listings), "write", fails)
    repo = await listed(wired, repo_of())
    assert repo.listed
    assert "cannot keep the list" in caplog.text


async def test_an_update_drops_what_is_gone_and_makes_siblings_follow(wired: Wired) -> None:
    repo = await listed(wired, repo_of())
    part = await listed(wired, repo_of(spec=globs("a*"), number=1))
    assert children(wired, part)["a.json"] is children(wired, repo)["a.json"]
    before = children(wired, repo)
    wired.hub.add({"a.json": b"new", "sub/b.bin": FILES["sub/b.bin"]}, OTHER_COMMIT)
    wired.updates.start(repo)
    await until(lambda: repo.listed and part.listed and repo.commit == part.commit == OTHER_COMMIT)
    after = children(wired, repo)
    assert set(after) == {"a.json", "sub/b.bin"}
    assert {path: after[path] is before[path] for path in after} == {"a.json": True, "sub/b.bin": True}
    assert after["a.json"].source == source_for(b"new", commit=OTHER_COMMIT)
    assert before["c.md"].id not in wired.made.index.files
    assert wired.hub.asked.count("head_commit") == 1, "the sibling takes the commit over"


async def test_files_that_are_deleted_while_they_are_listed_stay_deleted(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops, go_on = asyncio.Event(), asyncio.Event()
    drop = type(wired.merger).drop

    async def slow(*args: object) -> None:
        drops.set()
        await go_on.wait()
        await drop(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(type(wired.merger), "drop", slow)
    repo = repo_of()
    wired.enter(repo)
    wired.admit()
    await drops.wait()
    await wired.actions.delete(Selector(id=REPO.file("a.json").id), delete_file=False)
    go_on.set()
    await until(lambda: repo.listed)
    assert set(children(wired, repo)) == {"sub/b.bin", "c.md"}
    assert repo.dropped == {"a.json"}


async def test_a_repo_of_which_all_is_deleted_while_it_is_listed_goes_too(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> None:
        drops.set()
        await go_on.wait()

    monkeypatch.setattr(type(wired.merger), "drop", slow)
    repo = repo_of()
    wired.enter(repo)
    wired.admit()
    await drops.wait()
    for path in FILES:
        await wired.actions.delete(Selector(id=REPO.file(path).id), delete_file=False)
    go_on.set()
    await until(lambda: repo.id not in wired.made.running.listings)
    assert wired.made.index.repos == {}
    await wired.made.store.flush()
    assert wired.made.on_disk() == {}


async def test_a_listing_that_only_restores_moves_nothing(wired: Wired) -> None:
    old = source_for(b"old", commit=OTHER_COMMIT)
    repo = repo_of(revive=False, commit=COMMIT)
    record = file_of("a.json", Status.FAILED, repo_ids=[repo.id], source=old)
    record.reason = Reason.GATED
    wired.enter(repo, record)
    await listed(wired, repo)
    assert (record.state, record.source) == (Status.FAILED, old)
    assert "head_commit" not in wired.hub.asked


async def test_the_tracker_names_the_commit_before_the_files_are_known(wired: Wired) -> None:
    """A restart lists the same commit again."""
    repo = repo_of()
    wired.enter(repo)
    seen = []

    def tracker() -> object:
        return json.loads(Path(wired.made.store.path(repo.spec)).read_bytes())["commit"]

    list_repo = wired.hub.list_repo

    async def slow(*args: object, **more: object) -> object:
        listing = await list_repo(*args, **more)  # type: ignore[arg-type]
        pages = listing.pages

        async def checked():  # type: ignore[no-untyped-def]
            await wired.made.store.flush()
            seen.append(tracker())
            async for page in pages():
                yield page

        listing.pages = checked  # type: ignore[method-assign]
        return listing

    wired.hub.list_repo = slow  # type: ignore[method-assign, assignment]
    await listed(wired, repo)
    assert seen == [COMMIT]
