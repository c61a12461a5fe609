"""`hfdm login` and `hfdm logout`: the Hub token, in the file where the Hub's own client keeps it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import click

from hfdmd.wire.environment import hf_home, token_file
from hfdmd_client.cli.session import Session, standard

EPILOG = """\b
Examples:
  hfdm login                     asks for the token; it is not shown
  hfdm login < token.txt         reads it from stdin

\b
Create one at https://huggingface.co/settings/tokens (read access is enough).
Every program that uses huggingface_hub finds it, and so does the daemon."""
_TOKEN = re.compile(r"[!-~]{1,4096}")


@click.command(epilog=EPILOG)
@standard
def login(session: Session) -> int:
    """Store a Hub token for gated and private repos, readable by you only."""
    if sys.stdin.isatty():
        text = click.prompt("Hub token (not shown)", hide_input=True, err=True)
    else:
        text = sys.stdin.readline()
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise click.UsageError("This is no token: it is one line of letters and digits that begins with hf_.")
    file = _file()
    _write(file, token)
    session.say(f"Stored in {file}.")
    _warn_of_variables(session)
    return 0


@click.command()
@standard
def logout(session: Session) -> int:
    """Delete the stored Hub token."""
    file = _file()
    try:
        file.unlink()
    except FileNotFoundError:
        session.say(f"No token is stored in {file}.")
    else:
        session.say(f"Deleted {file}.")
    _warn_of_variables(session)
    return 0


def _file() -> Path:
    return token_file() or hf_home() / "token"


def _write(file: Path, token: str) -> None:
    """Writes the file under its name when it is complete; from the first moment only its owner can read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".token-")  # mode 0600
    try:
        with open(descriptor, "w", encoding="ascii") as stream:
            stream.write(token)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise


def _warn_of_variables(session: Session) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(name):
            session.say(f"{name} is set in this environment; it is used instead of the stored token.")
