"""The CAS's HTTP API: reconstructions, global deduplication, uploads. Every call needs a token of the Hub's Xet route.

Source: docs/xet/api.md of huggingface/hub-docs; upload grants are in xet-core's remote_client.rs only.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterable
from itertools import count

from aiohttp.web_request import BaseRequest

from tests.fakehub.access import token_of
from tests.fakehub.answer import Answer, json_answer
from tests.fakehub.cas import Cas, Recipe, XetFile
from tests.fakehub.content import BytesContent, SeededContent
from tests.fakehub.journal import Request
from tests.fakehub.world import World
from tests.fakehub.xet_format import XetFormatError, from_hex
from tests.fakehub.xet_shard import Term, dedup_shard
from tests.fakehub.xet_signing import CasToken, Span, read_token, signed_query

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_grant_ids = count(1)


async def cas_api(world: World, request: BaseRequest, entry: Request, segments: list[str]) -> Answer:
    """`segments`: the path's."""
    cas = world.cas
    assert cas is not None
    version, route = segments[0], segments[1] if len(segments) > 1 else ""
    entry.file = f"@{route}"
    body = await request.content.read()
    token = read_token(world.secret, token_of(request))
    if token is None:
        answer = refused(401, "token missing, wrong or expired")
    else:
        entry.repo = token.repo
        try:
            answer = await _answer(world, cas, token, request, version, segments[1:], body)
        except XetFormatError as error:
            answer = refused(400, str(error))
    answer.on = ("api",)
    return answer


async def _answer(
    world: World, cas: Cas, token: CasToken, request: BaseRequest, version: str, rest: list[str], body: bytes
) -> Answer:
    if request.method in ("POST", "PUT") and rest[0] not in ("reconstructions", "telemetry") and not token.writes:
        return refused(403, "a token with the scope write is needed")
    match version, request.method, rest:
        case _, "GET", ["reconstructions", name] if version in ("v1", "v2"):
            if int(version[1]) not in cas.versions:
                return refused(404, "no such version of this call")
            return _reconstruction(world, cas, token, name, request.headers.get("Range"), version)
        case "v1", "GET", ["reconstructions"]:
            return _batch(world, cas, token, request.query.getall("file_id", []))
        case "v1", "POST", ["reconstructions"]:
            return _batch(world, cas, token, [key["hash"] for key in json.loads(body)])
        case "v1", "HEAD", ["files", name]:
            file = _file(world, cas, token, name)
            return refused(404, "no such file") if file is None else _length(file.size_bytes)
        case "v1", "HEAD", ["xorbs", "default", name]:
            return _length(cas.stored(name).size_bytes) if name in cas.xorbs else refused(404, "no such xorb")
        case "v1", "GET", ["chunks", _, name]:
            place = cas.find_chunk(from_hex(name)) if cas.shares else None
            if place is None:
                return refused(404, "this chunk is not known")
            shard = dedup_shard(cas.xorbs[place[0]], cas.dedup_key)
            return Answer(200, {"Content-Type": "application/octet-stream"}, BytesContent(shard))
        case "v1", "POST", ["xorb-grants", "default", name]:
            return _grant(world, cas, name)
        case "v1", "POST", ["xorb-commits", "default", name, "grant", grant]:
            uploaded = cas.grants.pop(grant, None)
            if uploaded is None:
                return refused(404, "nothing was uploaded under this grant")
            await asyncio.to_thread(cas.put_xorb, uploaded, name)
            return json_answer({})
        case "v1", "POST", ["xorbs", "default", name]:
            known = name in cas.xorbs
            await asyncio.to_thread(cas.put_xorb, body, name)
            return json_answer({"was_inserted": not known})
        case "v1", "POST", ["shards"]:
            await asyncio.to_thread(cas.register, body)
            return json_answer({"result": 1})
        case "v2", "POST", ["shards"]:
            return await _events(cas, body)
        case "v1", "POST", ["telemetry"]:
            return json_answer({})
        case _:
            return refused(404, "no such call")


def xorb_upload(world: World, request: BaseRequest, grant: str, body: bytes) -> Answer:
    """The PUT to the storage that a grant allows."""
    assert world.cas is not None
    if request.method != "PUT" or world.cas.grants.get(grant) != b"":
        return refused(403, "no such grant")
    world.cas.grants[grant] = body
    return Answer(200)


def refused(status: int, message: str) -> Answer:
    """An error in the CAS's form."""
    return json_answer({"error": message}, status)


def _length(size_bytes: int) -> Answer:
    return Answer(200, {}, SeededContent(size_bytes))  # answers a HEAD: the bytes are never made


def _grant(world: World, cas: Cas, name: str) -> Answer:
    if not cas.offers_grants:
        return refused(404, "grants are not offered")
    if name in cas.xorbs:
        return json_answer({})
    grant = f"g{next(_grant_ids)}"
    cas.grants[grant] = b""
    return json_answer(
        {"id": grant, "method": "PUT", "url": f"{world.xorb_url}/uploads/{grant}", "headers": {"X-Grant": grant}}, 201
    )


async def _events(cas: Cas, shard: bytes) -> Answer:
    events: list[dict[str, object]] = [{"type": "validating", "verified": 0, "total": 1}]
    try:
        await asyncio.to_thread(cas.register, shard)
        events += [{"type": "committing", "stage": "syncing"}, {"type": "result"}]
    except XetFormatError as error:
        events.append({"type": "error", "message": str(error), "retryable": False})
    lines = "".join(json.dumps(event) + "\n" for event in events)
    return Answer(200, {"Content-Type": "application/x-ndjson"}, BytesContent(lines.encode()))


# ---- reconstructions


def _file(world: World, cas: Cas, token: CasToken, name: str) -> XetFile | None:
    """The file, if no repo has it or the token's repo does."""
    from_hex(name)
    owners = {key for key, repo in world.repos.items() if name in repo.xet_paths}
    return cas.files.get(name) if not owners or (token.kind, token.repo) in owners else None


def _reconstruction(world: World, cas: Cas, token: CasToken, name: str, asked: str | None, version: str) -> Answer:
    file = _file(world, cas, token, name)
    if file is None:
        return refused(404, "no such file")
    match = _RANGE.fullmatch(asked.strip()) if asked else None
    start = int(match[1]) if match else 0
    end = int(match[2]) + 1 if match and match[2] else file.size_bytes
    if match and (start >= file.size_bytes or end <= start):
        return refused(416, f"the file has {file.size_bytes} bytes")
    recipe = cas.recipe(file, start, end)
    said: dict[str, object] = {"offset_into_first_range": recipe.skipped_bytes, "terms": _terms(recipe.terms)}
    if version == "v1":
        said["fetch_info"] = _fetch_info(world, cas, token, recipe, name)
    else:
        said["xorbs"] = _xorbs(world, cas, token, recipe, name)
    answer = json_answer(said)
    answer.compressible = True
    return answer


def _batch(world: World, cas: Cas, token: CasToken, names: Iterable[str]) -> Answer:
    together, files = Recipe(), {}
    for name in names:
        file = _file(world, cas, token, name)
        if file is None:
            return refused(404, f"no such file: {name}")
        terms = cas.recipe(file).terms
        files[name] = _terms(terms)
        together.terms += terms
    return json_answer({"files": files, "fetch_info": _fetch_info(world, cas, token, together, "")})


def _terms(terms: Iterable[Term]) -> list[dict[str, object]]:
    return [
        {"hash": term.xorb, "unpacked_length": term.raw_bytes, "range": {"start": term.first, "end": term.last}}
        for term in terms
    ]


def _xorbs(world: World, cas: Cas, token: CasToken, recipe: Recipe, name: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for xorb, chunks in recipe.ranges.items():
        spans = [_stored(cas, xorb, span) for span in chunks]
        shown: list[dict[str, object]] = [
            {"chunks": {"start": first, "end": last}, "bytes": {"start": start, "end": end - 1}}
            for (first, last), (start, end) in zip(chunks, spans, strict=True)
        ]
        if cas.multi_range:
            found[xorb] = [{"url": _url(world, cas, token, xorb, spans, name), "ranges": shown}]
        else:
            found[xorb] = [
                {"url": _url(world, cas, token, xorb, [span], name), "ranges": [one]}
                for span, one in zip(spans, shown, strict=True)
            ]
    return found


def _fetch_info(world: World, cas: Cas, token: CasToken, recipe: Recipe, name: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for xorb, chunks in recipe.ranges.items():
        entries = []
        for first, last in chunks:
            start, end = _stored(cas, xorb, (first, last))
            entries.append(
                {
                    "range": {"start": first, "end": last},
                    "url": _url(world, cas, token, xorb, [(start, end)], name),
                    "url_range": {"start": start, "end": end - 1},
                }
            )
        found[xorb] = entries
    return found


def _stored(cas: Cas, xorb: str, chunks: Span) -> Span:
    stored_at = cas.xorbs[xorb].stored_at
    return stored_at[chunks[0]], stored_at[chunks[1]]


def _url(world: World, cas: Cas, token: CasToken, xorb: str, spans: list[Span], name: str) -> str:
    path = f"/xorbs/default/{xorb}"
    expires_s = time.time() + cas.url_ttl_s
    repo = world.repos.get((token.kind, token.repo))
    shown = {"repo_id": token.repo, "file": repo.xet_paths.get(name, name) if repo else name}
    return f"{world.xorb_url}{path}?{signed_query(world.secret, path, spans, expires_s, cas.signed_by, **shown)}"
