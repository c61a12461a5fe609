"""`hfdm service …`: hfdmd as a service of systemd or launchd."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from hfdmd_client import service
from hfdmd_client.service import Scope, ServiceError

T = TypeVar("T")

FAILED, NO_DAEMON = 1, 3

app = typer.Typer(no_args_is_help=True, help="Run hfdmd as a service of this machine (systemd or launchd).")

User = Annotated[bool, typer.Option("--user", help="Your own service, over your own cache.")]
System = Annotated[bool, typer.Option("--system", help="One for everybody in the group hfdmd, with its own cache.")]


@app.command()
def install(
    user: User = False,
    system: System = False,
    now: Annotated[bool, typer.Option("--now", help="Start it as well.")] = False,
    linger: Annotated[bool, typer.Option("--linger", help="Run from boot on and after logging out (--user).")] = False,
    root: Annotated[
        Path | None, typer.Option("--root", help="Only write the unit files, below this folder (for packagers).")
    ] = None,
    program: Annotated[
        Path | None, typer.Option("--program", help="The hfdmd to start, instead of this installation's.")
    ] = None,
) -> None:
    """Write the unit files for this installation and enable them. Doing it again changes nothing."""
    scope = _one(user, system)
    if scope is None:
        if os.geteuid() == 0:
            raise typer.BadParameter("as root, say which: --system (for everybody) or --user (root's own)")
        scope = Scope.USER
    if linger and scope is Scope.SYSTEM:
        raise typer.BadParameter("--linger is for --user; a system service runs from boot on anyway")
    if root is not None and (now or linger):
        raise typer.BadParameter("--root only writes files; nothing can be started there")
    options = service.Options(scope=scope, now=now, linger=linger, root=root, program=program)
    _do(lambda: service.install(options, _say))


@app.command()
def uninstall(
    user: User = False,
    system: System = False,
    force: Annotated[bool, typer.Option("--force", help="Also when downloads are not finished (--system).")] = False,
    delete_models: Annotated[
        bool, typer.Option("--delete-models", help="Also delete the shared cache (--system).")
    ] = False,
) -> None:
    """Stop it and take away everything that was installed. Models stay, unless asked."""
    scope = _which(user, system)
    if delete_models and scope is Scope.USER:
        raise typer.BadParameter("--delete-models is for --system; your own cache is not the service's to delete")
    _do(lambda: service.uninstall(scope, _say, force=force, delete_models=delete_models))


@app.command()
def start(user: User = False, system: System = False) -> None:
    """Start it, also after it failed too often."""
    scope = _which(user, system)
    _do(lambda: service.start(scope, _say))


@app.command()
def stop(user: User = False, system: System = False) -> None:
    """Stop it until the next login, boot or start; downloads go on from there."""
    scope = _which(user, system)
    _do(lambda: service.stop(scope, _say))


@app.command()
def status(user: User = False, system: System = False) -> None:
    """Say how it is. Exit code 0: it runs, or starts at the next request; 3: it does not."""
    scope = _which(user, system)
    if not _do(lambda: service.status(scope, print)):
        raise typer.Exit(NO_DAEMON)


@app.command()
def logs(
    user: User = False,
    system: System = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing new ones.")] = False,
) -> None:
    """Show its log."""
    command = service.logs_command(_which(user, system), lines=lines, follow=follow)
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606  no shell wanted: the log's reader takes our place
    except OSError as error:
        _say(f"{command[0]} cannot be started: {error.strerror}")
        raise typer.Exit(FAILED) from error


def _one(user: bool, system: bool) -> Scope | None:
    if user and system:
        raise typer.BadParameter("--user or --system, not both")
    return Scope.USER if user else Scope.SYSTEM if system else None


def _which(user: bool, system: bool) -> Scope:
    """The one that is meant: the one named, else the one installed here, else the user's."""
    return _one(user, system) or service.installed_scope() or Scope.USER


def _do(action: Callable[[], T]) -> T:
    try:
        return action()
    except ServiceError as error:
        _say(f"Error: {error}")
        raise typer.Exit(FAILED) from error


def _say(text: str) -> None:
    print(text, file=sys.stderr)
