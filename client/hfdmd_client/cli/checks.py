"""The checks of `hfdm doctor`: those of the daemon, and those of this side. Each has a result and a cure."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hfdmd import __version__
from hfdmd.wire.endpoint import MAX_SOCKET_PATH_BYTES, default_socket
from hfdmd.wire.environment import EnvironmentProblem, hub_token, token_file
from hfdmd.wire.errors import ApiError
from hfdmd.wire.types import MALFORMED, Check, Checks, CheckState, Info
from hfdmd_client import environment
from hfdmd_client.cli.session import Session, clean_lines
from hfdmd_client.client import Client
from hfdmd_client.errors import DaemonSilent, DaemonUnreachable, VersionMismatch

OK, WARNING, PROBLEM = CheckState.OK, CheckState.WARNING, CheckState.PROBLEM
_CHECK_TIMEOUT_S = 30.0
_CONFIG_ERROR = 78


def all_checks(session: Session, offline: bool) -> list[Check]:
    """The results of all checks, most basic first."""
    client = session.quiet_client(spawn=False)
    found: list[Check] = []
    info = _daemon(client, found)
    found += _socket(info)
    if info is None:
        found += _without_daemon(offline)
    else:
        found += _same_environment(info)
        found += _of_daemon(client, offline)
        found += _tokens(info)
    found += _service()
    return found


def _daemon(client: Client, found: list[Check]) -> Info | None:
    def add(what: str, state: CheckState, text: str, cure: str = "") -> None:
        found.append(Check(what=what, state=state, found=text, cure=clean_lines(cure)))

    try:
        info = client.hello()
    except VersionMismatch as error:
        add("daemon", PROBLEM, "has another API version", error.detail)
    except DaemonSilent as error:
        add("daemon", PROBLEM, "listens but does not answer", error.detail)
    except DaemonUnreachable as error:
        add("daemon", WARNING, "is not running; hfdm download starts it", error.detail)
    except ApiError as error:
        add("daemon", PROBLEM, "answers with an error", error.detail)
    else:
        loading = ", still loading its tracker files" if info.loading else ""
        add("daemon", OK, f"hfdmd {info.version}, pid {info.pid}{loading}")
        if info.version == __version__:
            add("version", OK, f"{__version__} on both sides")
        else:
            add("version", WARNING, environment.version_difference(info) or "", "hfdm restart")
        return info
    return None


def _socket(info: Info | None) -> Iterator[Check]:
    if url := os.environ.get("HFDMD_URL"):
        yield Check(what="socket", state=OK, found=f"not used: HFDMD_URL is {url.rpartition('@')[2]}")
        return
    try:
        path = Path(info.socket) if info and info.socket else default_socket()
    except EnvironmentProblem:
        return  # the daemon's own checks say so
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH_BYTES:
        found = f"{path}: {length} bytes, at most {MAX_SOCKET_PATH_BYTES} are possible"
        cure = "Set HFDMD_SOCKET to a shorter path, for daemon and clients alike."
        yield Check(what="socket", state=PROBLEM, found=found, cure=cure)
    elif not path.exists():
        yield Check(what="socket", state=WARNING if info is None else PROBLEM, found=f"{path} does not exist")
    elif path.stat().st_mode & 0o007:
        found = f"{path} is open to every user of this machine"
        yield Check(what="socket", state=WARNING, found=found, cure=f"chmod o-rwx {path}")
    else:
        yield Check(what="socket", state=OK, found=str(path))


def _same_environment(info: Info) -> Iterator[Check]:
    try:
        differences = environment.Environment.current().differences(info)
    except EnvironmentProblem as problem:
        yield Check(what="environment", state=WARNING, found=problem.detail)
        return
    cure = "Unset the variable here, or stop the daemon (hfdm stop) and start it with the same variables."
    for difference in differences:
        yield Check(what="environment", state=WARNING, found=difference, cure=cure)
    if not differences:
        found = f"cache {info.cache_dir}, Hub {info.hub_endpoint}, here as in the daemon"
        yield Check(what="environment", state=OK, found=found)


def _of_daemon(client: Client, offline: bool) -> list[Check]:
    """What the running daemon says of itself and of the machine."""
    try:
        return client.checks(offline=offline).checks
    except ApiError as error:
        return [Check(what="checks", state=PROBLEM, found=f"the daemon gives none: {error.detail}")]


def _without_daemon(offline: bool) -> list[Check]:
    """What a daemon that is started in this environment would find: its own program says so."""
    from hfdmd_client import spawn

    how = "--check=offline" if offline else "--check"
    try:
        done = subprocess.run(  # noqa: S603 - our own program, no external argument
            [*spawn.program(), how],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CHECK_TIMEOUT_S,
            env=environment.absolute_paths(os.environ),
        )
        if done.returncode != _CONFIG_ERROR:
            return msgspec.json.decode(done.stdout, type=Checks).checks
        found = done.stderr.decode("utf-8", "replace").strip().removeprefix("hfdmd: ")
        return [Check(what="settings", state=PROBLEM, found=found)]
    except (OSError, subprocess.TimeoutExpired, *MALFORMED) as error:
        found = f"{spawn.program()[0]} {how} fails: {error}"
        return [Check(what="program", state=PROBLEM, found=found, cure="Install hfdmd again.")]


def _tokens(info: Info) -> Iterator[Check]:
    """Whether the daemon and this environment have a Hub token. What the token is, neither says."""
    try:
        own = hub_token() is not None
    except OSError as error:
        found = f"{token_file()} cannot be read: {error.strerror}"
        yield Check(what="your token", state=PROBLEM, found=found, cure=f"chmod 600 {token_file()}")
        return
    if own and not info.has_hub_token:
        found = "this environment has one, the daemon has none"
        cure = "hfdm sends yours with what you ask for, until the daemon restarts; hfdm login stores it for both."
        yield Check(what="your token", state=WARNING, found=found, cure=cure)
    elif info.has_hub_token and not own:
        found = "this environment has none, the daemon has one"
        yield Check(what="your token", state=WARNING, found=found, cure="Your downloads use the daemon's token.")
    else:
        yield Check(what="your token", state=OK, found="sent with what you ask for" if own else "none")


def _service() -> Iterator[Check]:
    from hfdmd_client import installed, service
    from hfdmd_client.service import ServiceError

    try:
        scope = service.installed_scope()
        if scope is None:
            found = "not installed; hfdm starts a daemon when needed (hfdm service install)"
            yield Check(what="service", state=OK, found=found)
            return
        failed = installed.failed_units(scope)
    except EnvironmentProblem:
        yield Check(what="service", state=OK, found="not installed")
    except ServiceError as error:
        yield Check(what="service", state=WARNING, found="installed; its state is unknown", cure=str(error))
    else:
        if failed:
            cure = f"hfdm service logs says why. After fixing the cause:\n{installed.restart_command(scope)}"
            yield Check(what="service", state=PROBLEM, found=f"{' and '.join(failed)} failed", cure=cure)
        else:
            yield Check(what="service", state=OK, found=f"installed ({scope.value})")
