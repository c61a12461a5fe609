"""`hfdm status`: the downloads and their progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from hfdmd.wire.types import Download, Downloads, RepoDownload, Status
from hfdmd.wire.units import format_size
from hfdmd_client.cli import render, tables
from hfdmd_client.cli.params import filter_options, narrowed, optional_file, optional_repo, status_option
from hfdmd_client.cli.session import NOT_FOUND, Session, outcome, standard
from hfdmd_client.event_state import items_of
from hfdmd_client.reference import Reference

_DONE_SHOWN = 10

EPILOG = """\b
Examples:
  hfdm status                              repos and single files
  hfdm status Qwen/Qwen3-0.6B              the repo and its files
  hfdm status --all                        all downloads that the daemon knows
  hfdm status Qwen/Qwen3-0.6B config.json  one file
  hfdm status --json | jq '.downloads[] | select(.status == "failed")'

\b
With one FILE the exit code is 0 unless it failed or was cancelled (1),
was not found on the Hub (4) or access was denied (5)."""


@click.command(epilog=EPILOG)
@optional_repo
@optional_file
@filter_options
@status_option
@click.option("--all", "everything", is_flag=True, help="Also downloads that were done long ago.")
@standard
def status(
    session: Session, repo: Reference | None, file: str | None, status: str | None, everything: bool, **filters: Any
) -> int:
    """Show all downloads, those of REPO, or one FILE of it."""
    client = session.client()
    selection = narrowed(repo, filters)
    if repo is not None and (path := file or repo.file_path):
        return _one(session, client.progress(repo.model_repo, path, **selection))
    found = client.downloads(repo.model_repo if repo else None, status=status, **selection)
    if session.json:
        session.out_json(found)
    elif not found.downloads and not found.repos:
        session.say(f"No downloads of {repo.model_repo}." if repo else "No downloads yet.")
    else:
        _many(session, found, everything or status is not None, with_files=repo is not None)
    return NOT_FOUND if repo is not None and not found.downloads and not found.repos else 0


def _one(session: Session, item: Download | RepoDownload) -> int:
    if session.json:
        session.out_json(item)
        return outcome([item])
    print(render.title(item))
    tables.print_facts(render.facts(item))
    return outcome([item])


def _many(session: Session, found: Downloads, everything: bool, *, with_files: bool) -> None:
    number = len(found.downloads) + len(found.repos)
    found.downloads = [item for item in found.downloads if everything or with_files or _is_listed(item)]
    items = items_of(found)
    items.sort(key=lambda item: item.updated_at, reverse=True)
    items.sort(key=lambda item: render.STATUS_ORDER.index(item.status))
    done = [item for item in items if item.status is Status.DONE]
    hidden = set() if everything else {item.id for item in done[_DONE_SHOWN:]}
    shown = [item for item in items if item.id not in hidden]
    tables.print_table(
        ("status", "progress", "size", "speed", "left", "what"),
        [_row(item) for item in shown],
        right=frozenset({1, 2, 3, 4}),
        optional=(4, 2, 3),
        styles=[render.style(item.status) for item in shown],
    )
    for item in shown:
        if item.status in (Status.FAILED, Status.QUEUED) and item.detail:
            session.say(f"{render.title(item)}: {render.clean(item.detail)}")
    left_out = number - len(shown)
    if left_out:
        session.say(f"… and {left_out} more; --all shows them.")


def _is_listed(item: Download) -> bool:
    """Files of a repo download are counted in its line, unless they failed."""
    return not item.repo_ids or item.status is Status.FAILED


def _row(item: Download | RepoDownload) -> Sequence[str]:
    size = "" if item.total_bytes is None else format_size(item.total_bytes)
    return (render.state(item), render.percent(item), size, render.speed(item), render.eta(item), render.title(item))
