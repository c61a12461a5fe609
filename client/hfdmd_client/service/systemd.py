"""systemd's part: `systemctl` and its kin, for the system's manager or the user's own."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from hfdmd_client.service.command import attempt, run
from hfdmd_client.service.errors import ServiceError
from hfdmd_client.service.layout import Scope

ACCOUNT = "hfdmd"
"""The user that the system service runs as; see sysusers.d."""
SERVICE, SOCKET = "hfdmd.service", "hfdmd.socket"
CURE = "systemctl {flag}reset-failed hfdmd.service hfdmd.socket && systemctl {flag}start hfdmd.socket"
NO_MANAGER = {"LoadState": "no-manager", "ActiveState": "inactive", "MainPID": "0"}
_SHOWN = "LoadState,ActiveState,SubState,Result,StatusText,MainPID,ExecMainStatus,NRestarts,UnitFileState"


@dataclass(frozen=True, slots=True)
class Systemd:
    """One manager: the system's, or this user's."""

    scope: Scope

    @property
    def flags(self) -> list[str]:
        return ["--user"] if self.scope is Scope.USER else []

    @property
    def cure(self) -> str:
        """What brings a socket back that failed along with its service."""
        return CURE.format(flag="--user " if self.scope is Scope.USER else "")

    def check(self) -> None:
        """Raises ServiceError when there is no such manager to talk to, or no right to."""
        if not Path("/run/systemd/system").is_dir():
            raise ServiceError(
                "systemd does not run this machine (a container?), so it has no services;"
                " 'hfdm' starts a daemon by itself when it needs one"
            )
        if self.scope is Scope.SYSTEM:
            if os.geteuid() != 0:
                raise ServiceError("the system service is root's to change: use sudo, or --user for your own")
            return
        if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
            raise ServiceError(
                f"under sudo this would be root's own service, not {os.environ['SUDO_USER']}'s:"
                " run it without sudo, or with --system for everybody"
            )
        code, _, errors = attempt(["systemctl", "--user", "show-environment"])
        if code:
            raise ServiceError(
                f"your systemd user manager does not answer ({errors.strip()}). It runs after a real login"
                " (console, ssh), not after 'su'; 'loginctl enable-linger' keeps it without one"
            )

    def reload(self) -> None:
        self._systemctl("daemon-reload")

    def prepare(self) -> None:
        """The account and the folders of the system service."""
        run(["systemd-sysusers", "hfdmd.conf"])
        run(["systemd-tmpfiles", "--create", "hfdmd.conf"], allowed=(0, 73))  # 73: an unrelated line is at odds

    def enable(self) -> None:
        self._systemctl("enable", SOCKET, SERVICE)

    def disable(self) -> None:
        """Stops both, and takes them out of the boot."""
        self._systemctl("disable", "--now", SERVICE, SOCKET)
        attempt(["systemctl", *self.flags, "reset-failed", SERVICE, SOCKET])  # an error when nothing had failed

    def start(self) -> None:
        """Starts both, also after they failed too often."""
        if self._failed():
            self._systemctl("reset-failed", SERVICE, SOCKET)
        self._systemctl("start", SOCKET, SERVICE)

    def restart(self) -> None:
        """A new daemon; the socket stays, so clients wait instead of failing."""
        if self._failed():
            self._systemctl("reset-failed", SERVICE, SOCKET)
        self._systemctl("start", SOCKET)
        self._systemctl("restart", SERVICE)

    def stop(self) -> None:
        """Stops both: with the socket left, the next client would start it again."""
        self._systemctl("stop", SERVICE, SOCKET)

    def show(self, unit: str = SERVICE) -> dict[str, str]:
        """What the manager knows of `unit`. A user's manager that does not run knows nothing: see `NO_MANAGER`."""
        code, output, errors = attempt(["systemctl", *self.flags, "show", f"--property={_SHOWN}", unit])
        if code and self.scope is Scope.USER and "connect to bus" in errors:
            return dict(NO_MANAGER)
        if code:
            raise ServiceError(f"systemd says nothing about {unit}: {errors.strip()}")
        return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)

    def is_active(self) -> bool:
        return self.show()["ActiveState"] in ("active", "activating", "reloading")

    def is_reachable(self) -> bool:
        """Whether a client is answered: it runs, or starts at the first request."""
        return "active" in (self.show()["ActiveState"], self.show(SOCKET)["ActiveState"])

    def logs_command(self, lines: int, follow: bool) -> list[str]:
        command = ["journalctl", *self.flags, "--unit", SERVICE, "--lines", str(lines)]
        return [*command, "--follow"] if follow else command

    def in_words(self) -> list[str]:
        """Lines for a person: what runs, whether it is enabled, what failed and what helps."""
        service, socket = self.show(), self.show(SOCKET)
        if service["LoadState"] == NO_MANAGER["LoadState"]:
            return ["installed, but your systemd user manager does not run: it starts with a real login (console, ssh)"]
        lines = [f"service: {service['ActiveState']} ({service['SubState']}), {service['UnitFileState']} at boot"]
        if service["ActiveState"] == "active":
            lines[0] += f", pid {service['MainPID']}"
        if service.get("StatusText"):
            lines.append(f"doing: {service['StatusText']}")
        if (restarts := service.get("NRestarts", "0")) != "0":
            lines.append(f"restarted by systemd {restarts} times since it was started")
        lines.append(f"socket: {socket['ActiveState']} ({socket['SubState']})")
        if "failed" in (service["ActiveState"], socket["ActiveState"]):
            why = f"result {service['Result']}, exit code {service['ExecMainStatus']}"
            lines.append(f"failed ({why}): see 'hfdm service logs'; when it is mended: {self.cure}")
        return lines

    def _failed(self) -> bool:
        return any(self.show(unit)["ActiveState"] == "failed" for unit in (SERVICE, SOCKET))

    def _systemctl(self, *arguments: str) -> str:
        try:
            return run(["systemctl", *self.flags, *arguments])
        except ServiceError as error:
            hint = f"\n{self._reason()}" if arguments[0] in ("start", "restart") else ""
            raise ServiceError(f"{error}{hint}") from error

    def _reason(self) -> str:
        """The last lines of the log, which say why it does not start."""
        _, output, _ = attempt([*self.logs_command(10, False), "--output=cat"])
        return output.rstrip()


def lingers(user: str) -> bool:
    """Whether this user's services run without a login."""
    return Path("/var/lib/systemd/linger", user).exists()


def set_linger(user: str, on: bool) -> None:
    run(["loginctl", "enable-linger" if on else "disable-linger", user])


def remove_account() -> bool:
    """Deletes the account and the group of the system service; False when there was none."""
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return False
    run(["userdel", ACCOUNT], allowed=(0, 12))  # 12: no home folder to remove
    attempt(["groupdel", ACCOUNT])  # userdel leaves it when members were added
    return True
