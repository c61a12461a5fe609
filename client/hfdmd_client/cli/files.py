"""`hfdm files`: the files of a repo on the Hub, GGUF quantisations summed up."""

from __future__ import annotations

import click

from hfdmd.wire.types import RepoFile, RepoFiles
from hfdmd.wire.units import format_size
from hfdmd_client.cli import gguf, tables
from hfdmd_client.cli.params import repo_argument, source_options
from hfdmd_client.cli.render import clean
from hfdmd_client.cli.session import Session, standard
from hfdmd_client.reference import Reference

EPILOG = """\b
Examples:
  hfdm files Qwen/Qwen3-0.6B-GGUF       quantisations first, then all files
  hfdm files Qwen/Qwen3-0.6B '*.json'   only some
  hfdm files datasets/squad --json"""


@click.command(epilog=EPILOG)
@repo_argument
@click.argument("glob", nargs=-1)
@source_options
@standard
def files(session: Session, repo: Reference, glob: tuple[str, ...], revision: str | None, repo_type: str | None) -> int:
    """Show the files of REPO, or those that match a GLOB: size, whether they are on this machine, name."""
    found = session.client().files(
        repo.model_repo,
        revision=revision or repo.revision or "main",
        repo_type=repo_type or repo.repo_type or "model",
    )
    globs = [*glob, *([f"{repo.folder}/*"] if repo.folder else []), *([repo.file_path] if repo.file_path else [])]
    if globs:
        from fnmatch import fnmatchcase

        found.files = [file for file in found.files if any(fnmatchcase(file.file_path, pattern) for pattern in globs)]
    if session.json:
        session.out_json(found)
        return 0
    if not found.files:
        session.say("No file matches." if globs else "The repo is empty.")
        return 0
    _quantisations(session, repo, found)
    tables.print_table(
        ("size", "here", "file"),
        [(format_size(file.size), _here(file), file.file_path) for file in found.files],
        right=frozenset({0}),
    )
    total_bytes = sum(file.size or 0 for file in found.files)
    here = sum(1 for file in found.files if file.cached)
    session.say(f"{len(found.files)} files, {format_size(total_bytes)}; {here} here; commit {clean(found.commit)[:12]}")
    return 0


def _quantisations(session: Session, repo: Reference, found: RepoFiles) -> None:
    groups = gguf.groups(found.files)
    if not groups:
        return
    tables.print_table(
        ("quantisation", "size", "here", "files"),
        [(group.name, format_size(group.size_bytes), "yes" if group.cached else "", _names(group)) for group in groups],
        right=frozenset({1}),
    )
    print()
    if not session.json:
        session.say(f"To download one: hfdm download {clean(repo.model_repo)} --include '*{groups[0].name}*'")


def _names(group: gguf.Group) -> str:
    return group.paths[0] if len(group.paths) == 1 else f"{group.paths[0]} … ({len(group.paths)} files)"


def _here(file: RepoFile) -> str:
    if file.status is not None and file.status.value != "done":
        return file.status.value
    return "yes" if file.cached else ""
