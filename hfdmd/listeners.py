"""The sockets that the API listens on: created here, or passed by systemd or launchd."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from hfdmd.api.access import Access
from hfdmd.api.open_connections import OpenConnections
from hfdmd.api.server import build_app, protocol_factory
from hfdmd.scheduler.core import Scheduler
from hfdmd.service_manager import launchd_sockets, systemd_sockets
from hfdmd.wire.endpoint import unusable_runtime_dir

log = logging.getLogger("hfdmd.listeners")

BACKLOG = 1024
SHUTDOWN_S = 1.0
"""Time limit for requests in progress when the daemon stops; streams have ended before."""
DRAIN_S = 0.5
"""How long a stop waits for the requests of connections that were accepted before."""


class SocketError(Exception):
    """A socket cannot be opened; the text says why and what to do."""


class Listeners:
    """The listening sockets. To be opened under the instance lock, so that an existing socket file is stale."""

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path
        self.url: str | None = None
        self._tcp: socket.socket | None = None
        self._servers: list[asyncio.Server] = []
        self._is_activated = False
        self._connections = OpenConnections()
        self._runner: web.AppRunner | None = None

    def bind_tcp(self, host: str, port: int) -> int:
        """Bind the TCP address and return its port, chosen by the system for 0. Raises `SocketError`."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
        except OSError as error:
            sock.close()
            raise SocketError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._tcp = sock
        bound: int = sock.getsockname()[1]
        self.url = f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
        return bound

    async def open(self, scheduler: Scheduler, access: Access) -> None:
        """Listen. Raises `SocketError`."""
        sockets = [*systemd_sockets().values(), *launchd_sockets()]
        self._is_activated = bool(sockets)
        if sockets:
            named = sockets[0].getsockname()
            if isinstance(named, str) and named:
                self.socket_path = Path(named)
        else:
            sockets = [self._bind_unix()]
        if self._tcp is not None:
            sockets.append(self._tcp)
        app = build_app(scheduler, url=self.url, socket=str(self.socket_path))
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True)
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("aiohttp created no server")
        loop = asyncio.get_running_loop()
        factory = protocol_factory(server, self._connections, access, loop)
        for sock in sockets:
            sock.setblocking(False)
            if sock.family == socket.AF_UNIX:
                # From 3.13 on asyncio would delete the socket file, even one that systemd owns and still uses.
                keep: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
                self._servers.append(await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG, **keep))
            else:
                self._servers.append(await loop.create_server(factory, sock=sock, backlog=BACKLOG))

    def stop_accepting(self) -> None:
        """Accept no new connections on sockets of the service manager: they wait there for the next daemon.

        On a socket of our own no other daemon would accept them, so they are answered that the daemon is stopping.
        """
        if self._is_activated:
            for server in self._servers:
                server.close()

    async def drain(self) -> None:
        """Answer the connections that were accepted on sockets of the service manager, within `DRAIN_S`."""
        if self._is_activated:
            await self._connections.wait_answered(DRAIN_S)

    async def close(self) -> None:
        """Stop listening, wait for requests in progress, remove the socket file if it is ours."""
        for server in self._servers:
            server.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if not self._is_activated:
            with contextlib.suppress(OSError):  # the next daemon finds that nothing listens there
                self.socket_path.unlink()

    def _bind_unix(self) -> socket.socket:
        """Create a socket file of mode 0600. The instance lock is held, so an existing one is stale."""
        path = self.socket_path
        if (problem := unusable_runtime_dir()) is not None:
            log.warning("%s: listening on %s instead", problem, path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISSOCK(os.lstat(path).st_mode):
                    raise SocketError(f"{path} exists and is not a socket; move it away or set HFDMD_SOCKET")
                if _is_served(path):
                    raise SocketError(f"another program, or another daemon, listens on {path}; set HFDMD_SOCKET")
                path.unlink()
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            before = os.umask(0o177)
            try:
                sock.bind(str(path))
            finally:
                os.umask(before)
        except OSError as error:
            raise SocketError(f"cannot listen on {path}: {error.strerror or error}") from error
        return sock


def _is_served(path: Path) -> bool:
    """Whether a program accepts connections there (a daemon of another state folder)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
