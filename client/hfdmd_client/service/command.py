"""Runs the commands of the service manager."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence

_TIMEOUT_S = 120.0  # stopping may take TimeoutStopSec, for each unit of the command


class ServiceError(Exception):
    """This cannot work on this machine, or a service manager refused it. The text says why and what would work."""


def run(arguments: Sequence[str], *, allowed: Sequence[int] = (0,)) -> str:
    """Its standard output. Raises `ServiceError` with the output when the exit code is not in `allowed`."""
    code, output, errors = attempt(arguments)
    if code not in allowed:
        said = errors.strip() or output.strip() or "no output"
        raise ServiceError(f"'{shlex.join(arguments)}' failed ({code}): {said}")
    return output


def attempt(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error. Raises `ServiceError` when it cannot run or times out."""
    try:
        done = subprocess.run(  # noqa: S603  program names are fixed in this package
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
        )
    except FileNotFoundError as error:
        raise ServiceError(f"{arguments[0]} is not installed on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"'{shlex.join(arguments)}' did not finish within {_TIMEOUT_S:.0f} s") from error
    return done.returncode, done.stdout, done.stderr
