"""`hfdm watch`: shows changes live."""

from __future__ import annotations

import os
import select
import sys
import threading
from typing import Any

import click

from hfdmd.wire.types import Download, End, EventName, Removed, RepoDownload
from hfdmd_client.cli import render
from hfdmd_client.cli.params import filter_options, narrowed, optional_file, optional_repo
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
Keys: up and down (or k, j) choose, Enter opens a repo, space or p
pauses and resumes, c cancels, r retries, + and - move it in the queue,
P pauses all, R resumes all, / filters, l sets the limit, d shows
details, ? helps, q leaves."""


@click.command(epilog=EPILOG)
@optional_repo
@optional_file
@filter_options
@click.option("--history", is_flag=True, help="Begin with all ended downloads, not only those of the last 24 hours.")
@standard
def watch(session: Session, repo: Reference | None, file: str | None, history: bool, **filters: Any) -> int:
    """Watch all downloads, those of REPO, or one FILE. Reconnects when the daemon restarts."""
    client = session.client()
    selection = narrowed(repo, filters)
    path = file or (repo.file_path if repo else None)
    model_repo = repo.model_repo if repo else None
    watched = {"model_repo": model_repo, "file_path": path, "history": history, **selection}
    if model_repo is not None and path is None and not items_of(client.downloads(model_repo, limit=1, **selection)):
        session.say(f"No downloads of {model_repo}.")
        return NOT_FOUND
    if not sys.stdout.isatty():
        _exit_when_output_closes()
    if session.json:
        return _as_json(client, watched)
    if sys.stdin.isatty() and sys.stdout.isatty() and not is_dumb():
        from hfdmd_client.cli.watch_app import WatchApp

        return WatchApp(session.async_client(), watched).run() or 0
    return _as_lines(client, watched)


def _exit_when_output_closes() -> None:
    """Exits when the reader of stdout closes it. Between events nothing is written, so a thread polls for that."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)  # poll() always reports a closed pipe

    def wait_for_close() -> None:
        reader.poll()
        os._exit(0)  # no output remains to be written

    threading.Thread(target=wait_for_close, name="hfdm-reader", daemon=True).start()


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
