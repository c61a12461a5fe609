"""Runs the test Hub's servers in a thread with its own event loop; can take them off the network and back."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.web_request import BaseRequest

from tests.fakehub.sockets import linger_none

HOST = "127.0.0.1"
START_S = 10.0
Handler = Callable[[BaseRequest], Awaitable[web.StreamResponse]]
_T = TypeVar("_T")


class Running:
    """Servers by name, each on its own port (0 until it has listened for the first time, then fixed)."""

    def __init__(self, ports: dict[str, int], context: ssl.SSLContext | None, host: str = HOST) -> None:
        self.ports = ports
        self.host = host
        self._context = context
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._servers: dict[str, web.Server] = {}
        self._listening: dict[str, asyncio.Server] = {}

    def start(self, handlers: Callable[[], Mapping[str, Handler]]) -> None:
        """Starts; returns when all listen. `handlers` is called in the new loop. Raises OSError: a port is taken."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(handlers, ready), name="test hub", daemon=True)
        self._thread.start()
        ready.result(START_S)

    def stop(self) -> None:
        """Breaks every connection and ends; returns when the thread has ended. Does nothing when it doesn't run."""
        if self._thread is None or self._loop is None:
            return
        self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._thread = self._loop = None

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Runs `work` in the servers' loop and waits for what it returns."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the test Hub is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    async def listen(self) -> None:
        """All servers listen, on the ports they had."""
        for name, server in self._servers.items():
            if name not in self._listening:
                loop = asyncio.get_running_loop()
                made = await loop.create_server(server, self.host, self.ports[name], ssl=self._context, backlog=1024)
                self._listening[name] = made
                self.ports[name] = made.sockets[0].getsockname()[1]

    async def unlisten(self, names: Collection[str]) -> None:
        """These servers no longer listen, and their connections are reset."""
        for name in names:
            if (listening := self._listening.pop(name, None)) is not None:
                listening.close()
        await self.abort(names)

    async def abort(self, names: Collection[str], orderly: bool = False) -> None:
        """Ends every connection of these servers, by a reset or (`orderly`) by a FIN."""
        for server in (self._servers[name] for name in names):
            for protocol in server.connections:
                transport = protocol.transport
                if transport is None:
                    continue
                if orderly:
                    transport.close()
                else:
                    linger_none(transport)
                    transport.abort()

    def _run(self, handlers: Callable[[], Mapping[str, Handler]], ready: Future[None]) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self._loop = loop
        try:
            loop.run_until_complete(self._open(handlers))
        except BaseException as problem:
            self._loop = None
            loop.close()
            ready.set_exception(problem)
            return
        ready.set_result(None)
        try:
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    async def _open(self, handlers: Callable[[], Mapping[str, Handler]]) -> None:
        for name, handler in handlers().items():
            self._servers[name] = web.Server(handler, handler_cancellation=True, access_log=None)
        await self.listen()

    async def _close(self) -> None:
        await self.unlisten(self._servers)
        for _ in range(10):  # connections that were accepted at this moment get their transport, and are closed too
            await asyncio.sleep(0)
        await self.abort(self._servers)
        for server in self._servers.values():
            await server.shutdown(0)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
