"""Drives launchd with `launchctl`. Not tested on macOS; docs/service.md lists what is tested."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from hfdmd_client.service.command import ServiceError, attempt, run
from hfdmd_client.service.layout import GROUP, LABEL, Scope

ACCOUNT = "_hfdmd"
"""The account of the LaunchDaemon. Names of macOS service accounts begin with an underscore."""


@dataclass(frozen=True, slots=True)
class Launchd:
    """The job in one launchd domain: the system's, or that of this user's login session."""

    scope: Scope
    plist: Path
    log: Path | None = None

    @property
    def domain(self) -> str:
        return f"gui/{os.getuid()}" if self.scope is Scope.USER else "system"

    @property
    def target(self) -> str:
        return f"{self.domain}/{LABEL}"

    def check(self) -> None:
        """Raises `ServiceError` when this user may not change the job, or its account is missing."""
        if self.scope is Scope.USER:
            if os.geteuid() == 0:
                raise ServiceError("a LaunchAgent belongs to a user: run this without sudo, or with --system")
            return
        if os.geteuid() != 0:
            raise ServiceError("only root may change the LaunchDaemon: use sudo, or --user for your own LaunchAgent")
        group_id()
        try:
            pwd.getpwnam(ACCOUNT)
        except KeyError as error:
            raise ServiceError(f"there is no account {ACCOUNT}; docs/service.md says how to create it") from error

    def start(self) -> None:
        """Loads the job if necessary, and starts it."""
        if not self.is_active():
            run(["launchctl", "bootstrap", self.domain, str(self.plist)])
        run(["launchctl", "kickstart", self.target])

    def stop(self) -> None:
        """Unloads the job until the next login or boot."""
        if self.is_active():
            run(["launchctl", "bootout", self.target])

    def restart(self) -> None:
        """Loads and starts the job again, with its present plist."""
        self.stop()
        self.start()

    def disable(self) -> None:
        """Unloads the job; without its plist it is not loaded again."""
        self.stop()

    def is_active(self) -> bool:
        """Whether the job is loaded; it then runs, or launchd listens at its socket."""
        return attempt(["launchctl", "print", self.target])[0] == 0

    def is_reachable(self) -> bool:
        """Whether a client gets an answer."""
        return self.is_active()

    def logs_command(self, lines: int, follow: bool) -> list[str]:
        """Shows the file that the plist names: launchd keeps no log."""
        return ["tail", "-n", str(lines), *(["-F"] if follow else []), str(self.log)]

    def describe(self) -> list[str]:
        """The lines of `launchctl print` that describe the state."""
        code, output, _ = attempt(["launchctl", "print", self.target])
        if code:
            return ["not loaded" if self.plist.exists() else "not installed"]
        wanted = ("state =", "pid =", "last exit code =", "runs =")
        return [line.strip() for line in output.splitlines() if line.strip().startswith(wanted)]


def group_id() -> int:
    """The gid of the group that may use the system socket, for the plist. Raises `ServiceError`."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError as error:
        raise ServiceError(f"there is no group {GROUP}; docs/service.md says how to create it") from error
