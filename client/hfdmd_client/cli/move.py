"""`hfdm move`: another place in the queue."""

from __future__ import annotations

from typing import Any

import click

from hfdmd.wire.errors import NotAllowedNow
from hfdmd_client.cli import render
from hfdmd_client.cli.params import filter_options, narrowed, repo_argument
from hfdmd_client.cli.session import Session, standard
from hfdmd_client.event_state import Item, items_of
from hfdmd_client.reference import Reference

_LAST = 1_000_000
_STEPS = {"up": -1, "down": 1}

EPILOG = """\b
Examples:
  hfdm move Qwen/Qwen3-0.6B top                 next, before all others
  hfdm move Qwen/Qwen3-0.6B config.json 3       one file, third
  hfdm move Qwen/Qwen3-0.6B config.json down    one place later"""


@click.command(epilog=EPILOG)
@repo_argument
@click.argument("words", nargs=-1, required=True, metavar="[FILE] top|up|down|bottom|N")
@filter_options
@standard
def move(session: Session, repo: Reference, words: tuple[str, ...], **filters: Any) -> int:
    """Move queued downloads of REPO, or one FILE: top, up, down, bottom or a position; 1 is next."""
    *files, place = words
    if len(files) > 1:
        raise click.UsageError("Name one FILE at most, then the place.")
    path = files[0] if files else repo.file_path
    client = session.client()
    selection = {"model_repo": repo.model_repo, "file_path": path, **narrowed(repo, filters)}
    if place in _STEPS:
        item: Item
        if path is not None:
            item = client.progress(**selection)
        else:
            del selection["file_path"]
            repos = client.downloads(selection.pop("model_repo"), **selection).repos
            if len(repos) != 1:
                raise click.UsageError(f"{place!r} needs one download: name a FILE, --revision or --local-dir.")
            item = repos[0]
            selection = {"id": item.id}
        if item.queue_position is None:
            raise NotAllowedNow(f"{render.title(item)} is {item.status.value}; only what is queued can be moved")
        position = max(1, item.queue_position + _STEPS[place])
    elif place in ("top", "bottom"):
        position = 1 if place == "top" else _LAST
    elif place.isdecimal() and 1 <= int(place) <= _LAST:
        position = int(place)
    else:
        raise click.UsageError(f"{place!r} is no place: top, up, down, bottom, or a number from 1.")
    moved = client.reorder(position=position, **selection)
    if session.json:
        session.out_json(moved)
        return 0
    for item in items_of(moved):
        session.out(f"{render.state(item)}  {render.title(item)}")
    return 0
