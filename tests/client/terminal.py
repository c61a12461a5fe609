"""A real pseudo-terminal, with a screen that can be looked at."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import pexpect

from tests.daemon_process import DEADLINE_S

_CONTROL = re.compile(r"\x1b\][^\a]*\a|\a|\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]")


class Terminal:
    """A program in a pseudo-terminal of the given width. `raw` is everything that it has written."""

    def __init__(
        self,
        command: Sequence[str],
        env: dict[str, str],
        *,
        columns: int = 80,
        rows: int = 24,
        term: str = "xterm-256color",
    ) -> None:
        self.columns, self.rows = columns, rows
        self.raw = ""
        with warnings.catch_warnings():
            # From Python 3.12 on: forkpty beside threads. The child runs another program at once and takes no lock.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.child = pexpect.spawn(
                command[0],
                list(command[1:]),
                env={**env, "TERM": term, "COLORTERM": "", "LANG": "C.UTF-8"},
                dimensions=(rows, columns),
                encoding="utf-8",
                timeout=DEADLINE_S,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.child.close(force=True)

    def read(self, wait_s: float = 0.1) -> None:
        """Takes what has been written."""
        try:
            self.raw += self.child.read_nonblocking(65536, wait_s)
        except pexpect.TIMEOUT:
            return

    def until(self, pattern: str) -> str:
        """What has been written once `pattern` occurs in it."""
        deadline = time.monotonic() + DEADLINE_S
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, f"{pattern!r} did not appear in:\n{self.text}"
            try:
                self.read()
            except pexpect.EOF:
                assert re.search(pattern, self.text), f"{pattern!r} did not appear in:\n{self.text}"
        return self.text

    def end(self) -> int:
        """Waits for the program's end; its exit code."""
        deadline = time.monotonic() + DEADLINE_S
        try:
            while True:
                assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
                self.read()
        except pexpect.EOF:
            pass
        self.child.close()
        return int(self.child.exitstatus if self.child.exitstatus is not None else -(self.child.signalstatus or 0))

    @property
    def text(self) -> str:
        """All that was written, without control codes."""
        return _CONTROL.sub("", self.raw).replace("\r", "")

    def press(self, keys: str) -> None:
        self.child.send(keys)

    @property
    def lines(self) -> list[str]:
        """Each line as it was written, those included that were overwritten later."""
        return re.split(r"\r|\n", _CONTROL.sub("", self.raw))

    @property
    def widest(self) -> int:
        """The longest line that was written, in columns."""
        return max(map(len, self.lines), default=0)
