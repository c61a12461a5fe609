"""The terminal's title and its progress mark in the task bar, while a command waits for downloads."""

from __future__ import annotations

from collections.abc import Collection
from typing import TextIO

from hfdmd.wire.types import Status
from hfdmd_client.cli import render
from hfdmd_client.event_state import FINAL, Item

_SAVE, _RESTORE = "\x1b[22;2t", "\x1b[23;2t"  # xterm: the title on a stack; other terminals ignore it
_NORMAL, _FAILED = 1, 2
_BELL = "\a"


class TerminalTitle:
    """Shows `42% Qwen3-0.6B` as the title (OSC 2) and as progress (OSC 9;4). `close` restores both."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = ""
        self._write(_SAVE)

    def show(self, items: Collection[Item]) -> None:
        """The progress of what was asked for; of several by size, as far as it is known."""
        total = sum(item.total_bytes or 0 for item in items)
        if not total:
            return
        percent = int(100 * sum(min(item.downloaded_bytes, item.total_bytes or 0) for item in items) / total)
        name = render.clean(next(iter(items)).model_repo.rpartition("/")[2])
        shown = f"\x1b]2;{percent}% {name}\a\x1b]9;4;{_NORMAL};{percent}\a"
        if shown != self._shown:
            self._shown = shown
            self._write(shown)

    def close(self, items: Collection[Item]) -> None:
        """Ring when all have ended, since the person may be looking elsewhere."""
        ended = bool(items) and all(item.status in FINAL for item in items)
        failed = any(item.status is Status.FAILED for item in items)
        self._write(f"\x1b]9;4;{_FAILED if failed else 0}\a{_RESTORE}" + (_BELL if ended else ""))

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
