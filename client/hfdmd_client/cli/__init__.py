"""`hfdm`, the command: everything the daemon does, from a terminal or a script."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Exit codes: docs/api.md, section 7; 128 and the signal's number when a signal ends it."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _open_what_is_closed()
    _write_utf8()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:  # while it still loads; later ones are told by what they interrupt
        sys.stderr.write("\nhfdm: interrupted.\n")
        code = 130
    except BrokenPipeError:  # whoever read the output has read enough
        code = 0
        _drop_output()
    except OSError as error:
        with contextlib.suppress(OSError):  # it may be what cannot be written
            sys.stderr.write(f"hfdm: {error.strerror if error.filename is None else error}\n")
        code = 1
        _drop_output()
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    if arguments in (["--version"], ["-V"]):  # scripts ask at every start: answered before anything is loaded
        from hfdmd import __version__

        print(f"hfdm {__version__}")
        return 0
    _end_in_order()
    gc.set_threshold(50_000)  # modules are no garbage: looking for it while they load is a tenth of the start
    from hfdmd_client.cli.app import run

    return run(arguments)


def _open_what_is_closed() -> None:
    """Standard streams that the caller closed: else the next socket would get their number, and what is printed."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the end


def _write_utf8() -> None:
    """Names of files are UTF-8 on the disk and in JSON, also where the locale knows fewer letters."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def _end_in_order() -> None:
    """A signal that ends the process lets it put the terminal right first. One that is ignored (nohup) stays so."""
    import signal

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def _drop_output() -> None:
    """What cannot be written is not tried again by the interpreter's own flush at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
