"""The kinds of settings: how a person writes a value of each, and how it is shown. Used for files, variables, flags."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

from hfdmd.wire.types import MALFORMED, ScheduleRule
from hfdmd.wire.units import (
    MAX_BYTES,
    UnitError,
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)

_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_RULE = 'like { days = ["mon"], from = "22:00", to = "07:00", bandwidth_limit = "2MB/s" }'
_PLACE = re.compile(r"\$\[(?P<number>\d+)\](?:\.(?P<field>\w+))?")


@dataclass(frozen=True, slots=True)
class Kind:
    """`read` turns a text into the value and raises ValueError, in a person's words, for one that is none.

    `metavar` stands for the value in the help; `show` is the value as a person reads it.
    """

    metavar: str
    read: Callable[[str], Any]
    show: Callable[[Any], str]


def convert(kind: Kind, type_: Any, value: Any) -> Any:
    """The value of a setting that was written as `value`. Raises ValueError, in a person's words."""
    if kind is SCHEDULE:
        return _rules(kind.read(value) if isinstance(value, str) else value)
    try:
        return msgspec.convert(kind.read(value) if isinstance(value, str) else value, type_, strict=True)
    except msgspec.ValidationError:
        raise ValueError(f"{_shown(value)} is not {_expected(kind, type_)}") from None


def _expected(kind: Kind, type_: Any) -> str:
    """What is valid, with the bounds of the type."""
    bounds = inspect.type_info(type_)
    low, high = getattr(bounds, "ge", None), getattr(bounds, "le", None)
    what = {
        COUNT: "a whole number",
        RATE: "a speed like 20MB/s",
        SIZE: "a size like 1.5 GB",
        TIME: "a time like 2m or 90s",
        FLAG: "true or false",
        NAMES: "a list of texts",
    }.get(kind, "a text")
    if low is None or high == MAX_BYTES:
        return what
    return f"{what} from {kind.show(low)} to {kind.show(high)}" if high is not None else f"{what}, {low} or more"


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _flag(text: str) -> bool:
    if text.strip().lower() in _YES | _NO:
        return text.strip().lower() in _YES
    raise ValueError(f"{text!r} is not true or false")


def _names(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except MALFORMED:
        raise ValueError('it must be JSON like [{"days": ["mon"], "from": "22:00", "to": "07:00", …}]') from None


def _rules(rules: Any) -> list[ScheduleRule]:
    """The rules of a schedule. A limit is a number or a text like `2MB/s`; its name is spelled in either way."""
    if not isinstance(rules, list):
        raise ValueError(f"it must be a list of rules {_RULE}")
    spelled = [_rule(number, rule) if isinstance(rule, dict) else rule for number, rule in enumerate(rules, 1)]
    try:
        return msgspec.convert(spelled, list[ScheduleRule])
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        which = "" if place is None else f"rule {int(place['number']) + 1}"
        field = "" if place is None or place["field"] is None else f", {place['field']}"
        raise ValueError(f"{which or 'a rule'}{field}: it must be {_RULE}") from None


def _rule(number: int, rule: dict[str, Any]) -> dict[str, Any]:
    limit = rule.get("bandwidth_limit", rule.get("bandwidthLimit"))
    if isinstance(limit, str):
        try:
            limit = parse_rate(limit)
        except UnitError as error:
            raise ValueError(f"rule {number}, bandwidth_limit: {error}") from None
    others = {name: value for name, value in rule.items() if name not in ("bandwidth_limit", "bandwidthLimit")}
    return others if limit is None else {**others, "bandwidthLimit": limit}


def _show_size(size_bytes: int) -> str:
    gib, rest = divmod(size_bytes, 1 << 30)
    return f"{gib} GiB" if gib and not rest else format_size(size_bytes)


COUNT = Kind("N", _count, str)
RATE = Kind("SPEED", parse_rate, lambda rate: format_rate(rate) if rate else "none")
SIZE = Kind("SIZE", parse_size, _show_size)
TIME = Kind("TIME", parse_duration, format_duration)
FLAG = Kind("true|false", _flag, lambda flag: str(flag).lower())
NAMES = Kind("A,B,...", _names, lambda names: ", ".join(names) or "none")
TEXT = Kind("TEXT", str, lambda text: text or "none")
SCHEDULE = Kind("JSON", _json, lambda rules: f"{len(rules)} rules" if rules else "none")
