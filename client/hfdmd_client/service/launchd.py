"""launchd's part: `launchctl`. Not tested on macOS; docs/service.md says what is."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from hfdmd_client.service.command import attempt, run
from hfdmd_client.service.errors import ServiceError
from hfdmd_client.service.layout import GROUP, LABEL, Scope

ACCOUNT = "_hfdmd"
"""The account of the LaunchDaemon; macOS wants the underscore."""


@dataclass(frozen=True, slots=True)
class Launchd:
    """One domain: the system's, or this user's login session."""

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
        """Raises ServiceError when this user may not change the job, or its account is missing."""
        if self.scope is Scope.USER:
            if os.geteuid() == 0:
                raise ServiceError("a LaunchAgent belongs to a person: run it without sudo, or with --system")
            return
        if os.geteuid() != 0:
            raise ServiceError("the LaunchDaemon is root's to change: use sudo, or --user for your own LaunchAgent")
        group_id()
        try:
            pwd.getpwnam(ACCOUNT)
        except KeyError as error:
            raise ServiceError(f"there is no account {ACCOUNT}; docs/service.md says how to make it") from error

    def start(self) -> None:
        """Makes the job known, if it is not, and starts it."""
        if not self.is_active():
            run(["launchctl", "bootstrap", self.domain, str(self.plist)])
        run(["launchctl", "kickstart", self.target])

    def stop(self) -> None:
        """Stops the job and forgets it until the next login or boot."""
        if self.is_active():
            run(["launchctl", "bootout", self.target])

    def restart(self) -> None:
        """The job anew, as its plist now says."""
        self.stop()
        self.start()

    def disable(self) -> None:
        """Stops it; with its plist gone it does not come back."""
        self.stop()

    def is_active(self) -> bool:
        """Whether launchd knows the job; it then runs, or waits at its socket."""
        return attempt(["launchctl", "print", self.target])[0] == 0

    def is_reachable(self) -> bool:
        """Whether a client is answered."""
        return self.is_active()

    def logs_command(self, lines: int, follow: bool) -> list[str]:
        """launchd keeps no log: the file that the plist names."""
        return ["tail", "-n", str(lines), *(["-F"] if follow else []), str(self.log)]

    def in_words(self) -> list[str]:
        """Lines for a person: the few of `launchctl print` that say how it is."""
        code, output, _ = attempt(["launchctl", "print", self.target])
        if code:
            return ["not loaded" if self.plist.exists() else "not installed"]
        wanted = ("state =", "pid =", "last exit code =", "runs =")
        return [line.strip() for line in output.splitlines() if line.strip().startswith(wanted)]


def group_id() -> int:
    """The number of the group that may use the system's socket, which a plist wants. Raises ServiceError."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError as error:
        raise ServiceError(f"there is no group {GROUP}; docs/service.md says how to make it") from error
