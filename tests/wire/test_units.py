from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd.wire import units


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("700", 700),
        ("20MB", 20_000_000),
        ("1.5 GB", 1_500_000_000),
        ("1,5 GB", 1_500_000_000),
        ("512KiB", 524_288),
        ("512 kib", 524_288),
        ("2 GiB", 2 << 30),
        ("3k", 3000),
        ("1tb", 10**12),
        ("12 bytes", 12),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20MB/s", 20_000_000),
        ("20 MBps", 20_000_000),
        ("500k", 500_000),
        ("2.5 MiB/sec", 2_621_440),
        ("off", 0),
        ("None", 0),
    ],
)
def test_rates(text: str, rate: int) -> None:
    assert units.parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "MB", "-5MB", "5 i", "1e3", "20MX", "1.2.3 GB", "9" * 30])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(units.UnitError):
        units.parse_size(text)


def test_a_rate_that_is_too_much_is_not_asked_about() -> None:
    with pytest.raises(units.UnitError, match="too high") as caught:
        units.parse_rate("99999999TB")
    assert "did you mean" not in str(caught.value)


def test_bits_are_told_apart_and_converted() -> None:
    with pytest.raises(units.UnitError, match=r"write 2\.5MB/s"):
        units.parse_rate("20Mbit/s")
    with pytest.raises(units.UnitError, match=r"write 2\.5MB/s"):
        units.parse_rate("20Mb/s")


def test_a_wrong_spelling_suggests_the_right_one() -> None:
    with pytest.raises(units.UnitError, match="did you mean 20MB"):
        units.parse_rate("20Mbs/s.")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("2m 10s", 130),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("3 days", 259_200),
        ("2 min and 5 sec", 125),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "m", "5 10s", "10x", "-3s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(units.UnitError):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "?"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (90_868_376, "90.9 MB"),
        (2**53, "9.0 PB"),
    ],
)
def test_sizes_for_people(size_bytes: int | None, text: str) -> None:
    assert units.format_size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0s"), (59.4, "59s"), (59.6, "1m 00s"), (130, "2m 10s"), (7500, "2h 05m"), (180_000, "2d 02h")],
)
def test_durations_for_people(seconds: float | None, text: str) -> None:
    assert units.format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=10**15))
def test_a_printed_size_reads_back_within_its_rounding(size_bytes: int) -> None:
    again = units.parse_size(units.format_size(size_bytes))
    assert abs(again - size_bytes) <= max(0, size_bytes * 0.051)


@given(st.text(max_size=20))
def test_nothing_but_unit_errors(text: str) -> None:
    for parse in (units.parse_size, units.parse_rate, units.parse_duration):
        with contextlib.suppress(units.UnitError):
            assert parse(text) >= 0
