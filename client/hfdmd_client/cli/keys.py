"""Single key presses from a terminal, without waiting for Enter."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Self

_SEQUENCES = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down", b"\x1b": "escape"}


class Keys:
    """A context in which keys can be read. The terminal is restored at the end, also after an exception."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._descriptor)

    def __enter__(self) -> Self:
        tty.setcbreak(self._descriptor)  # Ctrl-C still interrupts
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def wait(self, timeout_s: float) -> list[str]:
        """The keys pressed within `timeout_s`; an arrow is one key. Raises `EOFError` when the terminal is closed."""
        ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not ready:
            return []
        pressed = os.read(self._descriptor, 64)
        if not pressed:
            raise EOFError("the terminal is closed")
        if pressed in _SEQUENCES:
            return [_SEQUENCES[pressed]]
        for sequence, name in _SEQUENCES.items():
            if len(sequence) > 1:
                pressed = pressed.replace(sequence, b"\x00" if name == "up" else b"\x01")
        return [{"\x00": "up", "\x01": "down"}.get(key, key) for key in pressed.decode("utf-8", "ignore")]
