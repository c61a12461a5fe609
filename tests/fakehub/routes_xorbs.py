"""The storage of xorbs, an origin of its own: exactly the signed Range of each URL, until the URL expires."""

from __future__ import annotations

import re
import time

from aiohttp.web_request import BaseRequest

from tests.fakehub.answer import Answer, body_answer
from tests.fakehub.content import BytesContent, Content
from tests.fakehub.journal import Request
from tests.fakehub.routes_cas import xorb_upload
from tests.fakehub.routes_cdn import denied
from tests.fakehub.routes_resolve import raw_path
from tests.fakehub.world import World
from tests.fakehub.xet_signing import allowed_range

_SPAN = re.compile(r"(\d+)-(\d+)")
_BOUNDARY = "testcasboundary"


async def xorbs(world: World, request: BaseRequest, entry: Request) -> Answer:
    """The bytes of the URL's range, or 403."""
    path = raw_path(request)
    folder, _, name = path.rpartition("/")
    if folder == "/uploads":
        entry.file = "@upload"
        return xorb_upload(world, request, name, await request.content.read())
    answer = _xorb(world, request, path, name)
    entry.repo, entry.file = request.query.get("repo_id"), request.query.get("file")
    answer.on = ("body", "xorb")
    return answer


def _xorb(world: World, request: BaseRequest, path: str, name: str) -> Answer:
    assert world.cas is not None
    allowed = allowed_range(world.secret, path, request.query)
    if allowed is None:
        return denied("SignatureDoesNotMatch")
    expected, expires_s = allowed
    if time.time() > expires_s:
        return denied("Request has expired")
    asked = request.headers.get("Range", "")
    by_query = "Policy" not in request.query
    single = {f"bytes={span}" for span in expected.removeprefix("bytes=").split(",")}
    if asked != expected and not (by_query and asked in single):
        return denied("Auth failed: invalid range")
    if name not in world.cas.xorbs:
        return denied("NoSuchKey", 404)
    content = world.cas.stored(name)
    return _multipart(content, asked) if "," in asked else body_answer(content, {"ETag": f'"{name[:32]}"'}, asked)


def _multipart(content: Content, asked: str) -> Answer:
    parts = []
    for first, last in _SPAN.findall(asked):
        head = (
            f"\r\n--{_BOUNDARY}\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Range: bytes {first}-{last}/{content.size_bytes}\r\n\r\n"
        )
        parts += [head.encode(), content.read(int(first), int(last) + 1)]
    body = b"".join([*parts, f"\r\n--{_BOUNDARY}--\r\n".encode()])
    return Answer(206, {"Content-Type": f"multipart/byteranges; boundary={_BOUNDARY}"}, BytesContent(body))
