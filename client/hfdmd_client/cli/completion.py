"""Shell completion: the values that a shell may offer, and `hfdm completion`, which prints the script."""

from __future__ import annotations

import os
import sys

import click

from hfdmd.wire.errors import ApiError
from hfdmd.wire.types import Downloads
from hfdmd_client.cli.session import USAGE
from hfdmd_client.client import Client
from hfdmd_client.event_state import items_of

_SHELLS = ("bash", "zsh", "fish")
_TIMEOUT_S = 1.0

EPILOG = """\b
Put it where your shell looks:
  bash  hfdm completion bash >~/.local/share/bash-completion/completions/hfdm
  zsh   hfdm completion zsh >"${fpath[1]}/_hfdm"
  fish  hfdm completion fish >~/.config/fish/completions/hfdm.fish"""


def repos(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Repos with downloads. Never starts a daemon."""
    found = _known()
    names = {item.model_repo for item in items_of(found)} if found else set()
    return sorted(name for name in names if name.startswith(incomplete))


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Downloaded or queued files of the repo on the command line. Never starts a daemon."""
    repo = ctx.params.get("repo")
    found = _known(getattr(repo, "model_repo", None)) if repo is not None else None
    return sorted({d.file_path for d in found.downloads if d.file_path.startswith(incomplete)}) if found else []


def _known(model_repo: str | None = None) -> Downloads | None:
    try:
        return Client(timeout_s=_TIMEOUT_S).downloads(model_repo, limit=1000)
    except ApiError:
        return None  # an error message would disturb the command line that is being typed


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
def completion(shell: str | None) -> int:
    """Print the completion script for SHELL (by default the shell in use)."""
    name = shell or os.path.basename(os.environ.get("SHELL", ""))
    if name not in _SHELLS:
        click.echo(f"hfdm: name a shell: {', '.join(_SHELLS)}", err=True)
        return USAGE
    from click.shell_completion import get_completion_class

    from hfdmd_client.cli.app import app

    kind = get_completion_class(name)
    if kind is None:
        raise click.UsageError(f"click has no completion for {name}")
    sys.stdout.write(kind(app, {}, "hfdm", "_HFDM_COMPLETE").source() + "\n")
    return 0
