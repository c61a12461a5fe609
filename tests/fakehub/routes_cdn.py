"""The CDN: signed, expiring URLs on another origin; it serves contents, not repos, and needs no token."""

from __future__ import annotations

import hmac
import time
from urllib.parse import unquote

from aiohttp.web_request import BaseRequest

from tests.fakehub.answer import Answer, body_answer
from tests.fakehub.content import BytesContent
from tests.fakehub.journal import Request
from tests.fakehub.repo import File
from tests.fakehub.routes_resolve import quoted, raw_path
from tests.fakehub.world import World


def cdn(world: World, request: BaseRequest, entry: Request) -> Answer:
    """The content of the URL, if its signature is valid and not expired."""
    blob, path = unquote(raw_path(request)).removeprefix("/storage"), request.query.get("file", "")
    expires_s, signature = request.query.get("Expires", ""), request.query.get("Signature", "")
    kind, _, rest = blob.strip("/").partition("/")
    name, _, etag = rest.rpartition("/")
    entry.repo, entry.file = name, path
    if not expires_s or not hmac.compare_digest(signature.encode(), world.signature(blob, path, expires_s).encode()):
        return denied("SignatureDoesNotMatch")
    file = _find(world, kind, name, path, etag)
    if time.time() > float(expires_s):
        answer = denied("Request has expired")
    elif file is None:
        answer = denied("NoSuchKey", 404)
    else:
        wanted = request.headers.get("Range")
        said = {"ETag": quoted(file.etag[::-1][:32]), "Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT"}
        if request.headers.get("If-Range") not in (None, said["ETag"]):
            wanted = None
        answer = body_answer(file.content, said, wanted)
    answer.on = ("body",) if request.method == "GET" else ()
    answer.file = file
    return answer


def denied(message: str, status: int = 403) -> Answer:
    """An error in the storage's XML, without any of the Hub's headers."""
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>'
    )
    return Answer(status, {"Content-Type": "application/xml"}, BytesContent(text.encode()))


def _find(world: World, kind: str, name: str, path: str, etag: str) -> File | None:
    repo = world.repos.get((kind, name))
    for commit in reversed(list(repo.commits.values())) if repo else ():
        file = commit.files.get(path)
        if file is not None and file.etag == etag:
            return file
    return None
