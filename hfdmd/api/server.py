"""The HTTP server: the aiohttp application, and its protocols with access rules and every error as problem+json.

aiohttp itself answers requests that it cannot parse, and unknown `Expect` headers, before any middleware and as plain
text.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable

from aiohttp import web

from hfdmd.api import responses
from hfdmd.api.access import Access
from hfdmd.api.decode import MAX_BODY_BYTES
from hfdmd.api.handlers import Handlers
from hfdmd.api.metrics import Metrics
from hfdmd.api.open_connections import OpenConnections, TimedProtocol
from hfdmd.scheduler.core import Scheduler
from hfdmd.wire.errors import ApiError, Internal, Malformed
from hfdmd.wire.routes import ROUTES

log = logging.getLogger("hfdmd.api")

LINGER_S = 2.0
"""How long the rest of an unread body is received, so that the sender gets to see the answer."""
MAX_LINE_BYTES = 32 * 1024
"""Limit of the request line: the longest legal `filePath` and `localDir` have 12 KiB each in percent encoding."""


class ProblemProtocol(TimedProtocol):
    """The protocol, with problem+json for the errors that aiohttp itself reports."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to a request that cannot be parsed (400), or to an internal error (500); closes the connection.

        Raises ConnectionError when an answer has already begun.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has already begun")
        error: ApiError
        if status < 500:
            why = (message or "").partition("\n")[0].rstrip(": ")  # the next lines echo what was sent
            error = Malformed(f"the HTTP request cannot be parsed: {why}")
        else:
            log.error("internal error in %s", request.path, exc_info=exc)
            error = Internal(responses.INTERNAL_DETAIL)
        response = responses.problem_response(error)
        response.force_close()
        return response


def build_app(scheduler: Scheduler, *, url: str | None, socket: str | None) -> web.Application:
    """The aiohttp application: the route table bound to its handlers."""
    metrics = Metrics(scheduler)
    app = web.Application(middlewares=[metrics.middleware, responses.middleware], client_max_size=MAX_BODY_BYTES)
    handlers = Handlers(scheduler, metrics, url=url, socket=socket)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, getattr(handlers, route.name))
    return app


def protocol_factory(
    server: web.Server, connections: OpenConnections, access: Access, loop: AbstractEventLoop
) -> Callable[[], TimedProtocol]:
    """A factory for `loop.create_server`: connection limits, then access rules, then the handler of `server`."""
    inner = server.request_handler

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if not isinstance(request, web.Request) or not isinstance(request.protocol, TimedProtocol):
            raise TypeError(f"unexpected types {type(request).__name__} and {type(request.protocol).__name__}")
        with request.protocol.request():
            response = await answer(request)
        if "Upgrade" in request.headers:
            response.force_close()  # what follows may be of another protocol, which is not supported
        return response

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            access.check(request)
            _check_framing(request)
            return await inner(request)
        except (ApiError, web.HTTPException) as error:  # the latter not from a route: an unknown Expect
            return responses.problem_response(error)

    server.request_handler = handle

    def make() -> TimedProtocol:
        # No decompression: a body of at most 1 MiB cannot be a decompression bomb.
        return ProblemProtocol(
            connections, server, loop=loop, lingering_time=LINGER_S, auto_decompress=False, max_line_size=MAX_LINE_BYTES
        )

    return make


def _check_framing(request: web.Request) -> None:
    """Refuse codings that readers treat differently (request smuggling). Raises `Malformed`."""
    codings = request.headers.getall("Transfer-Encoding", [])
    if codings and [coding.strip().lower() for coding in codings] != ["chunked"]:
        raise Malformed("Transfer-Encoding must be chunked")
