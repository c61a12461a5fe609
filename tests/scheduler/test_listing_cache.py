"""Kept lists: they come back as they were, and nothing that is damaged, hostile or of another commit is used."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfdmd.record import Entry, Source
from hfdmd.scheduler.listing_cache import ListingCache
from tests.scheduler.parts import COMMIT, OTHER_COMMIT, entry_of

KEY = "0" * 32
ENTRIES = [entry_of("a.json", 1), entry_of("b/c.bin", 2, size_bytes=0)]
SHAS = st.integers(0, 2**160 - 1).map(lambda number: f"{number:040x}")
SHA256S = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")


@pytest.fixture
def cache(tmp_path: Path) -> ListingCache:
    cache = ListingCache(tmp_path / "lists")
    cache.write(KEY, COMMIT, 7.0, 11.0, ENTRIES)
    return cache


def stamped(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, source=msgspec.structs.replace(entry.source, told_at=7.0))


def test_a_list_comes_back_with_the_times_of_its_head(cache: ListingCache) -> None:
    found = cache.read(KEY, COMMIT)
    assert found is not None
    assert found.listed_at == 11.0
    assert found.entries == [stamped(entry) for entry in ENTRIES]


@st.composite
def listed(draw: st.DrawFn) -> list[Entry]:
    paths = draw(st.lists(st.from_regex(r"[a-z]{1,9}(/[a-z]{1,9}\.[a-z]{1,3})?", fullmatch=True), unique=True))
    entries = []
    for number, path in enumerate(paths):
        blob_id, is_lfs = draw(SHAS), draw(st.booleans())
        etag = draw(SHA256S) if is_lfs else blob_id
        digest = f"sha256:{etag}" if is_lfs else f"git-sha1:{etag}"
        xet_hash = draw(st.none() | SHA256S)
        size = draw(st.integers(0, 2**40))
        source = Source(commit=COMMIT, etag=etag, size_bytes=size, digest=digest, xet_hash=xet_hash, told_at=7.0)
        entries.append(Entry(f"{number}-{path}", source, blob_id))  # no file is also a folder
    return entries


@settings(max_examples=30)
@given(listed())
def test_any_list_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]) -> None:
    cache = ListingCache(tmp_path_factory.getbasetemp() / "any")
    cache.write(KEY, COMMIT, 7.0, 11.0, entries)
    found = cache.read(KEY, COMMIT)
    assert found is not None
    assert found.entries == entries


def test_a_list_of_another_commit_is_not_used(cache: ListingCache) -> None:
    assert cache.read(KEY, OTHER_COMMIT) is None
    assert cache.read("1" * 32, COMMIT) is None


def changed(cache: ListingCache, old: bytes, new: bytes) -> None:
    path = cache.folder / f"{KEY}.jsonl"
    before = path.read_bytes()
    path.write_bytes(before.replace(old, new, 1))
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"schemaVersion":1', b'"schemaVersion":2'),
        (b'"files":2', b'"files":3'),
        (b'"a.json"', b'"../a.json"'),
        (b'"a.json"', b'"b/c.bin/d"'),
        (b'"size":100}', b'"size":-7}'),
        (b'"type"', b'"typ'),
        (b"{", b"\xff"),
    ],
)
def test_a_damaged_or_hostile_list_is_not_used(cache: ListingCache, old: bytes, new: bytes) -> None:
    changed(cache, old, new)
    assert cache.read(KEY, COMMIT) is None


def test_a_list_that_was_cut_short_is_not_used(cache: ListingCache) -> None:
    path = cache.folder / f"{KEY}.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (b"", lines[0], b"".join(lines[:-1]), whole[:-10]):
        path.write_bytes(cut)
        assert cache.read(KEY, COMMIT) is None


def test_what_is_forgotten_is_gone_and_may_be_forgotten_again(cache: ListingCache) -> None:
    cache.forget(KEY)
    cache.forget(KEY)
    assert cache.read(KEY, COMMIT) is None
    assert list(cache.folder.iterdir()) == []


def test_a_sweep_keeps_what_is_wanted_and_what_is_of_others(cache: ListingCache) -> None:
    cache.write("1" * 32, COMMIT, 7.0, 11.0, ENTRIES)
    (cache.folder / ".tmp").touch()
    (cache.folder / "abcdef.tmp").touch()
    (cache.folder / "notes.txt").touch()
    (cache.folder / "stuck.tmp").mkdir()  # cannot be unlinked; it does not keep the others
    cache.sweep({KEY})
    assert {path.name for path in cache.folder.iterdir()} == {f"{KEY}.jsonl", "notes.txt", "stuck.tmp"}
    ListingCache(cache.folder / "missing").sweep(())
