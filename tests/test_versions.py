"""Versions only ever rise: across restarts, crashes, and clocks set back."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfdmd import versions as module
from hfdmd.versions import Versions


def opened(tmp_path: Path) -> Versions:
    versions = Versions(tmp_path / "version")
    versions.open()
    return versions


def test_they_rise_within_a_run_and_across_crashes(tmp_path: Path) -> None:
    last = 0
    for _ in range(5):
        versions = opened(tmp_path)  # not closed: each round ends like a crash
        for _ in range(100):
            now = versions.next()
            assert now > last
            last = now
    assert last < 2**53


def test_a_clock_set_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(tmp_path).next()
    monkeypatch.setattr(module.time, "time_ns", lambda: 1_000)
    assert opened(tmp_path).next() > first


def test_what_records_bear_is_never_repeated(tmp_path: Path) -> None:
    versions = opened(tmp_path)
    versions.seen(2**52)
    assert versions.next() > 2**52


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "version").write_bytes(b"\xff\xfe nonsense")
    assert opened(tmp_path).next() > 0


def test_after_a_crash_every_record_is_newer_than_it_was_shown(tmp_path: Path) -> None:
    file = tmp_path / "version"
    first = Versions(file)
    first.open()
    assert first.floor == 0
    shown = first.next()
    crashed = Versions(file)
    crashed.open()
    assert crashed.floor > shown
    crashed.next()
    crashed.close()
    for _ in range(2):
        clean = Versions(file)
        clean.open()
        assert clean.floor == crashed.floor, "and stays so"
        assert clean.next() > crashed.floor
        clean.close()


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = opened(tmp_path)
    last = versions.next()
    blocked = tmp_path / "version.tmp"
    blocked.mkdir()  # so that nothing can be written under that name
    kept = int((tmp_path / "version").read_text().split()[0])
    hours_later = module.time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(module.time, "time_ns", lambda: hours_later)
    for _ in range(1000):
        version = versions.next()
        assert last < version < kept, "what a crash would not make known is not handed out"
        last = version
    blocked.rmdir()
    monkeypatch.setattr(module, "_TRY_AGAIN_S", 0.0)
    versions = opened(tmp_path)
    assert versions.next() > last
