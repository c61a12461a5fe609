"""Access control of the test Hub: which caller may see which repo."""

from __future__ import annotations

from aiohttp.web_request import BaseRequest

from tests.fakehub.answer import Answer, error
from tests.fakehub.repo import Repo
from tests.fakehub.world import World

GATED = "Access to {} {} is restricted. You must have access to it and be authenticated to access it. Please log in."
NOT_LISTED = "Access to {} {} is restricted and you are not in the authorized list. Visit its page to ask for access."


def token_of(request: BaseRequest) -> str | None:
    """The bearer token that came with the request."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def opened(world: World, request: BaseRequest, kind: str, name: str, *, content: bool) -> Repo | Answer:
    """The repo, or the error that the Hub gives this caller. `content`: a file is wanted, not only a listing."""
    token = token_of(request)
    if token is not None and token not in world.tokens:
        return error(401, "Invalid credentials in Authorization header")
    repo = world.repos.get((kind, name))
    allowed = repo is not None and token is not None and _opens(world, token, name)
    if repo is None or (repo.private and not allowed):
        if token is None:
            return error(401, "Invalid username or password.", "RepoNotFound")
        return error(404, "Repository not found", "RepoNotFound")
    if repo.gated and content and not allowed:
        message = (GATED if token is None else NOT_LISTED).format(kind.removesuffix("s"), name)
        return error(401 if token is None else 403, message, "GatedRepo")
    return repo


def _opens(world: World, token: str, name: str) -> bool:
    names = world.tokens[token]
    return names is None or name in names
