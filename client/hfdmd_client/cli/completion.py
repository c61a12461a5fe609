"""`hfdm completion`: what a shell needs to complete verbs, options, repos and files."""

from __future__ import annotations

import os
import sys

import click
from click.shell_completion import get_completion_class

from hfdmd_client.cli.session import USAGE

_SHELLS = ("bash", "zsh", "fish")

EPILOG = """\b
Put it where your shell looks:
  bash  hfdm completion bash >~/.local/share/bash-completion/completions/hfdm
  zsh   hfdm completion zsh >"${fpath[1]}/_hfdm"
  fish  hfdm completion fish >~/.config/fish/completions/hfdm.fish"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
def completion(shell: str | None) -> int:
    """Print the completion script for SHELL (the one you use, unless you name another)."""
    name = shell or os.path.basename(os.environ.get("SHELL", ""))
    if name not in _SHELLS:
        click.echo(f"hfdm: say which shell: {', '.join(_SHELLS)}", err=True)
        return USAGE
    from hfdmd_client.cli.app import app

    kind = get_completion_class(name)
    if kind is None:
        raise click.UsageError(f"click has no completion for {name}")
    sys.stdout.write(kind(app, {}, "hfdm", "_HFDM_COMPLETE").source() + "\n")
    return 0
