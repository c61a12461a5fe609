"""Answers as JSON, and every error as problem+json (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from aiohttp import web

from hfdmd.aio import yielding
from hfdmd.api.access import Handler
from hfdmd.wire import errors
from hfdmd.wire.errors import PROBLEM_MEDIA_TYPE, ApiError, Internal
from hfdmd.wire.types import Affected, Download, RepoDownload

log = logging.getLogger("hfdmd.api")

HEADERS = {"Cache-Control": "no-store", "Server": "hfdmd"}
MAX_DETAIL, MAX_FIELD = 2000, 100
_AT_ONCE = 100
_PIECE_BYTES = 256 * 1024
INTERNAL_DETAIL = "internal error; see the daemon's log"
_encoder = msgspec.json.Encoder()


def problem_response(error: ApiError | web.HTTPException) -> web.Response:
    """The answer to an error of ours, or to one of aiohttp's translated into one of ours."""
    if isinstance(error, web.HTTPException):
        error = _translated(error)
    headers = dict(HEADERS)
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.allow:
        headers["Allow"] = ", ".join(error.allow)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    problem = error.problem()
    problem.detail = _printable(problem.detail, MAX_DETAIL)
    problem.field = None if problem.field is None else _printable(problem.field, MAX_FIELD)
    body = _encoder.encode(problem)
    response = web.Response(status=error.status, body=body, content_type=PROBLEM_MEDIA_TYPE, headers=headers)
    if isinstance(error, TooSlow):
        response.force_close()
    return response


def _printable(text: str, most: int) -> str:
    """`text`, which may contain input of a client, as valid UTF-8 of limited length."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"


class TooSlow(errors.Malformed):
    """The body did not arrive in time; the connection is closed."""


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ApiError, web.HTTPException) as error:
        return problem_response(error)
    except ConnectionError:
        raise
    except web.RequestPayloadError as error:
        return problem_response(errors.Malformed(f"the body cannot be read: {error}"))
    except OSError as error:
        log.error("%s %s: %s", request.method, request.path, error)
        where = f": {error.filename}" if isinstance(error.filename, str) else ""
        return problem_response(Internal(f"disk error: {error.strerror or error}{where}"))
    except Exception:
        log.exception("internal error in %s %s", request.method, request.path)
        return problem_response(Internal(INTERNAL_DETAIL))


def _translated(error: web.HTTPException) -> ApiError:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = tuple(sorted(method for method in error.allowed_methods if method != "HEAD"))
        return errors.MethodNotAllowed(f"allowed methods: {', '.join(allowed)}", allow=allowed)
    if isinstance(error, web.HTTPNotFound):
        return errors.NotFound("no such path; GET /api/openapi.json lists all paths")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return errors.TooLarge("the body is too large")
    if isinstance(error, web.HTTPExpectationFailed):
        return errors.Malformed("unknown Expect header")
    if 400 <= error.status < 500:
        return errors.Malformed(error.reason)
    return Internal(error.reason)


def json_response(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=_encoder.encode(value), content_type="application/json", headers=HEADERS)


async def affected_response(request: web.Request, affected: Affected) -> web.StreamResponse:
    """Up to tens of thousands of downloads as JSON, encoded and sent without blocking the event loop.

    Raises ConnectionError when the peer has closed the connection.
    """
    if len(affected.downloads) + len(affected.repos) <= _AT_ONCE:
        return json_response(affected)
    downloads, repos = await _pieces(affected.downloads), await _pieces(affected.repos)
    pieces = [b'{"downloads":[', *downloads, b'],"repos":[', *repos, b'],"unchanged":%d}' % affected.unchanged]
    response = web.StreamResponse(headers=HEADERS)
    response.content_type = "application/json"
    response.content_length = sum(len(piece) for piece in pieces)
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    return response


async def _pieces(views: Sequence[Download | RepoDownload]) -> list[bytes]:
    pieces: list[bytes] = []
    piece = bytearray()
    async for number, view in yielding(enumerate(views)):
        piece += _encoder.encode(view) if number == 0 else b"," + _encoder.encode(view)
        if len(piece) >= _PIECE_BYTES:
            pieces.append(bytes(piece))
            piece.clear()
    return [*pieces, bytes(piece)]
