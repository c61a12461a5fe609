"""What `hfdm watch` shows over its tree: a question, and the details of a download."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from hfdmd_client.cli import render

_LOG_LINES = 8
_LOG_BYTES = 200_000


class Question(ModalScreen[bool]):
    """A question that is answered by yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes"),
        Binding("n,escape,q", "dismiss(False)", "no"),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(f"{self._text} [y/N]", classes="dialog", markup=False)


class Details(ModalScreen[None]):
    """All facts of a download, and the daemon's last log lines about it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,d,enter", "dismiss", "back")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(self._text, classes="dialog", markup=False)


def log_lines(log: Path, words: tuple[str, ...]) -> list[str]:
    """The last lines of the daemon's log file that name the download. None when it logs elsewhere, as a service."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [render.clean(line) for line in lines if any(word in line for word in words)][-_LOG_LINES:]
