"""`hfdm`, the command: everything the daemon does, from a terminal or a script."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Exit codes: contract, section 7."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments in (["--version"], ["-V"]):  # scripts ask at every start: answered before anything is loaded
        from hfdmd import __version__

        print(f"hfdm {__version__}")
        code = 0
    else:
        gc.set_threshold(50_000)  # modules are no garbage: looking for it while they load is a tenth of the start
        from hfdmd_client.cli.app import run

        code = run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has read enough; not even the interpreter's own flush may fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
