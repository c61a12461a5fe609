"""The verbs of the command line. The module of a verb is loaded when the verb is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from hfdmd import __version__
from hfdmd.wire.errors import ApiError, Unauthorized
from hfdmd_client.cli.session import INTERRUPTED, USAGE, Session, clean_lines, exit_code, fitted

_VERBS: dict[str, tuple[str, str]] = {
    "download": ("download:download", "Download a file, several, or a whole repo."),
    "status": ("status:status", "Show what is downloading, waiting, done or failed."),
    "watch": ("watch:watch", "Watch everything live, with keys to pause and resume."),
    "pause": ("actions:pause", "Pause downloads; received data is kept."),
    "resume": ("actions:resume", "Resume paused downloads."),
    "cancel": ("actions:cancel", "Cancel downloads and delete their partial data."),
    "retry": ("actions:retry", "Retry failed, cancelled or waiting downloads."),
    "move": ("move:move", "Move queued downloads: top, up, down, bottom or a position."),
    "rm": ("actions:rm", "Remove downloads; with --delete-file also their files."),
    "files": ("files:files", "List the files of a repo, with sizes and quantisations."),
    "limit": ("limit:limit", "Show or set the bandwidth limit."),
    "info": ("info:info", "Show the daemon: version, paths, speed, settings."),
    "login": ("login:login", "Store a Hub token for gated and private repos."),
    "logout": ("login:logout", "Delete the stored Hub token."),
    "doctor": ("doctor:doctor", "Check everything that downloads need, and suggest fixes."),
    "service": ("service:app", "Run the daemon as a service of systemd or launchd."),
    "stop": ("control:stop", "Stop the daemon; downloads resume at its next start."),
    "restart": ("control:restart", "Stop the daemon and start it again."),
    "completion": ("completion:completion", "Print completion for bash, zsh or fish."),
}
_SYNONYMS = {
    "add": "download",
    "delete": "rm",
    "dl": "download",
    "get": "download",
    "list": "status",
    "ls": "files",
    "ps": "status",
    "pull": "download",
    "remove": "rm",
    "speed": "limit",
    "start": "resume",
    "top": "watch",
    "unpause": "resume",
}


@contextmanager
def _closed_output_is_no_error() -> Iterator[None]:
    """Exit code 0 when the reader closes the output early; click would end with 1."""
    try:
        yield
    except BrokenPipeError:
        raise click.exceptions.Exit(0) from None


class _Verbs(click.Group):
    """Has the name and a help line of every verb, and loads a verb when it is used."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        with _closed_output_is_no_error():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _closed_output_is_no_error():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, _, attribute = _VERBS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(f"hfdmd_client.cli.{module}"), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and name not in _VERBS and not name.startswith("-"):
            from difflib import get_close_matches

            meant = [_SYNONYMS[name]] if name in _SYNONYMS else get_close_matches(name, _VERBS, 2, 0.5)
            if not meant and "/" in name:
                raise click.UsageError(f"A verb is missing. To download it: hfdm download {name}", ctx)
            guess = f" Did you mean {' or '.join(repr(verb) for verb in meant)}?" if meant else ""
            raise click.UsageError(f"There is no verb {name!r}.{guess}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in _VERBS.items()])


EPILOG = """\b
Examples:
  hfdm download Qwen/Qwen3-0.6B               the whole repo
  hfdm download Qwen/Qwen3-0.6B config.json   one file; prints its path
  hfdm download https://huggingface.co/Qwen/Qwen3-0.6B/blob/main/config.json
  hfdm                                        the state, and what to type next
  hfdm watch                                  live; q leaves
  hfdm pause Qwen/Qwen3-0.6B                  and: resume, cancel, retry
  hfdm limit 20MB/s

\b
Exit codes: 0 done, 1 failed or cancelled, 2 usage, 3 no daemon, 4 not found,
5 no access, 130 interrupted (the download continues)."""


@click.group(
    cls=_Verbs,
    epilog=EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="hfdm", message="%(prog)s %(version)s")
@click.option("--no-spawn", is_flag=True, help="Do not start a daemon when none answers.")
@click.pass_context
def app(ctx: click.Context, no_spawn: bool) -> None:
    """Downloads from the Hugging Face Hub that survive interruptions: a daemon does the work, hfdm controls it."""
    ctx.obj = Session(no_spawn=no_spawn)
    if ctx.invoked_subcommand is None:
        from hfdmd_client.cli import home

        home.show(ctx.obj)


def run(arguments: list[str]) -> int:
    """Runs the command line; the exit code."""
    try:
        code = app.main(args=arguments, prog_name="hfdm", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("\nhfdm: interrupted; the daemon continues.\n")
        return INTERRUPTED
    except ApiError as error:
        if isinstance(error, Unauthorized):  # its own text names a header, which a user of hfdm does not set
            error.detail = "the daemon wants its token: set HFDMD_TOKEN to what `token` in its state folder holds"
        _report(error, "--json" in arguments)
        return exit_code(error)


def _report(error: ApiError, as_json: bool) -> None:
    """Writes the error to stderr: as text, or with --json as the API's problem object."""
    if as_json:
        import msgspec

        sys.stderr.write(msgspec.json.encode(error.problem()).decode() + "\n")
        return
    text = error.detail if error.detail.endswith((".", "!", "?")) or "\n" in error.detail else f"{error.detail}."
    sys.stderr.write(fitted(f"hfdm: {clean_lines(text)}", sys.stderr) + "\n")
