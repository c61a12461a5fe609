"""Kinds of arguments: repos as people paste them, sizes, times."""

from __future__ import annotations

import difflib
from typing import Any

import click

from hfdmd.wire.errors import InvalidField
from hfdmd_client import units
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

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Reference:
        if isinstance(value, Reference):
            return value
        try:
            return parse(value)
        except InvalidField as error:
            self.fail(error.detail, param, ctx)


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
            return units.parse_duration(value)
        except units.UnitError as error:
            self.fail(str(error), param, ctx)


class _Given(click.ParamType[str]):
    """Anything but nothing, which is what a script's unset variable gives: it would mean the present folder, or any."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value) if value else self.fail("it is empty; leave the option out, or say which", param, ctx)


GIVEN = _Given()
REPO = _Repo()
REPO_TYPE = _RepoType()
DURATION = _Duration()
