"""Argument types (repos as users paste them, times), and the options that several commands share."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import click

from hfdmd.wire.errors import InvalidField
from hfdmd.wire.types import Status
from hfdmd.wire.units import UnitError, parse_duration
from hfdmd_client.cli import completion
from hfdmd_client.reference import Reference, parse

_TYPES = {
    "model": "model",
    "models": "model",
    "dataset": "dataset",
    "datasets": "dataset",
    "space": "space",
    "spaces": "space",
}


class _Repo(click.ParamType[Reference]):
    name = "repo"

    def __init__(self, *, may_be_tagged: bool = False) -> None:
        self._may_be_tagged = may_be_tagged

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Reference:
        if isinstance(value, Reference):
            return value
        try:
            found = parse(value)
        except InvalidField as error:
            self.fail(error.detail, param, ctx)
        if found.quantisation is not None and not self._may_be_tagged:
            self.fail(f"only download and files take a quantisation (:{found.quantisation}); name the file", param, ctx)
        return found


class _RepoType(click.ParamType[str]):
    name = "type"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value.lower() in _TYPES:
            return _TYPES[value.lower()]
        close = difflib.get_close_matches(value.lower(), _TYPES, 1)
        guess = f" Did you mean {_TYPES[close[0]]}?" if close else ""
        self.fail(f"{value!r} is not model, dataset or space.{guess}", param, ctx)


class _Duration(click.ParamType[float]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except UnitError as error:
            self.fail(str(error), param, ctx)


class _Given(click.ParamType[str]):
    """A value that is not empty. An unset variable of a script gives an empty one, which would select too much."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return (
            str(value) if value else self.fail("the value is empty; leave the option out or give a value", param, ctx)
        )


GIVEN = _Given()
REPO = _Repo()
TAGGED_REPO = _Repo(may_be_tagged=True)
REPO_TYPE = _RepoType()
DURATION = _Duration()


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def combined(*decorators: Decorator) -> Decorator:
    """One decorator for several options. `--help` lists them in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


repo_argument = click.argument("repo", type=REPO, shell_complete=completion.repos)
tagged_repo = click.argument("repo", type=TAGGED_REPO, shell_complete=completion.repos)
optional_repo = click.argument("repo", type=REPO, required=False, shell_complete=completion.repos)
optional_file = click.argument("file", required=False, shell_complete=completion.files)
several_files = click.argument("file", nargs=-1, shell_complete=completion.files)

source_options = combined(
    click.option(
        "--revision", "-r", metavar="REV", type=GIVEN, help="Branch, tag, commit or refs/pr/N.  [default: main]"
    ),
    click.option("--repo-type", "-t", type=REPO_TYPE, help="model, dataset or space.  [default: model]"),
)
filter_options = combined(
    click.option("--revision", "-r", metavar="REV", type=GIVEN, help="Only this revision."),
    click.option("--repo-type", "-t", type=REPO_TYPE, help="Only model, dataset or space repos."),
    click.option("--local-dir", "-d", metavar="DIR", type=GIVEN, help="Only downloads into this folder."),
    click.option("--in-cache", is_flag=True, help="Only downloads into the Hub's cache."),
)
status_option = click.option(
    "--status", type=click.Choice([status.value for status in Status]), help="Only downloads with this status."
)


def narrowed(repo: Reference | None, filters: dict[str, Any]) -> dict[str, Any]:
    """`filters` (of `filter_options`), completed by the revision and the type that REPO itself names."""
    if repo is None:
        return filters
    return {
        **filters,
        "revision": filters["revision"] or repo.revision,
        "repo_type": filters["repo_type"] or repo.repo_type,
    }
