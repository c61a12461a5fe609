"""Drives systemd with `systemctl` and related commands: the system's manager or the user's."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from hfdmd_client.service.command import ServiceError, attempt, run
from hfdmd_client.service.layout import Scope

ACCOUNT = "hfdmd"
"""The user that the system service runs as; see sysusers.d."""
SERVICE, SOCKET = "hfdmd.service", "hfdmd.socket"
RESTART_COMMAND = "systemctl {flag}reset-failed hfdmd.service hfdmd.socket && systemctl {flag}start hfdmd.socket"
NO_MANAGER = {"LoadState": "no-manager", "ActiveState": "inactive", "MainPID": "0"}
_SHOWN = "LoadState,ActiveState,SubState,Result,StatusText,MainPID,ExecMainStatus,NRestarts,UnitFileState"


@dataclass(frozen=True, slots=True)
class Systemd:
    """One service manager: the system's, or this user's."""

    scope: Scope

    @property
    def flags(self) -> list[str]:
        return ["--user"] if self.scope is Scope.USER else []

    @property
    def restart_command(self) -> str:
        """The command that restores a socket that failed together with its service."""
        return RESTART_COMMAND.format(flag="--user " if self.scope is Scope.USER else "")

    def check(self) -> None:
        """Raises `ServiceError` when the manager does not run, or this user may not change its services."""
        if not Path("/run/systemd/system").is_dir():
            raise ServiceError(
                "systemd does not run this machine (a container?), so it has no services;"
                " 'hfdm' starts a daemon by itself when it needs one"
            )
        if self.scope is Scope.SYSTEM:
            if os.geteuid() != 0:
                raise ServiceError("only root may change the system service: use sudo, or --user for your own")
            return
        if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
            raise ServiceError(
                f"under sudo this would be root's own service, not {os.environ['SUDO_USER']}'s:"
                " run it without sudo, or with --system for all users"
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
        """Creates the account and the folders of the system service."""
        run(["systemd-sysusers", "hfdmd.conf"])
        run(
            ["systemd-tmpfiles", "--create", "hfdmd.conf"], allowed=(0, 73)
        )  # 73: another line of its configuration failed

    def enable(self) -> None:
        self._systemctl("enable", SOCKET, SERVICE)

    def disable(self) -> None:
        """Stops both units and disables them."""
        self._systemctl("disable", "--now", SERVICE, SOCKET)
        attempt(["systemctl", *self.flags, "reset-failed", SERVICE, SOCKET])  # reports an error when no unit has failed

    def start(self) -> None:
        """Starts both units, also when systemd gave up restarting them."""
        if self._failed():
            self._systemctl("reset-failed", SERVICE, SOCKET)
        self._systemctl("start", SOCKET, SERVICE)

    def restart(self) -> None:
        """Starts a new daemon. The socket stays open, so clients wait instead of failing."""
        if self._failed():
            self._systemctl("reset-failed", SERVICE, SOCKET)
        self._systemctl("start", SOCKET)
        self._systemctl("restart", SERVICE)

    def stop(self) -> None:
        """Stops both units: an open socket would start the daemon for the next client."""
        self._systemctl("stop", SERVICE, SOCKET)

    def show(self, unit: str = SERVICE) -> dict[str, str]:
        """The properties of `unit`; `NO_MANAGER` when the user's manager does not run."""
        code, output, errors = attempt(["systemctl", *self.flags, "show", f"--property={_SHOWN}", unit])
        if code and self.scope is Scope.USER and "connect to bus" in errors:
            return dict(NO_MANAGER)
        if code:
            raise ServiceError(f"systemd does not report the state of {unit}: {errors.strip()}")
        return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)

    def is_active(self) -> bool:
        return self.show()["ActiveState"] in ("active", "activating", "reloading")

    def is_reachable(self) -> bool:
        """Whether a client gets an answer: the daemon runs, or starts at the first request."""
        return "active" in (self.show()["ActiveState"], self.show(SOCKET)["ActiveState"])

    def logs_command(self, lines: int, follow: bool) -> list[str]:
        command = ["journalctl", *self.flags, "--unit", SERVICE, "--lines", str(lines)]
        return [*command, "--follow"] if follow else command

    def describe(self) -> list[str]:
        """What runs, whether it is enabled, what failed and how to fix it, as lines of text."""
        service, socket = self.show(), self.show(SOCKET)
        if service["LoadState"] == NO_MANAGER["LoadState"]:
            return ["installed, but your systemd user manager does not run: it starts with a real login (console, ssh)"]
        lines = [f"service: {service['ActiveState']} ({service['SubState']}), {service['UnitFileState']} at boot"]
        if service["ActiveState"] == "active":
            lines[0] += f", pid {service['MainPID']}"
        if service.get("StatusText"):
            lines.append(f"activity: {service['StatusText']}")
        if (restarts := service.get("NRestarts", "0")) != "0":
            lines.append(f"restarted by systemd {restarts} times since it was started")
        lines.append(f"socket: {socket['ActiveState']} ({socket['SubState']})")
        if "failed" in (service["ActiveState"], socket["ActiveState"]):
            why = f"result {service['Result']}, exit code {service['ExecMainStatus']}"
            lines.append(f"failed ({why}): see 'hfdm service logs'; after fixing the cause: {self.restart_command}")
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
        """The last lines of the log: usually why it does not start."""
        _, output, _ = attempt([*self.logs_command(10, False), "--output=cat"])
        return output.rstrip()


def lingers(user: str) -> bool:
    """Whether this user's services run without a login session."""
    return Path("/var/lib/systemd/linger", user).exists()


def set_linger(user: str, on: bool) -> None:
    run(["loginctl", "enable-linger" if on else "disable-linger", user])


def remove_account() -> bool:
    """Deletes the account and the group of the system service; False when there was no account."""
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return False
    run(["userdel", ACCOUNT], allowed=(0, 12))  # 12: it has no home folder
    attempt(["groupdel", ACCOUNT])  # userdel keeps it when it has members
    return True
