"""What stands before aiohttp's routing: who may enter at all, and errors in the API's own form whoever found them.

aiohttp answers a request that it cannot parse, and an odd `Expect`, by itself, before any middleware and as plain text.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable

from aiohttp import web

from hfdmd.api import problems
from hfdmd.api.access import Access
from hfdmd.api.guard import Doors, Guard
from hfdmd.wire.errors import ApiError, Internal, Malformed

log = logging.getLogger("hfdmd.api")

LINGER_S = 2.0
"""How long the rest of a body that nobody wants is read, so that the sender gets to see the answer."""
MAX_LINE_BYTES = 32 * 1024
"""Of a request's first line: the longest legal `filePath` and `localDir` have 12 KiB each in percent encoding."""


class Protocol(web.RequestHandler):
    """aiohttp's protocol, which answers in problem+json where aiohttp itself finds fault with a request."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be parsed (400), or to a fault of ours (500); the connection is closed.

        Raises ConnectionError when an answer has begun already.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        error: ApiError
        if status < 500:
            why = (message or "").partition("\n")[0].rstrip(": ")  # the lines that follow echo what was sent
            error = Malformed(f"this is no HTTP request that can be read: {why}")
        else:
            log.error("a fault in %s", request.path, exc_info=exc)
            error = Internal("a fault of the daemon itself; its log has the story")
        response = problems.problem_response(error)
        response.force_close()
        return response


def factory(server: web.Server, doors: Doors, access: Access, loop: AbstractEventLoop) -> Callable[[], Guard]:
    """A protocol factory for `loop.create_server`: doors, then access rules, then `server`'s own handler."""
    inner = server.request_handler

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if not isinstance(request, web.Request):
            raise TypeError("the server makes requests of another kind")
        with doors.request(request):
            response = await answer(request)
        if "Upgrade" in request.headers:
            response.force_close()  # what follows may be of another protocol, which is not spoken here
        return response

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            access.check(request)
            _check_framing(request)
            return await inner(request)
        except ApiError as error:
            return problems.problem_response(error)
        except web.HTTPException as error:  # from outside the routes: an Expect that nobody knows
            return problems.problem_response(problems.translated(error))

    server.request_handler = handle

    def make() -> Guard:
        # No decompression: a body is at most 1 MiB as it comes, and so no bomb.
        protocol = Protocol(
            server, loop=loop, lingering_time=LINGER_S, auto_decompress=False, max_line_size=MAX_LINE_BYTES
        )
        return Guard(protocol, doors)

    return make


def _check_framing(request: web.Request) -> None:
    """Codings that some readers undo and others skip are how requests are smuggled. Raises `Malformed`."""
    codings = request.headers.getall("Transfer-Encoding", [])
    if codings and [coding.strip().lower() for coding in codings] != ["chunked"]:
        raise Malformed("of Transfer-Encoding only chunked is understood")
