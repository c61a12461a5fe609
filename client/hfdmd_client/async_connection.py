"""A connection to a daemon for asyncio. `connection` is the same for blocking programs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

from hfdmd.wire.endpoint import DaemonAddress
from hfdmd_client import locate
from hfdmd_client.locate import CONNECT_TIMEOUT_S

_READ_BYTES = 64 * 1024


class Connection:
    """A pair of streams, with a time limit for each operation. Every method may raise `OSError`, `TimeoutError` too."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, address: DaemonAddress) -> Self:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if address.socket is not None:
                return cls(*await asyncio.open_unix_connection(str(address.socket)))
            host, port, secure = locate.tcp_address(address)
            return cls(*await asyncio.open_connection(host, port, ssl=secure or None))

    async def send(self, data: bytes, timeout_s: float) -> None:
        self._writer.write(data)
        async with asyncio.timeout(timeout_s):
            await self._writer.drain()

    async def receive(self, timeout_s: float) -> bytes:
        """The next bytes; empty when the daemon closed the connection."""
        async with asyncio.timeout(timeout_s):
            return await self._reader.read(_READ_BYTES)

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):  # a broken connection is closed already
            await self._writer.wait_closed()
