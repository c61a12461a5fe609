"""Every error as problem+json, whoever raised it."""

from __future__ import annotations

import asyncio
import logging

import msgspec
from aiohttp import web

from hfdmd.api.access import Handler
from hfdmd.wire import errors
from hfdmd.wire.errors import PROBLEM_MEDIA_TYPE, ApiError, Internal

log = logging.getLogger("hfdmd.api")


def problem_response(error: ApiError) -> web.Response:
    headers: dict[str, str] = {"Cache-Control": "no-store"}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.allow:
        headers["Allow"] = ", ".join(error.allow)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        status=error.status,
        body=msgspec.json.encode(error.problem()),
        content_type=PROBLEM_MEDIA_TYPE,
        headers=headers,
    )


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return problem_response(error)
    except web.HTTPException as error:
        return problem_response(_translated(error))
    except asyncio.CancelledError:
        raise
    except ConnectionError:
        raise
    except TimeoutError:
        return problem_response(errors.Malformed("the request came in too slowly"))
    except OSError as error:
        log.error("%s %s: %s", request.method, request.path, error)
        return problem_response(Internal(f"the disk refused: {error.strerror or error}"))
    except Exception:
        log.exception("a fault in %s %s", request.method, request.path)
        return problem_response(Internal("a fault of the daemon itself; its log has the story"))


def _translated(error: web.HTTPException) -> ApiError:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = tuple(sorted(method for method in error.allowed_methods if method != "HEAD"))
        return errors.MethodNotAllowed(f"this path knows {', '.join(allowed)}", allow=allowed)
    if isinstance(error, web.HTTPNotFound):
        return errors.NotFound("no such path; GET /api/openapi.json lists them")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return errors.TooLarge("the body is too large")
    if isinstance(error, web.HTTPExpectationFailed):
        return errors.Malformed("Expect is not understood")
    if 400 <= error.status < 500:
        return errors.Malformed(error.reason)
    return Internal(error.reason)


def json_response(value: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
