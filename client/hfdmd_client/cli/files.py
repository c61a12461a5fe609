"""`hfdm files`: the files of a repo on the Hub, GGUF quantisations summed up."""

from __future__ import annotations

import click

from hfdmd.wire.repo_content import RepoFile, RepoFiles
from hfdmd.wire.units import format_size
from hfdmd_client.cli import gguf, tables
from hfdmd_client.cli.params import source_options, tagged_repo
from hfdmd_client.cli.render import clean
from hfdmd_client.cli.session import Session, standard
from hfdmd_client.reference import Reference

EPILOG = """\b
Examples:
  hfdm files Qwen/Qwen3-0.6B-GGUF       quantisations first, then all files
  hfdm files Qwen/Qwen3-0.6B '*.json'   only some
  hfdm files datasets/squad --json"""


@click.command(epilog=EPILOG)
@tagged_repo
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
    if repo.quantisation is not None:
        wanted = gguf.chosen(found.quantisations, repo.quantisation)
        found.files = [file for file in found.files if file.file_path in wanted.files]
        found.quantisations = [wanted]
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
    if not found.quantisations:
        return
    cached = {file.file_path for file in found.files if file.cached}
    tables.print_table(
        ("quantisation", "size", "here", "files"),
        [
            (
                one.name + (" (recommended)" if one.recommended else ""),
                format_size(one.total_bytes),
                "yes" if cached.issuperset(one.files) else "",
                one.files[0] if len(one.files) == 1 else f"{one.files[0]} … ({len(one.files)} files)",
            )
            for one in found.quantisations
        ],
        right=frozenset({1}),
    )
    print()
    best = next((one for one in found.quantisations if one.recommended), found.quantisations[0])
    session.say(f"To download one: hfdm download {clean(repo.model_repo)}:{clean(best.name)}")


def _here(file: RepoFile) -> str:
    if file.status is not None and file.status.value != "done":
        return file.status.value
    return "yes" if file.cached else ""
