"""`hfdm`: the command line of the daemon."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
from collections.abc import Sequence

from hfdmd.wire import utf8


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Exit codes: docs/api.md, section 7; 128 and the signal's number when a signal ends it."""
    if arguments is None:
        utf8.ensure()
        arguments = sys.argv[1:]
    arguments = list(arguments)
    _open_closed_streams()
    try:
        _write_utf8()
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:  # while modules load; later ones are handled where they occur
        sys.stderr.write("\nhfdm: interrupted.\n")
        code = 130
    except BrokenPipeError:  # the reader of the output has closed it
        code = 0
        _drop_output()
    except OSError as error:
        with contextlib.suppress(OSError):  # stderr may be closed too
            sys.stderr.write(f"hfdm: {error.strerror if error.filename is None else error}\n")
        code = 1
        _drop_output()
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    if arguments in (["--version"], ["-V"]):  # scripts ask often: answered without loading anything
        from hfdmd import __version__

        print(f"hfdm {__version__}")
        return 0
    _exit_on_signals()
    gc.set_threshold(50_000)  # collecting garbage while modules load takes a tenth of the start
    from hfdmd_client.cli.app import run

    return run(arguments)


def _open_closed_streams() -> None:
    """Opens standard streams that the caller closed. Otherwise a socket could get their number, and the output."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the process ends


def _write_utf8() -> None:
    """Writes UTF-8 in every locale, because file names may have any character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def _exit_on_signals() -> None:
    """Exits normally on SIGTERM and SIGHUP, so that the terminal is restored. Ignored signals (nohup) stay ignored."""
    import signal

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def _drop_output() -> None:
    """Discards buffered output that cannot be written, so that the interpreter does not try again at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(devnull, stream.fileno())
