"""UTF-8 whatever the locale: file names on the Hub have any character, and names on disk must be the same for all."""

from __future__ import annotations

import os
import sys


def ensure() -> None:
    """Starts this program again in Python's UTF-8 mode (PEP 540) when the locale is of another encoding.

    Arguments and paths are then the bytes that the caller gave. Python itself does so in the C and POSIX locales unless
    PYTHONUTF8 or PYTHONCOERCECLOCALE say otherwise.
    """
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this very program
