"""`hfdm status`: what there is and how far it is, once."""

from __future__ import annotations

from collections.abc import Sequence

import click

from hfdmd.wire.types import Download, Downloads, RepoDownload, Status
from hfdmd_client.cli import completion, render, tables
from hfdmd_client.cli.params import GIVEN, REPO, REPO_TYPE
from hfdmd_client.cli.session import NOT_FOUND, Session, outcome, standard
from hfdmd_client.event_state import items_of
from hfdmd_client.reference import Reference
from hfdmd_client.units import format_size

_DONE_SHOWN = 10
_ORDER = (Status.DOWNLOADING, Status.QUEUED, Status.PAUSED, Status.FAILED, Status.CANCELLED, Status.DONE)

EPILOG = """\b
Examples:
  hfdm status                              what moves, waits, failed, was done
  hfdm status --all                        everything the daemon remembers
  hfdm status Qwen/Qwen3-0.6B config.json  one file
  hfdm status --json | jq '.downloads[] | select(.status == "failed")'

\b
With one FILE the exit code is 0 unless it failed or was cancelled (1),
is not on the Hub (4) or not open to you (5)."""


@click.command(epilog=EPILOG)
@click.argument("repo", type=REPO, required=False, shell_complete=completion.repos)
@click.argument("file", required=False, shell_complete=completion.files)
@click.option("--revision", "-r", metavar="REV", type=GIVEN, help="Only of this revision.")
@click.option("--repo-type", "-t", type=REPO_TYPE, help="Only model, dataset or space repos.")
@click.option("--local-dir", "-d", metavar="DIR", type=GIVEN, help="Only what goes to this folder.")
@click.option("--in-cache", is_flag=True, help="Only what goes to the Hub's cache.")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only with this status.")
@click.option("--all", "everything", is_flag=True, help="Also what has long been done.")
@standard
def status(
    session: Session,
    repo: Reference | None,
    file: str | None,
    revision: str | None,
    repo_type: str | None,
    local_dir: str | None,
    in_cache: bool,
    status: str | None,
    everything: bool,
) -> int:
    """Show downloads: all, those of REPO, or one FILE of it."""
    client = session.client()
    if repo is not None and (path := file or repo.file_path):
        item = client.progress(
            repo.model_repo,
            path,
            revision=revision or repo.revision,
            repo_type=repo_type or repo.repo_type,
            local_dir=local_dir,
            in_cache=in_cache,
        )
        return _one(session, item)
    found = client.downloads(
        repo.model_repo if repo else None,
        revision=revision or (repo.revision if repo else None),
        repo_type=repo_type or (repo.repo_type if repo else None),
        local_dir=local_dir,
        in_cache=in_cache,
        status=status,
    )
    if session.json:
        session.out_json(found)
    elif not found.downloads and not found.repos:
        session.say(f"Nothing of {repo.model_repo} has been asked for." if repo else "Nothing has been asked for yet.")
    else:
        _many(session, found, everything or status is not None)
    return NOT_FOUND if repo is not None and not found.downloads and not found.repos else 0


def _one(session: Session, item: Download | RepoDownload) -> int:
    if session.json:
        session.out_json(item)
        return outcome([item])
    facts = [
        ("status", render.state(item)),
        ("progress", ", ".join(fact for fact in (render.percent(item), render.amount(item)) if fact)),
        ("speed", render.speed(item)),
        ("time left", render.eta(item)),
        ("why", item.detail or ""),
        ("retry at", item.retry_at or "" if isinstance(item, Download) else ""),
        ("path", item.path or ""),
        ("commit", item.commit or ""),
        ("digest", item.digest or "" if isinstance(item, Download) else ""),
        ("asked for", item.created_at),
        ("id", item.id),
    ]
    print(render.title(item))
    tables.print_facts([(name, value) for name, value in facts if value])
    return outcome([item])


def _many(session: Session, found: Downloads, everything: bool) -> None:
    number = len(found.downloads) + len(found.repos)
    found.downloads = [item for item in found.downloads if everything or _worth(item)]
    items = items_of(found)
    items.sort(key=lambda item: item.updated_at, reverse=True)
    items.sort(key=lambda item: _ORDER.index(item.status))
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


def _worth(item: Download) -> bool:
    """Files of a repo download are summed up in its line, unless something is going on with them."""
    return not item.repo_ids or item.status in (Status.DOWNLOADING, Status.FAILED, Status.PAUSED)


def _row(item: Download | RepoDownload) -> Sequence[str]:
    size = "" if item.total_bytes is None else format_size(item.total_bytes)
    return (render.state(item), render.percent(item), size, render.speed(item), render.eta(item), render.title(item))
