"""A download as one row of a live view: name, bar, percent, size, speed, time, or why nothing moves. Any width."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.style import Style
from rich.text import Text

from hfdmd.wire.types import Status
from hfdmd.wire.units import format_size
from hfdmd_client.cli import render
from hfdmd_client.event_state import Item

_PERCENT, _AMOUNT, _SPEED, _ETA = 6, 14, 10, 8
"""Widths of the columns: of the longest text that each can hold, so that no column moves."""
_ETA_FROM, _AMOUNT_FROM = 70, 80
"""The widths of the terminal from which a row also has the remaining time, and the size."""
_MIN_NAME = 12
_DONE, _OPEN = "━", "─"


def distinct(names: Sequence[str], width: int) -> list[str]:
    """The names in at most `width` characters, so that different ones stay different as far as they can.

    Names that would read the same are cut where they are equal: at their common beginning and end.
    """
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(render.squeeze(name, width), []).append(name)
    short: dict[str, str] = {}
    for squeezed, group in alike.items():
        if len(group) == 1:
            short[group[0]] = squeezed
            continue
        first = os.path.commonprefix(group)  # noqa: RUF071 - characters are meant, not path components
        last = os.path.commonprefix([name[len(first) :][::-1] for name in group])  # noqa: RUF071
        short.update((name, _cut(name, len(first), len(name) - len(last), width)) for name in group)
    return [short[name] for name in names]


def _cut(name: str, start: int, end: int, width: int) -> str:
    """`name` in `width`, with all of its part from `start` to `end` if that fits."""
    own = render.squeeze(name[start:end], width)
    room = width - len(own)
    ending = name[end:]
    if len(ending) > (kept := max(room // 3, room - start)):
        ending = f"…{ending[len(ending) - kept + 1 :]}"[:kept]
    beginning = name[:start]
    if len(beginning) > (kept := room - len(ending)):
        beginning = f"{beginning[: kept - 1]}…" if kept else ""
    return beginning + own + ending


def facts_width(width: int) -> int:
    """Columns that everything behind the name takes in a terminal of that width."""
    return sum(_columns(width)) + len(_columns(width))


def row(item: Item, name: str, name_width: int, width: int) -> Text:
    """The row; `name` is as `distinct` gave it. Its columns stand at the same place for every item."""
    text = Text(name.ljust(name_width), no_wrap=True, overflow="crop")
    bar_width, *columns = _columns(width)
    style = render.style(item.status)
    text.append(" ")
    text.append_text(_bar(item, bar_width))
    text.append(f" {render.percent(item):>{_PERCENT}}")
    rest = sum(columns[1:]) + len(columns) - 1
    if item.status is Status.DOWNLOADING and not render.waits(item) and render.is_transferring(item):
        facts = {_AMOUNT: amount(item), _SPEED: render.speed(item), _ETA: render.eta(item)}
        text.append("".join(f" {facts[column]:>{column}}" for column in columns[1:]), style)
    else:
        why = render.why(item) if render.waits(item) else render.state(item)
        text.append(f" {render.cut(why, rest - 1)}".ljust(rest), style)
    return text


def amount(item: Item) -> str:
    """`64.0/503.0 MB`: both numbers in the unit of the size."""
    if item.total_bytes is None:
        return format_size(item.downloaded_bytes) if item.downloaded_bytes else ""
    total, _, unit = format_size(item.total_bytes).partition(" ")
    if not item.total_bytes or item.downloaded_bytes >= item.total_bytes:
        return f"{total} {unit}"
    return f"{float(total) * item.downloaded_bytes / item.total_bytes:.1f}/{total} {unit}"


def _columns(width: int) -> list[int]:
    """Widths of the bar, the percentage, and the facts that fit."""
    columns = [_PERCENT, *([_AMOUNT] if width >= _AMOUNT_FROM else []), _SPEED]
    if width >= _ETA_FROM:
        columns.append(_ETA)
    left = width - sum(columns) - len(columns) - 1
    return [max(4, min(24, (left - _MIN_NAME) // 3)), *columns]


def _bar(item: Item, width: int) -> Text:
    """A bar of fixed width, whose two parts differ without colours as well."""
    filled = round(width * item.progress / 100)
    return Text.assemble((_DONE * filled, Style.parse(render.style(item.status))), (_OPEN * (width - filled), "dim"))
