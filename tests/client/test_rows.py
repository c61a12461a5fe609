"""Rows of the live views: names that differ read differently, and columns stay in place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hfdmd.wire.types import Phase, Reason, Status
from hfdmd_client.cli.bars import MAX_FILES, Bars, in_order
from hfdmd_client.cli.rows import distinct, facts_width, row
from tests.client.samples import download, repo_download

SHARDS = [f"model-{number:05}-of-00024.safetensors" for number in range(1, 25)]
WIDTHS = [40, 60, 80, 100, 140, 200]


def shown(bars: Bars, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(bars)
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [14, 18, 24, 40])
def test_shards_are_told_apart(width: int) -> None:
    names = [*SHARDS, "config.json", "tokenizer/vocab.json"]
    cut = distinct(names, width)
    assert len(set(cut)) == len(names)
    assert max(map(len, cut)) <= width
    assert any("07" in name for name in cut)


@given(
    st.text("abc/", max_size=60), st.text("abc/", max_size=60), st.sets(st.text("0123", min_size=4, max_size=4)),
    st.integers(16, 100),
)  # fmt: skip
def test_names_that_differ_stay_different(first: str, last: str, middles: set[str], width: int) -> None:
    names = [f"{first}{middle}{last}" for middle in sorted(middles)]
    cut = distinct(names, width)
    assert len(set(cut)) == len(set(names))
    assert all(len(name) <= width for name in cut)


@pytest.mark.parametrize("width", WIDTHS)
def test_columns_stand_at_one_place(width: int) -> None:
    items = [
        download(),
        download(progress=100.0, downloaded_bytes=90_868_376, bytes_per_second=None, eta_seconds=None),
        download(progress=0.0, downloaded_bytes=0, total_bytes=999_900_000_000, bytes_per_second=999_900_000_000),
        download(phase=Phase.VERIFYING),
        download(reason=Reason.NETWORK, bytes_per_second=None, eta_seconds=None),
        download(status=Status.QUEUED, reason=Reason.HUB_UNAVAILABLE),
        download(status=Status.PAUSED),
        download(total_bytes=None),
    ]
    name_width = width - facts_width(width)
    rows = [row(item, "name", name_width, width).plain for item in items]
    assert {len(line) for line in rows} == {width}
    assert len({line.index("%") for line in rows if "%" in line}) == 1


def test_an_outage_is_said_in_the_row() -> None:
    said = row(
        download(reason=Reason.NETWORK, detail="no connection", bytes_per_second=5, eta_seconds=5), "name", 12, 80
    ).plain
    assert "network: no connection" in said
    assert "B/s" not in said


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_a_large_repo_fits_and_no_two_rows_read_the_same(width: int) -> None:
    repo = repo_download(files_total=40)
    files = [download(id=name, file_path=name, repo_ids=["r1"]) for name in SHARDS]
    lines = shown(Bars(in_order([*files, repo]), 23), width)
    assert len(lines) == 1 + MAX_FILES + 1
    assert "owner/name" in lines[0]
    assert len({line[:20] for line in lines}) == len(lines)
    assert lines[-1] == f"… and {24 - MAX_FILES} more files: {24 - MAX_FILES} downloading"
    assert max(map(len, lines)) <= width


def test_the_largest_files_come_first() -> None:
    files = [download(id=str(size), file_path=f"{size}.bin", total_bytes=size) for size in (10, 30, 20)]
    assert [line.split()[0] for line in shown(Bars(in_order(files), 10), 80)] == ["30.bin", "20.bin", "10.bin"]


@pytest.mark.parametrize("height", [1, 2, 3, 5])
def test_it_fits_a_low_terminal(height: int) -> None:
    files = [download(id=name, file_path=name) for name in SHARDS]
    assert len(shown(Bars(in_order([repo_download(), *files]), height), 80)) <= max(2, height)
