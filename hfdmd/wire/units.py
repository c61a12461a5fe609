"""Parses and formats sizes, speeds and times. Decimal by default (1 MB = 10^6 bytes), as on the Hub."""

from __future__ import annotations

import math
import re

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"(\d+(?:[.,]\d+)?)\s*([kmgtp]?)(i?)(bytes|byte|b)?", re.IGNORECASE)
_PER_SECOND = re.compile(r"\s*(/\s*s(ec(ond)?)?|ps)$", re.IGNORECASE)
_BITS = re.compile(r"(\d+(?:[.,]\d+)?)\s*([KMGTPkmgtp]?)\s*([Bb]its?|b)\s*(?:/\s*s|ps)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(days?|d|hours?|hrs?|h|minutes?|mins?|min|m|seconds?|secs?|sec|s)?")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_NAMES = ("B", "kB", "MB", "GB", "TB", "PB")
MAX_BYTES = 2**53 - 1


class UnitError(ValueError):
    """Not a size, speed or time. The text gives an example."""


class TooMuch(UnitError):
    """A size above the limit of 2^53 - 1 bytes."""


def parse_size(text: str) -> int:
    """Bytes of `20MB`, `1.5 GB`, `512KiB`, `700` (bytes). Raises `UnitError`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise UnitError(f"{text!r} is not a size; write it like 20MB, 1.5 GB or 512MiB{_meant(text)}")
    base = 1024 if match[3] else 1000
    size_bytes = round(float(match[1].replace(",", ".")) * float(base) ** _POWERS[match[2].lower()])
    if size_bytes > MAX_BYTES:
        raise TooMuch(f"{text!r} is too large")
    return size_bytes


def parse_rate(text: str) -> int:
    """Bytes per second of `20MB/s`, `2.5 MiB/s`, `500k`; 0 for `none`, `off`, `unlimited`. Raises `UnitError`."""
    stripped = text.strip()
    if stripped.lower() in ("none", "off", "no", "unlimited", "0"):
        return 0
    if (bits := _BITS.fullmatch(stripped)) and (bits[3] != "b" or bits[2].isupper()):  # 20mb means 20MB
        as_bytes = format_size(parse_size(bits[1] + bits[2]) // 8).replace(" ", "")
        raise UnitError(f"{text!r} is in bits; hfdm uses bytes: write {as_bytes}/s")
    try:
        return parse_size(_PER_SECOND.sub("", stripped))
    except TooMuch as error:
        raise TooMuch(f"{text!r} is too high; `none` means no limit") from error
    except UnitError as error:
        raise UnitError(f"{text!r} is not a speed; write it like 20MB/s, 500kB/s or none{_meant(text)}") from error


def _meant(text: str) -> str:
    """A suggestion for the end of an error message; empty without one."""
    match = re.match(r"\s*(\d+(?:[.,]\d+)?)\s*([kmgtp])", text, re.IGNORECASE)
    return f" (did you mean {match[1]}{match[2].upper().replace('K', 'k')}B?)" if match else ""


def parse_duration(text: str) -> float:
    """Seconds of `90`, `2m 10s`, `1.5h`, `3 days`. Raises `UnitError`."""
    stripped = text.strip().lower()
    parts = list(_DURATION.finditer(stripped))
    bare = len(parts) > 1 and any(part[2] is None for part in parts)
    if not parts or bare or re.sub(r"[\s,]|and", "", _DURATION.sub("", stripped)):
        raise UnitError(f"{text!r} is not a time; write it like 90s, 2m 10s or 1.5h")
    return sum(float(part[1]) * _SECONDS[(part[2] or "s")[0]] for part in parts)


def format_size(size_bytes: int | None) -> str:
    """`1.5 GB`, `812 B`; `?` if unknown."""
    if size_bytes is None:
        return "?"
    if size_bytes < 1000:
        return f"{size_bytes} B"
    power = min(int(math.log10(size_bytes)) // 3, len(_NAMES) - 1)
    value = size_bytes / 1000**power
    if round(value, 1) >= 1000 and power < len(_NAMES) - 1:
        power, value = power + 1, value / 1000
    return f"{value:.1f} {_NAMES[power]}"


def format_rate(bytes_per_s: int | None) -> str:
    """`12.3 MB/s`; empty if unknown."""
    return "" if bytes_per_s is None else f"{format_size(bytes_per_s)}/s"


def format_duration(seconds: float | None) -> str:
    """`2m 10s`, `3h 05m`, `4d 02h`; empty if unknown."""
    if seconds is None:
        return ""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m {total % 60:02d}s"
    if total < 86400:
        return f"{total // 3600}h {total % 3600 // 60:02d}m"
    return f"{total // 86400}d {total % 86400 // 3600:02d}h"
