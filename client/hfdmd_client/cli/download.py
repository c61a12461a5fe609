"""`hfdm download`: requests files or a repo, waits, prints their paths."""

from __future__ import annotations

import difflib
import sys
import time
from typing import Any

import click

from hfdmd.wire.environment import is_offline
from hfdmd.wire.errors import ApiError
from hfdmd.wire.types import Download, Reason, RepoDownload, Status
from hfdmd_client.cli import gguf, render, waiting
from hfdmd_client.cli.params import DURATION, GIVEN, several_files, source_options, tagged_repo
from hfdmd_client.cli.plans import show_plans
from hfdmd_client.cli.session import INTERRUPTED, Session, outcome, standard
from hfdmd_client.client import Client
from hfdmd_client.event_state import Item, items_of
from hfdmd_client.reconnect import deadline, left_s
from hfdmd_client.reference import Reference

EPILOG = """\b
Examples:
  hfdm download Qwen/Qwen3-0.6B                       the whole repo
  hfdm download Qwen/Qwen3-0.6B config.json model.safetensors
  hfdm download Qwen/Qwen3-0.6B --include '*.safetensors' --exclude 'onnx/*'
  hfdm download unsloth/Qwen3-0.6B-GGUF:Q4_K_M        one quantisation
  hfdm download datasets/squad --revision main
  hfdm download Qwen/Qwen3-0.6B config.json --local-dir ./model
  hfdm download https://huggingface.co/Qwen/Qwen3-0.6B/blob/main/config.json
  cat "$(hfdm download -q Qwen/Qwen3-0.6B config.json)"
  hfdm download Qwen/Qwen3-0.6B --no-wait             do not wait
  hfdm download Qwen/Qwen3-0.6B --dry-run             only show sizes

\b
Ctrl-C leaves the download running. The same command again waits for it,
resumes it if it is paused, and retries it if it failed."""


@click.command(epilog=EPILOG)
@tagged_repo
@several_files
@click.option("--include", "-i", multiple=True, metavar="GLOB", help="Only files that match; may be repeated.")
@click.option("--exclude", "-x", multiple=True, metavar="GLOB", help="No files that match; may be repeated.")
@source_options
@click.option(
    "--local-dir", "-d", metavar="DIR", type=GIVEN, help="Put the files into this folder instead of the Hub's cache."
)
@click.option("--priority", type=click.IntRange(-100, 100), help="Higher priorities start first.  [default: 0]")
@click.option("--update", is_flag=True, help="Move to the commit that the revision names now.")
@click.option("--dry-run", is_flag=True, help="Show what would be downloaded, and download nothing.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is done.  [default: wait]")
@click.option("--timeout", type=DURATION, metavar="TIME", help="Wait at most this long, for example 90s or 1h 30m.")
@standard
def download(
    session: Session,
    repo: Reference,
    file: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    revision: str | None,
    repo_type: str | None,
    local_dir: str | None,
    priority: int | None,
    update: bool,
    dry_run: bool,
    wait: bool,
    timeout: float | None,
) -> int:
    """Download FILEs of REPO, or all of it, into the Hub's cache. Prints the path of each file, or of the repo."""
    paths, globs = _wanted(repo, file, include)
    if paths and (globs or exclude):
        raise click.UsageError("Name files, or use --include and --exclude; not both.")
    if revision and repo.revision and revision != repo.revision:
        raise click.UsageError(f"REPO names revision {repo.revision}, --revision {revision}.")
    source: dict[str, Any] = {
        "revision": revision or repo.revision or "main",
        "repo_type": repo_type or repo.repo_type or "model",
    }
    client = session.client()
    if is_offline():
        session.say("HF_HUB_OFFLINE is set, but hfdm and its daemon use the network: this downloads what is missing.")
    if repo.quantisation is not None:
        if paths or globs or exclude:
            raise click.UsageError(f"Name files or globs, or the quantisation :{repo.quantisation}; not both.")
        globs = gguf.globs(gguf.chosen(client.files(repo.model_repo, **source).quantisations, repo.quantisation))
    if dry_run:
        source["local_dir"] = local_dir
        plans = [client.plan(repo.model_repo, path, **source) for path in dict.fromkeys(paths)]
        if not paths:
            plans = [client.plan(repo.model_repo, include=globs or None, exclude=list(exclude) or None, **source)]
        return show_plans(session, plans)
    options = {**source, "local_dir": local_dir, "priority": priority, "update": update, "retry": True}
    until = deadline(timeout)
    items = [_ask(client, repo.model_repo, path, options, until) for path in dict.fromkeys(paths)]
    if not paths:
        globbed = {"include": globs or None, "exclude": list(exclude) or None}
        items = [_ask(client, repo.model_repo, None, {**options, **globbed}, until)]
    if wait:
        ended = _wait(session, client, items, until)
        if ended is None:
            return INTERRUPTED
        items = ended
    return _finish(session, client, items, wait)


def _wanted(repo: Reference, files: tuple[str, ...], include: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The named files and the globs. A name that ends with a slash stands for everything in that folder."""
    named = [*([repo.file_path] if repo.file_path else []), *files]
    folders = [name for name in named if name.endswith("/")] + ([f"{repo.folder}/"] if repo.folder else [])
    return [name for name in named if not name.endswith("/")], [*include, *(f"{folder}*" for folder in folders)]


def _ask(client: Client, model_repo: str, path: str | None, options: dict[str, Any], until: float | None) -> Item:
    item: Item = client.ask(model_repo, path, **options)
    if options["update"] and item.status is Status.DONE:
        item = client.updated(item, timeout_s=left_s(until))
    if item.status is Status.PAUSED:
        affected = client.resume(id=item.id)
        item = next((found for found in items_of(affected) if found.id == item.id), item)
    return item


def _wait(session: Session, client: Client, items: list[Item], until: float | None) -> list[Item] | None:
    """The last states; None when the user interrupted the wait."""
    began = time.monotonic()
    try:
        with waiting.display(session.quiet) as shown:
            ended = waiting.wait(client, items, shown, until)
    except KeyboardInterrupt:
        from shlex import quote

        one = items[0]
        folder = f" --local-dir {quote(render.clean(one.local_dir))}" if one.local_dir is not None else ""
        session.say(
            "\nInterrupted. The download continues in the background.\n"
            f"  status:   hfdm status {render.repo_name(one)}{folder}\n"
            f"  wait:     the same command again\n"
            f"  cancel:   hfdm cancel {render.repo_name(one)}"
            + (f" {render.clean(one.file_path)}" if isinstance(one, Download) and len(items) == 1 else "")
            + folder
        )
        return None
    took_s = time.monotonic() - began
    if not session.quiet and sys.stderr.isatty():
        for item in ended:
            session.say(waiting.summary(item, took_s if len(ended) == 1 else None))
    return ended


def _finish(session: Session, client: Client, items: list[Item], waited: bool) -> int:
    if session.json:
        session.out_json(items[0] if len(items) == 1 else items)
    for item in items:
        if isinstance(item, RepoDownload) and item.status is Status.DONE and item.detail:
            session.say(f"{render.title(item)}: {item.detail}")
        if item.path is not None and item.status is Status.DONE and not session.json:
            session.out(item.path)
        elif not waited:
            session.say(render.line(item))
        if item.reason is Reason.FILE_NOT_FOUND and isinstance(item, Download):
            _suggest(session, client, item)
        elif item.reason in (Reason.GATED, Reason.UNAUTHORIZED):
            session.say("  `hfdm login` stores a token; a gated repo also asks you to accept its terms on its page.")
    return outcome(items) if waited else 0


def _suggest(session: Session, client: Client, item: Download) -> None:
    """Suggests names in the repo that resemble the one that was not found."""
    try:
        available = [
            f.file_path for f in client.files(item.model_repo, repo_type=item.repo_type, revision=item.revision).files
        ]
    except ApiError:
        return  # the failure itself has been reported; a suggestion is optional
    near, far = (difflib.get_close_matches(item.file_path, available, 3, likeness) for likeness in (0.8, 0.5))
    close = near or far
    close = close or [path for path in available if path.rpartition("/")[2] == item.file_path.rpartition("/")[2]][:3]
    if close:
        session.say(f"  Did you mean {' or '.join(map(repr, close))}?")
    else:
        session.say(f"  `hfdm files {render.repo_name(item)}` lists the files.")
