"""Running the service manager's own commands."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence

from hfdmd_client.service.errors import ServiceError

_TIMEOUT_S = 120.0  # a stop may take TimeoutStopSec, and more units than ours may be asked


def run(arguments: Sequence[str], *, allowed: Sequence[int] = (0,)) -> str:
    """Its standard output. Raises ServiceError, with what it said, when it ends with any other code than `allowed`."""
    code, output, errors = attempt(arguments)
    if code not in allowed:
        said = errors.strip() or output.strip() or "it said nothing"
        raise ServiceError(f"'{shlex.join(arguments)}' failed ({code}): {said}")
    return output


def attempt(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error. Raises ServiceError when it can't be run or does not end."""
    try:
        done = subprocess.run(  # noqa: S603  names of programs, fixed in this package
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
        )
    except FileNotFoundError as error:
        raise ServiceError(f"there is no {arguments[0]} on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"'{shlex.join(arguments)}' did not end within {_TIMEOUT_S:.0f} s") from error
    return done.returncode, done.stdout, done.stderr
