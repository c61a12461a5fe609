"""The Hub's file routes: /<repo>/resolve/<revision>/<path>, and /api/resolve-cache/… behind it."""

from __future__ import annotations

from urllib.parse import quote, unquote

from aiohttp.web_request import BaseRequest

from tests.fakehub.access import opened
from tests.fakehub.answer import Answer, body_answer, error, redirect
from tests.fakehub.journal import Request
from tests.fakehub.repo import Commit, File, Repo
from tests.fakehub.world import World

TEXT_ENDINGS = (".json", ".txt", ".md", ".py", ".yaml", ".yml", ".jsonl", ".csv", ".gitattributes")


def resolve(world: World, request: BaseRequest, entry: Request, segments: list[str]) -> Answer:
    """`segments`: the raw path's, split at "/", still percent-coded."""
    kind = segments.pop(0) if segments[0] in ("datasets", "spaces") else "models"
    at = segments.index("resolve")
    name, rest = unquote("/".join(segments[:at])), segments[at + 1 :]
    entry.repo = name
    revision, path = split_revision(rest)
    entry.file = path
    answer = _resolve(world, request, kind, name, revision, path)
    answer.on = ("head", "resolve") if request.method == "HEAD" else ("resolve", *answer.on)
    return answer


def split_revision(rest: list[str]) -> tuple[str, str]:
    """Revision and path out of the coded segments after `resolve` or `tree`; refs/pr/1 may come uncoded."""
    take = 3 if rest[:1] == ["refs"] and len(rest) > 2 else 1
    return unquote("/".join(rest[:take])), unquote("/".join(rest[take:]))


def _resolve(world: World, request: BaseRequest, kind: str, name: str, revision: str, path: str) -> Answer:
    if (kind, name) in world.moved:
        prefix = "" if kind == "models" else f"{kind}/"
        new = f"/{prefix}{world.moved[kind, name]}/resolve/{quote(revision, safe='')}/{quote(path)}"
        return redirect(307, new)
    found = opened(world, request, kind, name, content=True)
    if isinstance(found, Answer):
        return found
    commit = found.find(revision)
    if commit is None:
        return error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    said = {"X-Repo-Commit": commit.oid, "Access-Control-Allow-Origin": world.hub_url}
    file = commit.files.get(path)
    if file is None:
        return error(404, "Entry not found", "EntryNotFound", said)
    if file.lfs:
        return _to_cdn(world, found, path, file, said)
    if world.git_route == "resolve-cache":
        asked = quote(raw_path(request), safe="")
        query = f"?{asked}=&etag={quote(quoted(file.etag), safe='')}"
        location = f"/api/resolve-cache/{kind}/{name}/{commit.oid}/{quote(path, safe='')}{query}"
        said |= {"X-Linked-Size": str(file.size_bytes), "X-Linked-Etag": quoted(file.etag)}
        answer = redirect(307, location, said)
        answer.file = file
        return answer
    return git_body(request, commit, path, file)


def resolve_cache(world: World, request: BaseRequest, entry: Request, segments: list[str]) -> Answer:
    """/api/resolve-cache/<kind>/<owner>/<name>/<commit>/<path>: the redirect target for git files."""
    kind, *rest = segments
    at = next((i for i, part in enumerate(rest) if len(part) == 40), None)
    if at is None:
        return error(404, "Not found")
    name, path = unquote("/".join(rest[:at])), unquote("/".join(rest[at + 1 :]))
    entry.repo, entry.file = name, path
    found = opened(world, request, kind, name, content=True)
    if isinstance(found, Answer):
        return found
    commit = found.commits.get(rest[at])
    file = commit.files.get(path) if commit else None
    if commit is None or file is None:
        return error(404, "Entry not found", "EntryNotFound")
    return git_body(request, commit, path, file)


def git_body(request: BaseRequest, commit: Commit, path: str, file: File) -> Answer:
    """A git file's bytes, from the Hub itself."""
    said = {
        "X-Repo-Commit": commit.oid,
        "ETag": quoted(file.etag),
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(path.rpartition('/')[2])}",
    }
    if path.endswith(TEXT_ENDINGS):
        said["Content-Type"] = "text/plain; charset=utf-8"
    answer = body_answer(file.content, said, request.headers.get("Range"))
    answer.on = ("body",)
    answer.file = file
    answer.compressible = path.endswith(TEXT_ENDINGS)
    return answer


def raw_path(request: BaseRequest) -> str:
    """The path as received: neither decoded nor normalised."""
    return request.raw_path.partition("?")[0]


def quoted(etag: str) -> str:
    """An etag in the form of the header."""
    return f'"{etag}"'


def _to_cdn(world: World, repo: Repo, path: str, file: File, said: dict[str, str]) -> Answer:
    said |= {
        "X-Linked-Size": str(file.size_bytes),
        "X-Linked-Etag": quoted(file.etag),
        "ETag": quoted(file.etag[::-1][:32]),
        "Accept-Ranges": "bytes",
    }
    if file.xet_hash:
        token_url = f"{world.hub_url}/api/{repo.kind}/{repo.name}/xet-read-token/{said['X-Repo-Commit']}"
        links = [f'<{token_url}>; rel="xet-auth"']
        if world.cas is not None:
            info_url = f"{world.cas_url}/v1/reconstructions/{file.xet_hash}"
            links.append(f'<{info_url}>; rel="xet-reconstruction-info"')
        said |= {"X-Xet-Hash": file.xet_hash, "Link": ", ".join(links)}
    answer = redirect(302, world.signed_url(repo, path, file), said)
    answer.file = file
    return answer
