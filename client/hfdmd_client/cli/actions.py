"""`hfdm pause`, `resume`, `cancel`, `retry` and `rm`: one action on the selected downloads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from hfdmd.wire.errors import ApiError, ForbiddenPath, NotAllowedNow, UnknownDownload
from hfdmd.wire.types import Affected, Download
from hfdmd_client.cli import render
from hfdmd_client.cli.params import (
    GIVEN,
    combined,
    filter_options,
    narrowed,
    optional_repo,
    several_files,
    status_option,
)
from hfdmd_client.cli.session import FAILED, INTERRUPTED, Session, exit_code, standard, worst
from hfdmd_client.client import Client
from hfdmd_client.event_state import Item, items_of
from hfdmd_client.reference import Reference

selector_options = combined(
    optional_repo,
    several_files,
    click.option("--all", "everything", is_flag=True, help="All downloads."),
    click.option("--id", metavar="ID", type=GIVEN, help="The download with this id (see `hfdm status --json`)."),
    filter_options,
    status_option,
)


def selectors(
    repo: Reference | None, file: tuple[str, ...], everything: bool, id: str | None, status: str | None, **filters: Any
) -> list[dict[str, Any]]:
    """The selectors to send, one for each file. Raises `click.UsageError` unless exactly one of the ways is used."""
    if (repo is not None) + everything + (id is not None) != 1:
        raise click.UsageError("Name the downloads: REPO, REPO FILE, --id ID, or --all.")
    if id is not None:
        return [{"status": status, "id": id}]
    chosen = {"status": status, **narrowed(repo, filters)}
    if repo is None:
        return [{**chosen, "all": True}]
    chosen["model_repo"] = repo.model_repo
    paths = [*([repo.file_path] if repo.file_path else []), *file]
    return [{**chosen, "file_path": path} for path in paths] or [chosen]


def _act(session: Session, act: Callable[..., Affected], chosen: list[dict[str, Any]], done: str) -> int:
    """Applies `act` to each selector. A file that is refused does not keep the others from being processed."""
    found = Affected(downloads=[], repos=[], unchanged=0)
    refused: dict[str, ApiError] = {}
    for one in chosen:
        try:
            affected = act(**one)
        except (UnknownDownload, NotAllowedNow, ForbiddenPath) as error:
            # the daemon's own text names API fields, which a user of the command line does not know
            why = _unknown() if isinstance(error, UnknownDownload) else error
            if len(chosen) == 1:
                raise why from error
            refused[one["file_path"]] = why
            continue
        found.downloads += affected.downloads
        found.repos += affected.repos
        found.unchanged += affected.unchanged
    if session.json:
        session.out_json(found)
    else:
        for item in items_of(found):
            session.out(f"{done or render.state(item)}  {render.title(item)}")
        if found.unchanged and not chosen[0].keys() & {"id", "file_path"}:  # these are listed
            session.out(f"{found.unchanged} left as they were")
    for file_path, refusal in refused.items():
        session.say(f"hfdm: {file_path}: {refusal.detail}")
    return worst(exit_code(refusal) for refusal in refused.values())


def _unknown() -> UnknownDownload:
    return UnknownDownload("no download matches; `hfdm status --all` lists them")


_SELECTION = "REPO may be owner/name, datasets/owner/name or a URL of the Hub; without FILE it means the whole repo."


def _verb(name: str, text: str) -> click.Command:
    """The command that applies the client's method `name` to the selected downloads."""

    @click.command(name, help=f"{text} {_SELECTION}")
    @selector_options
    @standard
    def command(session: Session, **selection: Any) -> int:
        chosen = selectors(**selection)
        return _act(session, getattr(session.client(), name), chosen, "")

    return command


pause = _verb("pause", "Pause downloads. What has been received is kept; no byte is transferred until you resume.")
resume = _verb("resume", "Resume paused downloads from where they stopped.")
cancel = _verb("cancel", "Cancel downloads and delete their partial data.")
retry = _verb("retry", "Retry failed and cancelled downloads; those that wait for a retry start now.")


@click.command(
    help=f"Cancel downloads and remove them from the list. Their files stay, unless you add --delete-file. {_SELECTION}"
)
@selector_options
@click.option("--delete-file", is_flag=True, help="Delete the files as well.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@standard
def rm(session: Session, delete_file: bool, yes: bool, **selection: Any) -> int:
    chosen = selectors(**selection)
    client = session.client()
    if not yes and (delete_file or selection["everything"]):
        _confirm(delete_file, _titles(client, chosen))
    return _act(session, lambda **one: client.delete(delete_file=delete_file, **one), chosen, "removed")


def _titles(client: Client, chosen: list[dict[str, Any]]) -> list[str]:
    """What the selectors match, for the confirmation. Raises `UnknownDownload` when they match nothing."""
    found: list[Item] = []
    for one in chosen:
        if "id" in one:
            found.append(client.progress(**one))
            continue
        wanted = {name: value for name, value in one.items() if name not in ("all", "file_path")}
        page = client.downloads(**wanted)
        found += [item for item in page.downloads if one.get("file_path") in (None, item.file_path)]
        found += [] if one.get("file_path") else page.repos
    if not found:
        raise _unknown()
    return [render.title(item) for item in found if isinstance(item, Download)] or [
        render.title(item) for item in found
    ]


def _confirm(delete_file: bool, titles: list[str]) -> None:
    what = "remove these downloads and DELETE their files" if delete_file else "remove these downloads"
    if not sys.stdin.isatty():
        raise click.UsageError(f"This would {what}. Add --yes to confirm.")
    for title in titles[:10]:
        click.echo(f"  {title}", err=True)
    if len(titles) > 10:
        click.echo(f"  … and {len(titles) - 10} more", err=True)
    try:
        if click.confirm(f"{what[0].upper()}{what[1:]}?", err=True):
            return
        code = FAILED
    except click.Abort:
        click.echo(err=True)
        code = INTERRUPTED
    click.echo("Nothing was changed.", err=True)
    raise click.exceptions.Exit(code)
