"""What a shell may complete: repos and files that the daemon knows. Never starts one, never takes long."""

from __future__ import annotations

import click

from hfdmd.wire.errors import ApiError
from hfdmd.wire.types import Downloads
from hfdmd_client.client import Client
from hfdmd_client.view import items_of

_PATIENCE_S = 1.0


def repos(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Repos that something was asked of."""
    found = _known()
    names = {item.model_repo for item in items_of(found)} if found else set()
    return sorted(name for name in names if name.startswith(incomplete))


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Files of the repo on the command line."""
    repo = ctx.params.get("repo")
    found = _known(getattr(repo, "model_repo", None)) if repo is not None else None
    return sorted({d.file_path for d in found.downloads if d.file_path.startswith(incomplete)}) if found else []


def _known(model_repo: str | None = None) -> Downloads | None:
    try:
        return Client(timeout_s=_PATIENCE_S).downloads(model_repo, limit=1000)
    except ApiError:
        return None  # nothing to offer is no reason to disturb somebody who types
