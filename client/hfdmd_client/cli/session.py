"""What all commands share: options, the client, output, exit codes."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import click

from hfdmd.wire import errors as e
from hfdmd.wire.environment import EnvironmentProblem
from hfdmd.wire.types import Download, Info, Reason, RepoDownload, Status
from hfdmd_client.cli.render import clean
from hfdmd_client.client import Client
from hfdmd_client.environment import warnings
from hfdmd_client.errors import DaemonSilent, DaemonUnreachable, DownloadFailed, VersionMismatch

if TYPE_CHECKING:
    from hfdmd_client.async_client import AsyncClient

DONE, FAILED, USAGE, NO_DAEMON, NOT_FOUND, NO_ACCESS, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

_NOT_FOUND = frozenset({Reason.REPO_NOT_FOUND, Reason.REVISION_NOT_FOUND, Reason.FILE_NOT_FOUND})
_NO_ACCESS = frozenset({Reason.GATED, Reason.UNAUTHORIZED})


@dataclass
class Session:
    """The options that every command has, and the output and the client that depend on them."""

    json: bool = False
    quiet: bool = False
    no_spawn: bool = False
    socket: str | None = None
    url: str | None = None
    info: Info | None = field(default=None, init=False)

    def client(self, *, spawn: bool = True) -> Client:
        """A client after its first request; warns on stderr when daemon and environment differ."""
        client = self.quiet_client(spawn=spawn)
        self.info = client.hello()
        for warning in warnings(self.info):
            self.say(f"Warning: {warning}")
        return client

    def quiet_client(self, *, spawn: bool = True) -> Client:
        """A client that has sent no request."""
        return Client(socket=self.socket, url=self.url, spawn=spawn and self._may_spawn())

    def async_client(self) -> AsyncClient:
        """As `quiet_client`, for a program with an event loop."""
        from hfdmd_client.async_client import AsyncClient  # asyncio takes a while to load

        return AsyncClient(socket=self.socket, url=self.url, spawn=self._may_spawn())

    def _may_spawn(self) -> bool:
        return not self.no_spawn and os.environ.get("HFDMD_NO_SPAWN", "") in ("", "0")

    def say(self, text: str) -> None:
        """Prints a message for the user: on stderr, because stdout has only the result."""
        if not self.quiet:
            print(fitted(clean_lines(text), sys.stderr), file=sys.stderr, flush=True)

    def out(self, text: str) -> None:
        """Prints a line of the result: exactly, for a program that reads it; made safe for a terminal."""
        print(clean_lines(text) if sys.stdout.isatty() else text)

    def out_json(self, value: Any) -> None:
        """Prints the result as JSON, with the field names of the API."""
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


pass_session = click.make_pass_decorator(Session, ensure=True)


def standard(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that every command has, and passes the session."""

    def remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
        def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
            if value:
                setattr(ctx.ensure_object(Session), name, value)

        return callback

    decorated: Callable[..., Any] = command
    for names, keyword, help_text in (
        (("--url",), {"metavar": "URL"}, "Talk to the daemon at this URL, with the token in HFDMD_TOKEN."),
        (("--socket",), {"metavar": "PATH"}, "Talk to the daemon at this socket."),
        (("--no-spawn",), {"is_flag": True}, "Do not start a daemon when none answers."),
        (("--quiet", "-q"), {"is_flag": True}, "Print nothing but the result."),
        (("--json",), {"is_flag": True}, "Print the result as JSON."),
    ):
        name = names[0].removeprefix("--").replace("-", "_")
        decorated = click.option(
            *names, expose_value=False, callback=remember(name), help=help_text, is_eager=True, **keyword
        )(decorated)
    return pass_session(decorated)


def clean_lines(text: str) -> str:
    return "\n".join(clean(line) for line in text.split("\n"))


def fitted(text: str, stream: TextIO, indent: str = "") -> str:
    """`text` wrapped at word boundaries if `stream` is a terminal; wrapped lines are indented."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=indent or "  ",
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
            replace_whitespace=False,
        )
        for line in text.split("\n")
    )


def exit_code(error: e.ApiError) -> int:
    """The command's exit code for an error (docs/api.md, section 7)."""
    if isinstance(error, DaemonSilent):
        return FAILED
    if isinstance(error, (DaemonUnreachable, VersionMismatch)):
        return NO_DAEMON
    if isinstance(error, (e.UnknownDownload, e.RepoNotFound, e.RevisionNotFound, e.FileNotFound)):
        return NOT_FOUND
    if isinstance(error, (e.Gated, e.HubUnauthorized, e.Unauthorized, e.ForbiddenPath, e.ForbiddenHost)):
        return NO_ACCESS
    if isinstance(error, (e.InvalidField, e.Malformed, EnvironmentProblem)):
        return USAGE
    return outcome([error.download]) if isinstance(error, DownloadFailed) else FAILED


def outcome(items: list[Download | RepoDownload]) -> int:
    """The exit code for ended downloads: of several the first of 5, 4, 1 that occurs."""
    return worst(_outcome(item) for item in items)


def worst(codes: Iterable[int]) -> int:
    """The most important one of several exit codes."""
    occurred = set(codes)
    return next((code for code in (NO_ACCESS, NOT_FOUND, FAILED) if code in occurred), DONE)


def _outcome(item: Download | RepoDownload) -> int:
    if item.status is Status.DONE:
        return DONE
    if item.status is Status.FAILED and item.reason in _NO_ACCESS:
        return NO_ACCESS
    if item.status is Status.FAILED and item.reason in _NOT_FOUND:
        return NOT_FOUND
    return FAILED if item.status in (Status.FAILED, Status.CANCELLED) else DONE
