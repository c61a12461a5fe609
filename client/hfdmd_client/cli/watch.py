"""`hfdm watch`: everything live, until you leave."""

from __future__ import annotations

import os
import select
import sys
import threading
from typing import Any

import click

from hfdmd.wire.types import Download, End, EventName, Removed, RepoDownload
from hfdmd_client.cli import completion, render
from hfdmd_client.cli.params import GIVEN, REPO, REPO_TYPE
from hfdmd_client.cli.session import INTERRUPTED, NOT_FOUND, Session, outcome, standard
from hfdmd_client.cli.waiting import Lines, is_dumb
from hfdmd_client.client import Client
from hfdmd_client.event_state import items_of
from hfdmd_client.reference import Reference

EPILOG = """\b
Examples:
  hfdm watch                               everything, until you press q
  hfdm watch Qwen/Qwen3-0.6B config.json   one file, until it has ended
  hfdm watch --json | jq -r .status        one JSON object a line

\b
Keys: up and down (or k, j) choose, space or p pauses and resumes,
c cancels, r retries, P pauses all, R resumes all, q leaves."""


@click.command(epilog=EPILOG)
@click.argument("repo", type=REPO, required=False, shell_complete=completion.repos)
@click.argument("file", required=False, shell_complete=completion.files)
@click.option("--revision", "-r", metavar="REV", type=GIVEN, help="Only of this revision.")
@click.option("--repo-type", "-t", type=REPO_TYPE, help="Only model, dataset or space repos.")
@click.option("--local-dir", "-d", metavar="DIR", type=GIVEN, help="Only what goes to this folder.")
@click.option("--in-cache", is_flag=True, help="Only what goes to the Hub's cache.")
@click.option("--history", is_flag=True, help="Begin with all that ever ended, not only with the last 24 hours.")
@standard
def watch(
    session: Session,
    repo: Reference | None,
    file: str | None,
    revision: str | None,
    repo_type: str | None,
    local_dir: str | None,
    in_cache: bool,
    history: bool,
) -> int:
    """Watch downloads: all, those of REPO, or one FILE. Survives a restart of the daemon."""
    client = session.client()
    selection: dict[str, Any] = {"revision": revision, "repo_type": repo_type}
    if repo is not None:
        selection = {"revision": revision or repo.revision, "repo_type": repo_type or repo.repo_type}
    selection |= {"local_dir": local_dir, "in_cache": in_cache}
    path = file or (repo.file_path if repo else None)
    model_repo = repo.model_repo if repo else None
    watched = {"model_repo": model_repo, "file_path": path, "history": history, **selection}
    if model_repo is not None and path is None and not items_of(client.downloads(model_repo, limit=1, **selection)):
        session.say(f"Nothing of {model_repo} has been asked for.")
        return NOT_FOUND
    if not sys.stdout.isatty():
        _end_with_the_reader()
    if session.json:
        return _as_json(client, watched)
    if sys.stdin.isatty() and sys.stdout.isatty() and not is_dumb():
        from hfdmd_client.cli.screen import Screen

        return Screen(client, watched).run()
    return _as_lines(client, watched)


def _end_with_the_reader() -> None:
    """Whoever reads stdout may leave while nothing happens, and a pipe tells that only to who writes or asks."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)  # that it has left is told whatever was asked for

    def look() -> None:
        reader.poll()
        os._exit(0)  # nobody is left to tell anything, and nothing is in the making

    threading.Thread(target=look, name="hfdm-reader", daemon=True).start()


def _as_lines(client: Client, watched: dict[str, Any]) -> int:
    items: dict[str, Download | RepoDownload] = {}
    lines = Lines(sys.stdout)
    try:
        for event in client.watch(**watched):
            if isinstance(event, (Download, RepoDownload)):
                items[event.id] = event
                lines.show(event)
            elif isinstance(event, Removed) and event.id in items:
                print(f"{render.title(items.pop(event.id))}: removed", flush=True)
    except KeyboardInterrupt:
        return INTERRUPTED
    return outcome(list(items.values()))


_EVENT_NAMES: dict[type, EventName] = {
    Download: EventName.PROGRESS,
    RepoDownload: EventName.REPO,
    Removed: EventName.REMOVED,
    End: EventName.END,
}


def _as_json(client: Client, watched: dict[str, Any]) -> int:
    import msgspec

    items: dict[str, Download | RepoDownload] = {}
    try:
        for event in client.watch(**watched):
            kind = _EVENT_NAMES.get(type(event), EventName.READY)
            sys.stdout.write(msgspec.json.encode({"event": kind, **msgspec.to_builtins(event)}).decode() + "\n")
            sys.stdout.flush()
            if isinstance(event, (Download, RepoDownload)):
                items[event.id] = event
    except KeyboardInterrupt:
        return INTERRUPTED
    return outcome(list(items.values()))
