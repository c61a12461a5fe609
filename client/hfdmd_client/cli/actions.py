"""`hfdm pause`, `resume`, `cancel`, `retry` and `rm`: one selector, five things to do with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from hfdmd.wire.errors import ApiError, ForbiddenPath, NotAllowedNow, UnknownDownload
from hfdmd.wire.types import Affected, Download, Status
from hfdmd_client.cli import completion, render
from hfdmd_client.cli.params import GIVEN, REPO, REPO_TYPE
from hfdmd_client.cli.session import FAILED, INTERRUPTED, Session, exit_code, standard, worst
from hfdmd_client.client import Client
from hfdmd_client.event_state import Item, items_of
from hfdmd_client.reference import Reference


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the arguments and options that say which downloads."""
    for decorate in (
        click.option("--status", type=click.Choice([status.value for status in Status]), help="Only with this status."),
        click.option("--repo-type", "-t", type=REPO_TYPE, help="Only model, dataset or space repos."),
        click.option("--in-cache", is_flag=True, help="Only what goes to the Hub's cache."),
        click.option("--local-dir", "-d", metavar="DIR", type=GIVEN, help="Only what goes to this folder."),
        click.option("--revision", "-r", metavar="REV", type=GIVEN, help="Only of this revision."),
        click.option("--id", metavar="ID", type=GIVEN, help="The one with this id (see `hfdm status --json`)."),
        click.option("--all", "everything", is_flag=True, help="All downloads."),
        click.argument("file", nargs=-1, shell_complete=completion.files),
        click.argument("repo", type=REPO, required=False, shell_complete=completion.repos),
    ):
        command = decorate(command)
    return command


def selectors(
    repo: Reference | None,
    file: tuple[str, ...],
    everything: bool,
    id: str | None,
    revision: str | None,
    repo_type: str | None,
    local_dir: str | None,
    in_cache: bool,
    status: str | None,
) -> list[dict[str, Any]]:
    """What to ask the daemon for, one selector a file. Raises `click.UsageError` when nothing or too much is named."""
    if (repo is not None) + everything + (id is not None) != 1:
        raise click.UsageError("Say which: REPO, REPO FILE, --id ID, or --all.")
    narrowed: dict[str, Any] = {"status": status}
    if id is not None:
        return [{**narrowed, "id": id}]
    narrowed |= {"revision": revision, "repo_type": repo_type, "local_dir": local_dir, "in_cache": in_cache}
    if repo is None:
        return [{**narrowed, "all": True}]
    narrowed |= {
        "model_repo": repo.model_repo,
        "revision": revision or repo.revision,
        "repo_type": repo_type or repo.repo_type,
    }
    paths = [*([repo.file_path] if repo.file_path else []), *file]
    return [{**narrowed, "file_path": path} for path in paths] or [narrowed]


def _act(session: Session, act: Callable[..., Affected], chosen: list[dict[str, Any]], done: str) -> int:
    """Act on each; one of several files that is not to be had stops none of the others."""
    found = Affected(downloads=[], repos=[])
    refused: dict[str, ApiError] = {}
    for one in chosen:
        try:
            affected = act(**one)
        except (UnknownDownload, NotAllowedNow, ForbiddenPath) as error:
            # the daemon's own words are for those who speak its API
            why = _unknown() if isinstance(error, UnknownDownload) else error
            if len(chosen) == 1:
                raise why from error
            refused[one["file_path"]] = why
            continue
        found.downloads += affected.downloads
        found.repos += affected.repos
    if session.json:
        session.out_json(found)
    else:
        for item in items_of(found):
            session.out(f"{done or render.state(item)}  {render.title(item)}")
    for file_path, told in refused.items():
        session.say(f"hfdm: {file_path}: {told.detail}")
    return worst(exit_code(told) for told in refused.values())


def _unknown() -> UnknownDownload:
    return UnknownDownload("no download matches; `hfdm status --all` shows what there is")


_SELECTION = """REPO may be owner/name, datasets/owner/name or a URL of the Hub; without FILE all of it is meant."""


@click.command(help=f"Pause downloads: after this not a byte is moved, and none is lost. {_SELECTION}")
@selecting
@standard
def pause(session: Session, **selection: Any) -> int:
    chosen = selectors(**selection)
    return _act(session, session.client().pause, chosen, "")


@click.command(help=f"Go on with paused downloads, from where they were. {_SELECTION}")
@selecting
@standard
def resume(session: Session, **selection: Any) -> int:
    chosen = selectors(**selection)
    return _act(session, session.client().resume, chosen, "")


@click.command(help=f"Stop downloads for good and delete what is unfinished. {_SELECTION}")
@selecting
@standard
def cancel(session: Session, **selection: Any) -> int:
    chosen = selectors(**selection)
    return _act(session, session.client().cancel, chosen, "")


@click.command(help=f"Try again what failed or was cancelled; let what waits go now. {_SELECTION}")
@selecting
@standard
def retry(session: Session, **selection: Any) -> int:
    chosen = selectors(**selection)
    return _act(session, session.client().retry, chosen, "")


@click.command(
    help=f"Forget downloads, cancelling them first. The files stay, unless --delete-file says otherwise. {_SELECTION}"
)
@selecting
@click.option("--delete-file", is_flag=True, help="Delete the files as well.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@standard
def rm(session: Session, delete_file: bool, yes: bool, **selection: Any) -> int:
    chosen = selectors(**selection)
    client = session.client()
    if not yes and (delete_file or selection["everything"]):
        _confirm(delete_file, _titles(client, chosen))
    return _act(session, lambda **one: client.delete(delete_file=delete_file, **one), chosen, "removed")


def _titles(client: Client, chosen: list[dict[str, Any]]) -> list[str]:
    """What the selectors mean, for the question. Raises `UnknownDownload` when that is nothing."""
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
    what = "forget these downloads and DELETE their files" if delete_file else "forget these downloads"
    if not sys.stdin.isatty():
        raise click.UsageError(f"This would {what}. Say --yes to mean it.")
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
