"""`hfdm service …`: hfdmd as a service of systemd or launchd."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from hfdmd_client import service
from hfdmd_client.cli.params import combined
from hfdmd_client.cli.session import FAILED, NO_DAEMON, Session, pass_session
from hfdmd_client.service import Scope, ServiceError

_PATH = click.Path(path_type=Path)


scoped = combined(
    click.option("--user", is_flag=True, help="Your own service, with your own cache."),
    click.option("--system", is_flag=True, help="One for all members of the group hfdmd, with its own cache."),
)


@click.group("service", no_args_is_help=True)
def app() -> None:
    """Run hfdmd as a service of this machine: systemd, or launchd on macOS."""


@app.command()
@scoped
@click.option("--now", is_flag=True, help="Start it as well.")
@click.option("--linger", is_flag=True, help="Run from boot on and after logging out (with --user).")
@click.option("--root", type=_PATH, help="Only write the unit files, below this folder (for packagers).")
@click.option("--program", type=_PATH, help="The hfdmd to start, instead of the one of this installation.")
@pass_session
def install(
    session: Session, user: bool, system: bool, now: bool, linger: bool, root: Path | None, program: Path | None
) -> int:
    """Write the unit files for this installation and enable them.

    Repeat it to update the files; up-to-date files are not changed.
    """
    scope = _one(user, system)
    if scope is None:
        if os.geteuid() == 0:
            raise click.UsageError("as root, choose --system (for all users) or --user (root's own)")
        scope = Scope.USER
    if linger and scope is Scope.SYSTEM:
        raise click.UsageError("--linger is for --user; a system service runs from boot on anyway")
    if root is not None and (now or linger):
        raise click.UsageError("--root only writes files; nothing can be started there")
    options = service.Options(scope=scope, now=now, linger=linger, root=root, program=program)
    return _run(session, lambda: service.install(options, session.say))


@app.command()
@scoped
@click.option("--force", is_flag=True, help="Also when downloads are unfinished (with --system).")
@click.option("--delete-models", is_flag=True, help="Also delete the shared cache (with --system).")
@pass_session
def uninstall(session: Session, user: bool, system: bool, force: bool, delete_models: bool) -> int:
    """Stop it and remove everything that was installed. Models stay, unless you add --delete-models."""
    scope = _which(user, system)
    if delete_models and scope is Scope.USER:
        raise click.UsageError("--delete-models is for --system; your own cache is never deleted")
    return _run(session, lambda: service.uninstall(scope, session.say, force=force, delete_models=delete_models))


@app.command()
@scoped
@pass_session
def start(session: Session, user: bool, system: bool) -> int:
    """Start it, also when systemd gave up restarting it."""
    scope = _which(user, system)
    return _run(session, lambda: service.start(scope, session.say))


@app.command()
@scoped
@pass_session
def stop(session: Session, user: bool, system: bool) -> int:
    """Stop it until the next login, boot or start; downloads resume then."""
    scope = _which(user, system)
    return _run(session, lambda: service.stop(scope, session.say))


@app.command()
@scoped
@pass_session
def status(session: Session, user: bool, system: bool) -> int:
    """Show its state. Exit code 0: it runs, or starts at the next request; 3: it does not."""
    scope = _which(user, system)

    def show() -> int:
        return 0 if service.status(scope, session.out) else NO_DAEMON

    return _run(session, show)


@app.command()
@scoped
@click.option("-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="How many lines.")
@click.option("-f", "--follow", is_flag=True, help="Keep showing new lines.")
@pass_session
def logs(session: Session, user: bool, system: bool, lines: int, follow: bool) -> int:
    """Show its log."""
    command = service.logs_command(_which(user, system), lines=lines, follow=follow)
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606  replaces this process without a shell
    except OSError as error:
        session.say(f"hfdm: {command[0]} cannot be started: {error.strerror}")
        return FAILED


def _one(user: bool, system: bool) -> Scope | None:
    if user and system:
        raise click.UsageError("--user or --system, not both")
    return Scope.USER if user else Scope.SYSTEM if system else None


def _which(user: bool, system: bool) -> Scope:
    """The chosen scope, else that of the installed service, else the user's."""
    return _one(user, system) or service.installed_scope() or Scope.USER


def _run(session: Session, action: Callable[[], int | None]) -> int:
    """The exit code of `action`."""
    try:
        return action() or 0
    except ServiceError as error:
        session.say(f"hfdm: {error}")
        return FAILED
