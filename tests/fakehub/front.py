"""One of the test Hub's two servers: receives a request, gets the response from the routes, sends it with faults."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_request import BaseRequest

from tests.fakehub.answer import Answer, error
from tests.fakehub.fault import Fault
from tests.fakehub.journal import Request, ServerName
from tests.fakehub.real_face import with_real_face
from tests.fakehub.sending import Connection, Sending
from tests.fakehub.twist import twist
from tests.fakehub.world import World

Route = Callable[[BaseRequest, Request], Awaitable[Answer]]


class Front:
    """The request handler of one server. `gate` is cleared while the network is frozen."""

    def __init__(self, name: ServerName, world: World, route: Route, gate: asyncio.Event) -> None:
        self.name = name
        self.world = world
        self.route = route
        self.gate = gate
        self.connections: weakref.WeakKeyDictionary[asyncio.BaseTransport, Connection] = weakref.WeakKeyDictionary()

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        """Answers one request; its log entry is correct also when the connection breaks."""
        connection = self._connection(request)
        entry = self._entry(request, connection)
        self.world.log.append(entry)
        try:
            await self.gate.wait()
            if self.world.latency_s:
                await asyncio.sleep(self.world.latency_s)
            answer, faults = await self._answer(request, entry)
            answer.headers.setdefault("X-Request-Id", f"Root=1-{connection.number}-{len(self.world.log)}")
            if self.world.real_face:
                answer = with_real_face(self.name, answer)
            sending = Sending(
                self.world, self.gate, request, entry, connection, answer, {fault.kind: fault for fault in faults}
            )
            return await sending.run()
        finally:
            entry.open = False

    def _connection(self, request: BaseRequest) -> Connection:
        transport = request.transport
        if transport is None:
            return Connection()
        return self.connections.setdefault(transport, Connection())

    def _entry(self, request: BaseRequest, connection: Connection) -> Request:
        headers = {k.lower(): v for k, v in request.headers.items() if k.lower() not in ("authorization", "cookie")}
        return Request(
            server=self.name,
            method=request.method,
            path=request.raw_path,
            time_s=time.monotonic(),
            connection=connection.number,
            range=request.headers.get("Range"),
            authorization="Authorization" in request.headers,
            headers=headers,
        )

    async def _answer(self, request: BaseRequest, entry: Request) -> tuple[Answer, list[Fault]]:
        quota = self.world.quota_left() if self.name == "hub" else None
        if quota is not None and quota[0] < 0:
            answer = error(429, "We had to rate limit your IP")
        else:
            answer = await self.route(request, entry)
        if self.name == "hub":
            left, window_s = quota or (2998, 172)
            answer.headers["RateLimit"] = f'"resolvers";r={max(0, left)};t={int(window_s) + 1}'
            limit = self.world.quota_requests or 3000
            policy = f'"fixed window";"resolvers";q={limit};w={int(self.world.quota_window_s)}'
            answer.headers["RateLimit-Policy"] = policy
        strike, span = self.world.faults.strike, (answer.start, answer.end)
        faults = strike(entry.repo, entry.file, answer.on, span)
        before, answer = answer.on, twist(answer, faults, request)
        if answer.on and answer.on != before:  # a plain mirror sends the body itself
            faults += strike(entry.repo, entry.file, answer.on, (answer.start, answer.end))
            answer = twist(answer, faults, request)
        entry.fault = ", ".join(fault.kind for fault in faults) or None
        entry.status = answer.status
        return answer, faults
