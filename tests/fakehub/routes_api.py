"""The part of the Hub's JSON API that downloads use."""

from __future__ import annotations

import base64
import time
from urllib.parse import quote, unquote

from aiohttp.web_request import BaseRequest

from tests.fakehub.access import opened, token_of
from tests.fakehub.answer import Answer, error, json_answer, redirect
from tests.fakehub.journal import Request
from tests.fakehub.repo import KINDS, Commit, Repo
from tests.fakehub.routes_resolve import raw_path, resolve_cache, split_revision
from tests.fakehub.world import World
from tests.fakehub.xet_signing import CasToken

ACTIONS = ("tree", "revision", "paths-info", "xet-read-token", "xet-write-token", "refs")
XET_TOKENS = ("xet-read-token", "xet-write-token")
DATE = "2026-01-02T03:04:05.000Z"


async def api(world: World, request: BaseRequest, entry: Request, segments: list[str]) -> Answer:
    """`segments`: the raw path's after /api/, still percent-coded."""
    if segments[0] == "resolve-cache":
        return resolve_cache(world, request, entry, segments[1:])
    if segments[0] == "whoami-v2":
        return _whoami(world, request)
    if segments[0] not in KINDS.values() or len(segments) < 2:
        return error(404, "Sorry, we can't find the page you are looking for.")
    kind, *rest = segments
    at = next((i for i, part in enumerate(rest) if i and part in ACTIONS), len(rest))
    name = unquote("/".join(rest[:at]))
    action = rest[at] if at < len(rest) else "revision"
    entry.repo, entry.file = name, f"@{action}"
    answer = await _answer(world, request, kind, name, action, rest[at + 1 :])
    answer.on = ("api",)
    return answer


async def _answer(world: World, request: BaseRequest, kind: str, name: str, action: str, rest: list[str]) -> Answer:
    if (kind, name) in world.moved:
        new = f"/api/{kind}/{world.moved[kind, name]}"
        return redirect(307, request.raw_path.replace(f"/api/{kind}/{name}", new, 1))
    found = opened(world, request, kind, name, content=action in XET_TOKENS)
    if isinstance(found, Answer):
        return found
    if action == "refs":
        return _refs(found)
    revision, path = split_revision(rest) if rest else ("main", "")
    commit = found.find(revision)
    if commit is None:
        return error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    match action:
        case "tree":
            return _tree(world, request, commit, path.strip("/"))
        case "paths-info":
            return await _paths_info(request, commit)
        case "xet-read-token" | "xet-write-token":
            return _xet_token(world, found, commit, writes=action == "xet-write-token")
        case _:
            return _info(request, found, commit)


def _info(request: BaseRequest, repo: Repo, commit: Commit) -> Answer:
    siblings: list[dict[str, object]] = [{"rfilename": path} for path in commit.paths]
    if request.query.get("blobs", "").lower() == "true":
        for sibling, path in zip(siblings, commit.paths, strict=True):
            file = commit.files[path]
            sibling |= {"size": file.size_bytes, "blobId": file.git_oid}
            if file.lfs:
                sibling["lfs"] = {"sha256": file.etag, "size": file.size_bytes, "pointerSize": len(file.pointer)}
    info = {
        "_id": commit.oid[:24],
        "id": repo.name,
        "sha": commit.oid,
        "lastModified": DATE,
        "createdAt": DATE,
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": siblings,
    }
    if "/" in repo.name:
        info["author"] = repo.name.partition("/")[0]
    if repo.kind == "models":
        info["modelId"] = repo.name
    return json_answer(info)


def _tree(world: World, request: BaseRequest, commit: Commit, folder: str) -> Answer:
    if folder and folder not in commit.folders:
        if folder in commit.files:
            return json_answer([commit.entry(folder)])
        return error(404, f"{folder} does not exist on revision", "EntryNotFound")
    recursive = request.query.get("recursive", "").lower() in ("true", "1")
    paths = commit.under(folder) if recursive else commit.below(folder)
    try:
        first = int(base64.urlsafe_b64decode(request.query.get("cursor", "")) or 0)
        size = int(request.query.get("limit", world.page_size))
    except ValueError:
        return error(400, "Invalid cursor")
    last = first + min(size, world.page_size)
    headers = {}
    if last < len(paths):
        query = {k: v for k, v in request.query.items() if k != "cursor"}
        query["cursor"] = base64.urlsafe_b64encode(str(last).encode()).decode()
        coded = "&".join(f"{quote(k)}={quote(v, safe='')}" for k, v in query.items())
        headers["Link"] = f'<{world.hub_url}{raw_path(request)}?{coded}>; rel="next"'
    return json_answer([commit.entry(path) for path in paths[first:last]], headers=headers)


async def _paths_info(request: BaseRequest, commit: Commit) -> Answer:
    if request.method != "POST":
        return error(405, "Method not allowed")
    if request.content_type == "application/json":
        asked = (await request.json()).get("paths", [])
    else:
        asked = (await request.post()).getall("paths", [])
    paths = [str(path).strip("/") for path in asked]
    return json_answer([commit.entry(path) for path in paths if path in commit.files or path in commit.folders])


def _xet_token(world: World, repo: Repo, commit: Commit, *, writes: bool) -> Answer:
    if world.cas_url is None:
        return error(404, "Xet is not enabled here")
    expires_s = time.time() + (world.cas.token_ttl_s if world.cas else 3600)
    token = CasToken(repo.kind, repo.name, commit.oid, writes, expires_s).signed(world.secret)
    said = {"casUrl": world.cas_url, "accessToken": token, "exp": int(expires_s)}
    headers = {
        "X-Xet-Cas-Url": world.cas_url,
        "X-Xet-Access-Token": token,
        "X-Xet-Token-Expiration": str(int(expires_s)),
    }
    return json_answer(said, headers=headers)


def _refs(repo: Repo) -> Answer:
    found: dict[str, list[dict[str, str]]] = {"branches": [], "tags": [], "converts": [], "pullRequests": []}
    for ref, oid in repo.refs.items():
        kind, _, name = ref.removeprefix("refs/").partition("/")
        where = {"heads": "branches", "tags": "tags", "convert": "converts", "pr": "pullRequests"}[kind]
        found[where].append({"name": name, "ref": ref, "targetCommit": oid})
    return json_answer(found)


def _whoami(world: World, request: BaseRequest) -> Answer:
    token = token_of(request)
    if token is None or token not in world.tokens:
        return error(401, "Invalid username or password.")
    return json_answer({"type": "user", "name": "tester", "fullname": "Tester", "auth": {"type": "access_token"}})
